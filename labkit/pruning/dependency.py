"""Dependency groups: which channels of which layers must go together so that a smaller ordinary module remains.

Every axis that carries channels gets one index per position; operations unite indices (`_trace` walks them). A channel of a
group is everything that shares an index: filters and their biases, batch norm's scale, shift and statistics, and the
columns of every layer that reads it. `print(dependency_groups(model, example))` says why each of them is there.
Source     Fang et al. 2023 (DepGraph), arXiv:2301.12900; Li et al. 2016, arXiv:1608.08710.
Deviation  In a grouped convolution the k-th channels of all its groups go together, which keeps their counts equal.
"""

import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn

from labkit.core.errors import ConfigError, ModelError
from labkit.core.registry import Context
from labkit.pruning import _trace
from labkit.pruning._indices import Indices


@dataclass(frozen=True, eq=False)
class Member:
    """One axis that shrinks with a group.

    Attributes:
        layer: name of the module.
        side: "out" (rows of its weight, and its bias), "depthwise" (rows; one filter per input channel), "scale" (one entry
            per channel: batch norm, PReLU) or "in" (columns of its weight).
        index: int64 (size of the axis,), channel of the group at each position; -1 where it belongs to another group.
        why: the reason of the link.
    """

    layer: str
    side: str
    index: Tensor
    why: str

    @property
    def makes_channels(self) -> bool:
        return self.side in ("out", "depthwise")

    def keep(self, channels: Tensor) -> Tensor:
        """Return which positions of the axis stay, for the channels (C,) that stay."""
        return torch.where(self.index >= 0, channels[self.index.clamp(min=0)], True)


@dataclass(frozen=True, eq=False)
class DependencyGroup:
    """Channels that the same layers share.

    Attributes:
        name: of the first layer that makes them.
        channels: how many, C.
        members: every axis that shrinks with them, in the order of execution.
        joins: what united several layers' channels, in words.
        fixed: why they cannot go ("network input", "logits"); "" where they can.
        norms: layer that makes the channels → the batch norm that follows it at once.
    """

    name: str
    channels: int
    members: tuple[Member, ...]
    joins: tuple[str, ...]
    fixed: str
    norms: Mapping[str, str]

    @property
    def producers(self) -> dict[str, Member]:
        """Return the layers whose filters make the channels; the group's score is the sum of theirs."""
        return {member.layer: member for member in self.members if member.makes_channels}

    def masks(self, model: nn.Module, channels: Tensor) -> dict[str, Tensor]:
        """Return the masks that give the outputs of the network without the channels that `channels` (C,) drops.

        Masking a filter alone is not enough: batch norm makes a constant of it, β - γμ/√(σ² + ε), which the next layer
        reads. So filters, conv biases, γ and β are masked, and the columns of every reader, which alone suffice for
        any activation f, also for f(0) ≠ 0.

        Returns:
            Parameter name → bool tensor of its shape, True keeps.
        """
        masks: dict[str, Tensor] = {}
        for member in self.members:
            module, keep = model.get_submodule(member.layer), member.keep(channels)
            if member.side == "in":
                found = {"weight": _columns(module, keep)}
            elif isinstance(module, nn.PReLU):
                continue  # its slope acts on zeros
            else:
                rows = dict(module.named_parameters(recurse=False))
                found = {name: keep.view(-1, *[1] * (tensor.ndim - 1)).expand(tensor.shape) for name, tensor in rows.items()}
            for name, mask in found.items():
                full = f"{member.layer}.{name}"
                masks[full] = masks[full] & mask if full in masks else mask
        return masks

    def __str__(self) -> str:
        head = f"{self.name}: {self.channels} channels" + (f", fixed ({self.fixed})" if self.fixed else "")
        width = max(len(member.layer) for member in self.members)
        lines = [f"  {member.side:<9} {member.layer:<{width}}  {member.why}" for member in self.members]
        return "\n".join([head, *lines, *(f"  joined    {join}" for join in self.joins)])


@dataclass(frozen=True, eq=False)
class DependencyGroups:
    """All groups of a network, and what counting its operations takes.

    Attributes:
        groups: by name, in the order of execution.
        layers: convolution or linear layer → (c_out, c_in/groups, kernel size k_h·k_w, positions of its output h·w).
    """

    groups: Mapping[str, DependencyGroup]
    layers: Mapping[str, tuple[int, int, int, int]]

    def __iter__(self) -> Iterator[DependencyGroup]:
        return iter(self.groups.values())

    def __getitem__(self, name: str) -> DependencyGroup:
        if name not in self.groups:
            raise ModelError(f"there is no dependency group {name!r}: known are {', '.join(self.groups)}")
        return self.groups[name]

    def __str__(self) -> str:
        return "\n".join(map(str, self))

    def macs(self, channels: Mapping[str, int] | None = None, weights: Mapping[str, float] | None = None) -> float:
        """Return the multiply-accumulates of one image in closed form, Σ c_out · c_in/groups · k_h·k_w · h·w.

        Args:
            channels: group → number of channels that stay; absent ones keep all.
            weights: layer → share of its weights that are not zero; absent ones count whole.
        """
        out = {layer: float(shape[0]) for layer, shape in self.layers.items()}
        into = {layer: float(shape[1]) for layer, shape in self.layers.items()}
        for name, kept in (channels or {}).items():
            group = self[name]
            for member in group.members:
                lost = int((member.index >= 0).sum()) * (1 - kept / group.channels)
                if member.makes_channels:
                    out[member.layer] -= lost
                elif member.side == "in":
                    into[member.layer] -= lost * self.layers[member.layer][1] / len(member.index)  # of each group's part
        shares = weights or {}
        return sum(out[layer] * into[layer] * k * hw * shares.get(layer, 1.0) for layer, (_, _, k, hw) in self.layers.items())


_traced: "WeakKeyDictionary[nn.Module, tuple[tuple[object, tuple[int, ...]], DependencyGroups]]" = WeakKeyDictionary()
_lock = threading.Lock()


def dependency_groups(model: nn.Module, example: Tensor | None = None) -> DependencyGroups:
    """Trace `model` and return its dependency groups; the same model is traced once.

    Args:
        model: left as it is; neither run nor put into another mode.
        example: float32 (n, c, h, w), one input; only its shape counts. None: use the trace made before.

    Raises:
        ModelError: it cannot be traced, or an operation joins channels in a way that labkit does not know; named.
        ConfigError: there is no example and the model was never traced.
    """
    parameters = tuple((name, tuple(each.shape)) for name, each in model.named_parameters())
    modules = tuple((name, type(each)) for name, each in model.named_modules())
    with _lock:
        known = _traced.get(model)
    if known is not None:
        (structure, shape), groups = known
        if structure == (parameters, modules) and (example is None or shape == tuple(example.shape[1:])):
            return groups
    if example is None:
        raise ConfigError("dependency_groups needs an example input, as this model was not traced before: pass one image (1, c, h, w)")
    groups = _grouped(_trace.walk(model, example))
    with _lock:
        _traced[model] = (((parameters, modules), tuple(example.shape[1:])), groups)
    return groups


def example_of(context: Context) -> Tensor | None:
    """Return one training image (1, c, h, w) of the context's data, None where it has none."""
    image: Tensor | None = context.data.train[:1].tensor() if context.data is not None else None
    return image


def _grouped(walk: _trace.Walk) -> DependencyGroups:
    """Sort what the walk found into groups: one for each set of channels that the same layers make."""
    united, made = walk.indices, [link for link in walk.links if link.side in ("out", "depthwise")]
    same_group = Indices(len(united))  # what one layer makes is one group
    for link in made:
        roots = united.roots(link.index)
        same_group.unite(roots, roots[:1] * len(roots))
    names: dict[int, str] = {}
    for link in made:
        names.setdefault(same_group.root(united.root(link.index[0])), link.layer)
    channels: dict[str, dict[int, int]] = {name: {} for name in names.values()}  # group → root of an index → channel
    for index in range(len(united)):
        root = united.root(index)
        if same_group.root(root) in names:
            places = channels[names[same_group.root(root)]]
            places.setdefault(root, len(places))
    return DependencyGroups({name: _group(name, walk, places) for name, places in channels.items()}, walk.layers)


def _group(name: str, walk: _trace.Walk, channel: dict[int, int]) -> DependencyGroup:
    members = []
    for link in walk.links:
        index = [channel.get(root, -1) for root in walk.indices.roots(link.index)]
        if max(index, default=-1) >= 0:
            members.append(Member(link.layer, link.side, torch.tensor(index), link.why))
    joins = tuple(join.why for join in walk.joins if any(root in channel for root in walk.indices.roots(join.index)))
    fixed = next((why for index, why in walk.fixed.items() if walk.indices.root(index) in channel), "")
    makers = {member.layer for member in members if member.makes_channels}
    norms = {layer: norm for layer, norm in walk.norms.items() if layer in makers}
    return DependencyGroup(name, len(channel), tuple(members), joins, fixed, norms)


def _columns(module: nn.Module, keep: Tensor) -> Tensor:
    """Return the mask of a weight whose input channels (c_in,) stay where `keep` says; groups read their own part."""
    weight = module.get_parameter("weight")
    parts = keep.view(-1, weight.shape[1])  # (groups, c_in / groups)
    rows = parts.repeat_interleave(weight.shape[0] // len(parts), dim=0)  # (c_out, c_in / groups)
    return rows.view(*rows.shape, *[1] * (weight.ndim - 2)).expand(weight.shape)
