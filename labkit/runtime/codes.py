"""Which packed weights are codes of 2 or 4 bits into one short table, as the kernels of `lookup_linear` take them."""

from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from labkit.formats import Format
from labkit.formats.binary import BinaryTensor
from labkit.formats.codebook import CodebookTensor
from labkit.formats.linear import LinearTensor
from labkit.formats.ternary import TernaryTensor

SPAN = 126
"""Steps between the least and the largest entry of a table that is rounded to bytes: 127 at most when both are rounded."""


class Codes:
    """A weight as indices into a short table, times scales.

    Attributes:
        indices: (out, inputs), below 2^bits.
        table: up to 2^bits float32.
        scales: float32 (out, 1), or (out, groups).
        bits: 2 or 4.
        group: inputs that share a scale; 0 for all of a row.
    """

    def __init__(self, indices: NDArray[Any], table: NDArray[Any], scales: NDArray[Any], bits: int, group: int = 0) -> None:
        self.indices, self.table, self.bits, self.group = indices, table.astype(np.float32), 2 if bits <= 2 else 4, group
        rows = len(indices)
        self.scales = (
            np.broadcast_to(scales.reshape(-1, 1), (rows, 1)) if scales.size in (1, rows) and not group else scales.reshape(rows, -1)
        )

    def unpack(self) -> NDArray[np.float32]:
        """Return the weight, (out, inputs)."""
        scales = np.repeat(self.scales, self.group, axis=1)[:, : self.indices.shape[1]] if self.group else self.scales
        return np.asarray(self.table[self.indices] * scales, np.float32)

    def whole(self) -> Self:
        """Return codes with whole numbers in the table, at most 127 apart.

        They stand for the same weight where the table had such ones; else its entries become multiples of a step,
        (largest - least) / `SPAN`, so that none is off by more than half of it and a 0 stays 0.
        """
        table = self.table.astype(np.float64)
        spread = float(table.max() - table.min())
        if (table == np.rint(table)).all() and spread <= SPAN + 1 and np.abs(table).max() <= 1 << 20:
            return self
        step = spread / SPAN or abs(float(table[0]))
        scales = (self.scales * step).astype(np.float32)
        return type(self)(self.indices, np.rint(table / step), scales, self.bits, self.group)


def codes_of(weight: Format | None) -> Codes | None:
    """Return a weight as codes; None where it is no such thing."""
    if weight is None or len(weight.shape) != 2:
        return None
    if isinstance(weight, CodebookTensor) and weight.bits <= 4:
        return Codes(weight.indices, weight.centroids, np.ones(1, np.float32), weight.bits)
    if isinstance(weight, BinaryTensor):
        return Codes(weight.signs.astype(np.uint8), np.array([-1, 1]), weight.scales, 2)
    if isinstance(weight, TernaryTensor):
        return _ternary_codes(weight)
    return _linear_codes(weight) if isinstance(weight, LinearTensor) else None


def _ternary_codes(weight: TernaryTensor) -> Codes | None:
    below, indices = weight.negative_scales, weight.signs + 1
    if below is None:
        return Codes(indices, np.array([-1, 0, 1]), weight.scales, 2)
    if below.size > 1:
        return None
    return Codes(indices, np.array([-below[0], 0, weight.scales[0]]), np.ones(1, np.float32), 2)


def _linear_codes(weight: LinearTensor) -> Codes | None:
    one_point = weight.zero_points is None or weight.zero_points.size == 1
    if weight.bits > 4 or not one_point:
        return None
    low = -(1 << (weight.bits - 1)) if weight.signed else 0
    point = 0 if weight.zero_points is None else int(weight.zero_points[0])
    table = np.arange(1 << weight.bits) + low - point
    group = weight.group if weight.group < weight.shape[1] else 0  # one group a row, however wide a file says it is
    return Codes((weight.codes.astype(np.int16) - low).astype(np.uint8), table, weight.scales, weight.bits, group)
