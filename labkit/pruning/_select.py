"""The one place where scores become masks: counting, ties, scope, what may not empty, and what to tell about it.

A criterion calls `select` with its saliency. The order of the parts: granularity (which weights go together), ratio (how
many groups go), scores, choice, masks. A ratio that searches (sensitivity, AMC) finds in `context.call` what it needs:
`units()` → name → number of groups, `masks(ratios)` → the masks that these ratios would give, and
`macs(zeros)` → share of the MACs that they would leave.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import cached_property
from typing import Any

import torch
from torch import Tensor, nn

from labkit.core.errors import ModelError
from labkit.core.records import Masks, Ratios
from labkit.core.registry import Context, method_of
from labkit.pruning._config import PruningConfig
from labkit.pruning.dependency import DependencyGroups, dependency_groups, example_of
from labkit.pruning.groups import Groups

Saliency = Callable[[str, Groups], Tensor]
"""(layer, its groups) → scores (G,); the lowest are dropped first."""


def select(model: nn.Module, config: PruningConfig, context: Context, saliency: Saliency) -> Masks:
    """Choose what goes, as granularity, ratio and scope of `config` say, by the scores of `saliency`.

    Raises:
        ModelError: a weight or a score is NaN or infinite; the message names the tensor.
    """
    groups: Mapping[str, Groups] = method_of(config.granularity).run(model, config.granularity, context)
    selection = Selection(model, groups, config.scope, saliency, context)
    if all(each.choose is not None for each in groups.values()):
        return _recalibrating(selection.masks(Ratios({})), model, config)
    call: dict[str, Callable[..., Any]] = {**context.call, "units": selection.units, "masks": selection.masks, "macs": selection.macs}
    ratios: Ratios = method_of(config.ratio).run(model, config.ratio, replace(context, call=call))
    return _recalibrating(selection.masks(ratios), model, config)


def _recalibrating(masks: Masks, model: nn.Module, config: PruningConfig) -> Masks:
    """Ask for batch norm to be measured anew, where there is any and something was dropped: its statistics no longer fit."""
    dropped = any(not bool(keep.all()) for keep in masks.keep.values())
    has_norm = any(isinstance(module, nn.modules.batchnorm._BatchNorm) for module in model.modules())
    return replace(masks, recalibrate=config.recalibrate if dropped and has_norm else 0)


@dataclass(frozen=True)
class Unit:
    """What is chosen as one: the groups of a layer, or the channels that several layers share.

    Attributes:
        name: of the layer, or of the dependency group.
        layers: the layers whose scores add up.
        groups: of the first of them; they agree in everything but the weight's shape and index.
    """

    name: str
    layers: tuple[str, ...]
    groups: Groups


@dataclass(frozen=True, eq=False)
class Selection:
    """One pruning step, with everything but the ratios decided; scores are computed once."""

    model: nn.Module
    groups: Mapping[str, Groups]
    scope: str
    saliency: Saliency
    context: Context

    def units(self) -> dict[str, int]:
        """Return the number of groups of each unit."""
        return {unit.name: unit.groups.count for unit in self._units}

    def masks(self, ratios: Ratios) -> Masks:
        """Return the masks for these ratios (unit or layer → sparsity; absent ones stay dense)."""
        notes = list(ratios.notes)
        keeps = self._chosen(ratios.zeros)
        keep: dict[str, Tensor] = {}
        channels: dict[str, Tensor] = {}
        for unit in self._units:
            chosen = keeps[unit.name]
            if unit.groups.dependency is not None:
                channels[unit.name] = chosen
                for name, mask in unit.groups.dependency.masks(self.model, chosen).items():
                    keep[name] = keep[name] & mask if name in keep else mask
            else:
                keep[f"{unit.name}.weight"] = self.groups[unit.name].expand(chosen)
            notes += _unit_notes(unit, chosen)
        notes.append(self._summary(keeps, keep))
        return Masks(keep, channels, tuple(notes))

    def macs(self, zeros: Mapping[str, float]) -> float:
        """Return the share of the whole network's MACs that remains at these sparsities, unit or layer → sparsity.

        Counted from the masks that the sparsities give, so that it holds for either scope.
        """
        channels, weights = {}, {}
        for name, keep in self._chosen(zeros).items():
            groups = self._by_name[name].groups
            if groups.dependency is not None:
                channels[name] = int(keep.sum())
            else:
                weights[name] = int(groups.expand(keep).sum()) / math.prod(groups.shape)
        return self._plan.macs(channels, weights) / self._plan.macs()

    @cached_property
    def _plan(self) -> DependencyGroups:
        return dependency_groups(self.model, example_of(self.context))

    @cached_property
    def _units(self) -> list[Unit]:
        layers: dict[str, list[str]] = {}
        for layer, each in self.groups.items():
            layers.setdefault(each.dependency.name if each.dependency is not None else layer, []).append(layer)
        return [Unit(name, tuple(members), self.groups[members[0]]) for name, members in layers.items()]

    @cached_property
    def _by_name(self) -> dict[str, Unit]:
        return {unit.name: unit for unit in self._units}

    @cached_property
    def _scores(self) -> dict[str, Tensor]:
        """Unit → (G,); a group that the masks in force have dropped already comes before all others."""
        scores = {}
        for unit in self._units:
            parts = [self._checked(layer) for layer in unit.layers]
            total = parts[0] if len(parts) == 1 else torch.stack([part.double() for part in parts]).sum(0)
            gone = self._gone(unit)
            scores[unit.name] = total if gone is None else total.masked_fill(gone, -math.inf)
        return scores

    def _checked(self, layer: str) -> Tensor:
        weight = self.model.get_parameter(f"{layer}.weight")
        if not torch.isfinite(weight.detach()).all():
            raise ModelError(f"the tensor '{layer}.weight' holds NaN or an infinity: the network is damaged, load or train it again")
        scores = self.saliency(layer, self.groups[layer])
        if not torch.isfinite(scores).all():
            raise ModelError(f"the scores of '{layer}.weight' hold NaN or an infinity: use another criterion, or scale the weights down")
        return scores

    def _gone(self, unit: Unit) -> Tensor | None:
        """Return which groups (G,) the masks in force have emptied in all of the unit's layers; None where no mask is."""
        in_force = self.context.masks.keep if self.context.masks is not None else {}
        masks = {layer: in_force[f"{layer}.weight"] for layer in unit.layers if f"{layer}.weight" in in_force}
        if len(masks) < len(unit.layers):
            return None
        left = [self.groups[layer].sum(mask.double()) for layer, mask in masks.items()]
        return torch.stack(left).sum(0) == 0

    def _count(self, unit: Unit, zeros: Mapping[str, float]) -> int:
        most = unit.groups.count - unit.groups.keeps_one
        return min(drop_count(self._sparsity(unit, zeros), unit.groups.count), most)

    @staticmethod
    def _sparsity(unit: Unit, zeros: Mapping[str, float]) -> float:
        return next((zeros[name] for name in (unit.name, *unit.layers) if name in zeros), 0.0)

    def _chosen(self, zeros: Mapping[str, float]) -> dict[str, Tensor]:
        """Return unit → bool (G,), True keeps."""
        own = {unit.name: unit.groups.choose(self._scores[unit.name]) for unit in self._units if unit.groups.choose is not None}
        rest = [unit for unit in self._units if unit.name not in own]
        if self.scope == "layer" or not rest:
            return own | {unit.name: drop_lowest(self._scores[unit.name], self._count(unit, zeros)) for unit in rest}
        return own | self._chosen_globally(rest, zeros)

    def _chosen_globally(self, units: list[Unit], zeros: Mapping[str, float]) -> dict[str, Tensor]:
        """Pool the groups of all units; the best of a unit that may not empty is taken out of the pool."""
        shares = [self._sparsity(unit, zeros) for unit in units]
        sizes = [unit.groups.count for unit in units]
        exact = sum((_exact(share) * size for share, size in zip(shares, sizes, strict=True)), Fraction(0))
        pool = []
        for unit in units:
            scores = self._scores[unit.name].double()
            if unit.groups.keeps_one:
                scores = scores.clone()
                scores[len(scores) - 1 - int(scores.flip(0).argmax())] = (
                    math.inf
                )  # of equal ones the last, as dropping begins with the first
            pool.append(scores)
        most = sum(unit.groups.count - unit.groups.keeps_one for unit in units)
        keep = drop_lowest(torch.cat(pool), min(_nearest(exact), most))
        return {unit.name: part for unit, part in zip(units, keep.split(sizes), strict=True)}

    def _summary(self, keeps: Mapping[str, Tensor], keep: Mapping[str, Tensor]) -> str:
        """Say what was dropped, and the sparsity that this makes."""
        groups = sum(each.numel() for each in keeps.values())
        dropped = groups - sum(int(each.sum()) for each in keeps.values())
        if not keeps:
            return "nothing was dropped: no channel of these layers may go (the network's logits, or groups that reach into other layers)"
        if dropped == 0:
            return "nothing was dropped: the sparsity is too low for the number of groups"
        weights = [mask for mask in keep.values() if mask.ndim > 1]  # of the layers and of those that read their channels
        total = sum(mask.numel() for mask in weights)
        zeros = total - sum(int(mask.sum()) for mask in weights)
        went = f"{zeros:,} of {total:,} weights, a share of {zeros / total:.4f}"
        return f"{dropped:,} of {groups:,} groups dropped: {went}"


def drop_count(sparsity: float, groups: int) -> int:
    """Return ⌊s·G + ½⌋ for the decimal number that was written: 0.145 of 100 is 15, though 0.145 · 100 is below 14.5."""
    return _nearest(_exact(sparsity) * groups)


def _exact(sparsity: float) -> Fraction:
    return Fraction(repr(float(sparsity)))


def _nearest(count: Fraction) -> int:
    return math.floor(count + Fraction(1, 2))


def drop_lowest(scores: Tensor, count: int) -> Tensor:
    """Return the mask (G,) that drops the `count` lowest of `scores` (G,); of equal ones the first in order goes first.

    A selection in linear time; the mask is that of a stable sort, so masks for growing counts nest.
    """
    keep = torch.ones_like(scores, dtype=torch.bool)
    if count <= 0:
        return keep
    threshold = scores.kthvalue(count).values
    keep = scores > threshold
    spare = count - int((scores < threshold).sum())  # how many of those at the threshold go
    at = (scores == threshold).nonzero().flatten()
    keep[at[spare:]] = True
    return keep


def _unit_notes(unit: Unit, keep: Tensor) -> list[str]:
    notes = [f"{unit.name}: {unit.groups.note}"] if unit.groups.note else []
    if unit.groups.dependency is not None and unit.groups.count == 1:
        notes.append(f"{unit.name} has one channel: there is nothing to drop")
    if not bool(keep.any()):
        notes.append(f"layer {unit.name} collapsed: every weight is zero")
    return notes
