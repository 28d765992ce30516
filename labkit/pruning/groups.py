"""How the weights of one layer form groups: what a granularity returns and a criterion scores.

A group stays or goes as a whole. Most granularities only say which weight belongs to which group. One that fixes its own
share of zeros (N:M, patterns) also brings `choose`; one whose groups reach into other layers (channels) brings the
dependency group.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

if TYPE_CHECKING:
    from labkit.pruning.dependency import DependencyGroup


@dataclass(frozen=True, eq=False)
class Groups:
    """The groups of one layer's weight.

    Attributes:
        shape: of the weight, (c_o, c_i/groups, k_h, k_w) or (out, in).
        count: number of groups, G.
        index: int64, broadcastable to `shape`: group of each weight in [0, G). None: each weight is a group.
        keeps_one: at least one group stays at any sparsity.
        choose: scores (G,) → bool (G,), True keeps, for a granularity that fixes its own sparsity; the ratio is not asked.
        note: what a person should know of how this layer is treated ("1×1 kernels have no patterns: left dense"); "" for nothing.
        dependency: what shrinks together with this layer, where groups are channels; their scores add up over its layers.
    """

    shape: tuple[int, ...]
    count: int
    index: Tensor | None = None
    keeps_one: bool = True
    choose: Callable[[Tensor], Tensor] | None = None
    note: str = ""
    dependency: "DependencyGroup | None" = None

    @property
    def is_single(self) -> bool:
        """Whether each weight is a group of its own."""
        return self.index is None

    def sum(self, values: Tensor) -> Tensor:
        """Add up over the members of each group; a group shorter than the largest counts as its mean times the full length (not so for channels).

        Args:
            values: one per weight, of `shape`; or of the index's own shape ((c_o, 1, 1, 1), one per filter).

        Returns:
            (G,), float64 where something was added, so that the layout in memory does not decide ties.
        """
        if self.index is None:
            return values.flatten()
        total = _add(values.double(), self.index, self.count)
        if self.dependency is not None:
            return total  # a channel's score is a sum over layers; what each adds is not rescaled
        size = _add(torch.ones_like(values, dtype=torch.float64), self.index, self.count)
        return total * (size.max() / size)

    def expand(self, keep: Tensor) -> Tensor:
        """Return the mask of `shape` that keeps the members of the groups for which `keep` (G,) is True."""
        return keep.reshape(self.shape) if self.index is None else keep[self.index].expand(self.shape).contiguous()


def _add(values: Tensor, index: Tensor, count: int) -> Tensor:
    one = [dim for dim, size in enumerate(index.shape) if size == 1]
    rows = values.sum(dim=one, keepdim=True) if one else values
    return rows.new_zeros(count).index_add_(0, index.flatten(), rows.flatten())
