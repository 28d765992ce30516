"""Carry out what a pruning step chose, on a copy of the network: multiply by masks, or rebuild it with fewer channels."""

import copy
from collections.abc import Mapping
from dataclasses import replace

import torch
from torch import Tensor, nn

from labkit.core.errors import ModelError
from labkit.core.records import Compressed, Masks
from labkit.pruning.dependency import dependency_groups
from labkit.pruning.surgery import shrink, shrink_masks


def apply_masks(compressed: Compressed, masks: Masks) -> Compressed:
    """Return `compressed` with the masks carried out; those already in force stay so.

    Args:
        compressed: left as it is.
        masks: chosen on `compressed.model`. A structured choice is carried out by surgery; its trace is the one that the
            granularity made of this very model.

    Returns:
        A copy whose masked weights are exactly 0, or a smaller module, with the masks that fit it.

    Raises:
        ModelError: a mask fits no parameter, the channels were chosen on another model, or the weights are quantized already.
        ConfigError: the choice is structured and this model was never traced.
    """
    coded = [name for name in compressed.values if masks.is_structured or name in masks.keep]
    if coded:
        raise ModelError(f"'{coded[0]}' is quantized already: prune before quantizing")
    report = (*compressed.report, *masks.notes)
    if masks.is_structured:
        groups = dependency_groups(compressed.model)
        model = shrink(compressed.model, groups, masks.channels)
        in_force = shrink_masks(compressed.masks, groups, masks.channels)
        return replace(compressed, model=model.eval(), masks=in_force, report=report)
    model = copy.deepcopy(compressed.model)
    zero(model, masks.keep)
    in_force = dict(compressed.masks)
    for name, keep in masks.keep.items():
        in_force[name] = in_force[name] & keep if name in in_force else keep
    return replace(compressed, model=model.eval(), masks=in_force, report=report)


@torch.no_grad()
def zero(model: nn.Module, keep: Mapping[str, Tensor]) -> None:
    """Set the masked entries of `model` to 0, in place.

    Args:
        model: changed.
        keep: parameter name → bool tensor of its shape, True keeps.

    Raises:
        ModelError: a name or a shape fits no parameter of the model.
    """
    parameters = dict(model.named_parameters())
    for name, mask in keep.items():
        if name not in parameters or parameters[name].shape != mask.shape:
            found = tuple(parameters[name].shape) if name in parameters else "no such parameter"
            raise ModelError(
                f"the mask of '{name}' must fit a parameter of shape {tuple(mask.shape)}, found {found}: choose it on this model"
            )
        parameters[name].masked_fill_(~mask, 0.0)
