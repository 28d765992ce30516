"""Which packed weights are codes of 2 or 4 bits into one short table, as the kernels of `lookup_linear` take them."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from labkit.formats import Format
from labkit.formats.binary import BinaryTensor
from labkit.formats.codebook import CodebookTensor
from labkit.formats.linear import LinearTensor
from labkit.formats.ternary import TernaryTensor
from labkit.runtime.kernels._simd import LANES


class Codes:
    """A weight as indices into a short table, times scales.

    Attributes:
        indices: (out, inputs), below 2^bits.
        table: up to 2^bits float32.
        scales: (out, 1), or (out, groups).
        bits: 2 or 4.
        group: inputs that share a scale; 0 for all of a row.
    """

    def __init__(self, indices: NDArray[Any], table: NDArray[Any], scales: NDArray[Any], bits: int, group: int = 0) -> None:
        self.indices, self.table, self.bits, self.group = indices, table.astype(np.float32), 2 if bits <= 2 else 4, group
        rows = len(indices)
        self.scales = (
            np.broadcast_to(scales.reshape(-1, 1), (rows, 1)) if scales.size in (1, rows) and not group else scales.reshape(rows, -1)
        )


def codes_of(weight: Format) -> Codes | None:
    """Return a weight as codes for `lookup_linear`; None where it is no such thing."""
    if len(weight.shape) != 2:
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
    steps, per = weight.group // LANES, 32 // (2 if weight.bits <= 2 else 4)
    fits = weight.group % LANES == 0 and (not weight.group or (per % steps == 0 if steps <= per else steps % per == 0))
    if weight.bits > 4 or not one_point or not fits:
        return None
    low = -(1 << (weight.bits - 1)) if weight.signed else 0
    point = 0 if weight.zero_points is None else int(weight.zero_points[0])
    table = np.arange(1 << weight.bits) + low - point
    return Codes((weight.codes.astype(np.int16) - low).astype(np.uint8), table, weight.scales, weight.bits, weight.group)
