"""Structured surgery: take channels out of every layer that holds them, and get an ordinary smaller module.

Its outputs are those of the masked network (`DependencyGroup.masks`), its size and its speed are its own.
Source     Li et al. 2016, arXiv:1608.08710; Fang et al. 2023, arXiv:2301.12900.
"""

import copy
from collections.abc import Mapping

import torch
from torch import Tensor, nn

from labkit.core.errors import ModelError
from labkit.pruning.dependency import DependencyGroups

Cuts = dict[str, dict[str, Tensor]]
"""Layer → side → which positions stay, for the axes that lose any."""


def shrink(model: nn.Module, groups: DependencyGroups, channels: Mapping[str, Tensor]) -> nn.Module:
    """Return a copy of `model` without the channels that `channels` drops.

    Args:
        model: left as it is.
        groups: its dependency groups.
        channels: group → bool (C,), True keeps; groups that are absent stay whole.

    Returns:
        A module of the same classes; where nothing is dropped, of the same outputs bit for bit.

    Raises:
        ModelError: a group is unknown, fixed, would empty, or has another number of channels.
    """
    smaller = copy.deepcopy(model)
    for layer, cut in _cuts(groups, channels).items():
        _shrink_layer(smaller.get_submodule(layer), cut)
    return smaller


def shrink_masks(masks: Mapping[str, Tensor], groups: DependencyGroups, channels: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return `masks` (parameter name → bool tensor) as they fit the module that `shrink` makes of the same choice."""
    cuts = _cuts(groups, channels)
    out = {}
    for name, mask in masks.items():
        layer, _, _ = name.rpartition(".")
        out[name] = _sliced(mask, cuts[layer]) if layer in cuts else mask
    return out


def _cuts(groups: DependencyGroups, channels: Mapping[str, Tensor]) -> Cuts:
    cuts: Cuts = {}
    for name, keep in channels.items():
        group = groups[name]
        if keep.shape != (group.channels,) or keep.dtype != torch.bool:
            raise ModelError(f"the choice for group '{name}' must be bool ({group.channels},), got {keep.dtype} {tuple(keep.shape)}")
        if bool(keep.all()):
            continue
        if group.fixed or not bool(keep.any()):
            reason = f"is fixed ({group.fixed})" if group.fixed else "must keep at least one channel"
            raise ModelError(f"group '{name}' {reason}: choose its channels again")
        for member in group.members:
            sides = cuts.setdefault(member.layer, {})
            stays = member.keep(keep)
            sides[member.side] = sides[member.side] & stays if member.side in sides else stays
    return cuts


def _shrink_layer(module: nn.Module, cut: dict[str, Tensor]) -> None:
    for name, parameter in list(module.named_parameters(recurse=False)):
        smaller = nn.Parameter(_sliced(parameter.detach(), cut), requires_grad=parameter.requires_grad)
        setattr(module, name, smaller)
    for name, buffer in list(module.named_buffers(recurse=False)):
        if buffer.ndim:
            setattr(module, name, _sliced(buffer, cut))
    if isinstance(module, nn.Conv2d):
        module.out_channels = module.weight.shape[0]
        if "depthwise" in cut:
            per_channel = len(cut["depthwise"]) // module.in_channels
            module.groups = module.in_channels = module.out_channels // per_channel
        module.in_channels = module.weight.shape[1] * module.groups
    elif isinstance(module, nn.Linear):
        module.out_features, module.in_features = module.weight.shape
    elif isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
        module.num_features = int(cut["scale"].sum())
    elif isinstance(module, nn.PReLU):
        module.num_parameters = int(cut["scale"].sum())


def _sliced(tensor: Tensor, cut: dict[str, Tensor]) -> Tensor:
    """Take the rows and, of a weight, the columns that stay; a channels_last weight stays channels_last."""
    last = tensor.ndim == 4 and not tensor.is_contiguous() and tensor.is_contiguous(memory_format=torch.channels_last)
    for side, keep in cut.items():
        if side != "in":
            tensor = tensor[keep]
    if "in" in cut and tensor.ndim > 1:
        columns = cut["in"].view(-1, tensor.shape[1])[0]  # (c_in / groups,): the same in each group
        tensor = tensor[:, columns]
    return tensor.contiguous(memory_format=torch.channels_last if last else torch.contiguous_format)
