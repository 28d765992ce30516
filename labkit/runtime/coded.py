"""Linear layers whose weights are codes of 2 or 4 bits, with float inputs and with inputs that are rounded to bytes.

Dynamic quantization: each sample's inputs become round(127 · x / max|x|), so that products and sums are those of integers.
Source     one scale a sample: "token-wise" in Yao et al. 2022 (ZeroQuant), arXiv:2206.01861.
Deviation  Entries of a codebook are rounded as well, to `codes.SPAN` steps between the least and the largest.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from labkit.formats import Format
from labkit.runtime._layer import FEW, Layer, Values, limited, one_by_one
from labkit.runtime.codes import Codes, codes_of
from labkit.runtime.kernels import byte_lookup_linear as on_byte
from labkit.runtime.kernels import lookup_linear
from labkit.runtime.kernels._bytes import BYTES
from labkit.runtime.kernels._simd import LANES, aligned, on_a_line
from labkit.runtime.kernels._vectors import TOGETHER
from labkit.runtime.steps import Step

LEAST_PEAK = np.float32(1e-30)
"""Inputs that are smaller all become 0."""
_MOST_INPUTS = (1 << 31) // 127**2 - on_byte.PART  # whose products fit a sum of 32 bits


def looks_up(weight: Format) -> bool:
    """Tell whether a kernel for float inputs runs on this weight."""
    codes = codes_of(weight)
    return codes is not None and _fits(codes)


def on_bytes(codes: Codes, step: Step) -> Layer:
    """Return the fastest layer for inputs that are whole numbers in [-127, 127]; `codes` must be whole."""
    steps, planes = codes.group // BYTES, 8 // codes.bits
    runs = codes.group % BYTES == 0 and (steps % planes == 0 or (codes.bits, steps) in on_byte.PARTS)
    if codes.indices.shape[1] <= _MOST_INPUTS and runs and (not codes.group or _rises(codes)):
        return ByteLookup(codes, step)
    return on_floats(codes, step) if _fits(codes) else Unpacked(step, codes)


def with_inputs(steps: Sequence[Step]) -> list[Step]:
    """Return the steps with 8-bit inputs for every linear layer whose weight is codes of 2 or 4 bits."""
    return [replace(step, input_bits=8) if step.op == "linear" and codes_of(step.weight) is not None else step for step in steps]


def rounded(x: Values) -> tuple[Values, Values]:
    """Round each sample by its own largest value.

    Args:
        x: (n, inputs).

    Returns:
        Whole numbers in [-127, 127], (n, inputs), and scales (n, 1), so that |x - scale · number| <= scale / 2. A sample
        that holds NaN or infinity has a scale that is not finite.
    """
    peak = np.maximum(np.abs(x).max(axis=1, keepdims=True, initial=0), LEAST_PEAK)
    with np.errstate(invalid="ignore"):
        return np.rint(x * (np.float32(127) / peak)), peak / np.float32(127)


class Rounded:
    """A layer whose inputs are rounded to bytes.

    Args:
        step: the layer.
        inner: the same layer without bias and limits, for inputs that are whole.
    """

    def __init__(self, step: Step, inner: Layer) -> None:
        self._step, self._inner = step, inner

    def __call__(self, x: Values) -> Values:
        whole, scales = rounded(x)
        with np.errstate(invalid="ignore"):
            return limited(self._inner(whole) * scales, self._step)


class Unpacked:
    """A layer on unpacked weights.

    Args:
        step: the layer.
        codes: what to unpack in place of the step's weight.
    """

    def __init__(self, step: Step, codes: Codes | None = None) -> None:
        self._step, self._codes = step, codes
        self._dense: Values | None = None

    def __call__(self, x: Values) -> Values:
        if self._dense is None:
            weight = self._codes.unpack() if self._codes else self._step.weight.unpack() if self._step.weight else np.zeros((0, x.shape[1]))
            self._dense = np.ascontiguousarray(weight.T, np.float32)
        return limited(x @ self._dense, self._step)


def on_floats(codes: Codes, step: Step) -> Layer:
    """Return the fastest layer for float inputs; `looks_up` must hold."""
    pairs = lookup_linear.PAIRS and codes.bits == 2 and not codes.group
    return PairLookup(codes, step) if pairs else Lookup(codes, step)


class _Coded:
    """A layer on codes; many samples are multiplied with the unpacked weight."""

    def __init__(self, codes: Codes, step: Step, one: Callable[[Values], Values]) -> None:
        self._step, self._one, self._many = step, one, Unpacked(step, codes)

    def __call__(self, x: Values) -> Values:
        return one_by_one(x, self._step, self._one) if len(x) <= FEW else self._many(x)


class Lookup(_Coded):
    """A layer by `lookup_linear`."""

    def __init__(self, codes: Codes, step: Step) -> None:
        super().__init__(codes, step, self._run)
        self._bits, self._group, per = codes.bits, codes.group, 32 // codes.bits
        indices = _padded(codes, per * LANES).astype(np.uint32)
        words = indices.reshape(len(indices), -1, per, LANES) << (np.arange(per, dtype=np.uint32) * np.uint32(codes.bits))[:, None]
        self._words = on_a_line(np.bitwise_or.reduce(words, axis=2)).view(np.int32)
        self._table, self._x, self._y = aligned(16), aligned(indices.shape[1]), np.zeros(len(indices), np.float32)
        self._table[: len(codes.table)], self._out = codes.table, len(codes.indices)
        self._scales = _padded_scales(codes, indices.shape[1])

    def _run(self, row: Values) -> Values:
        self._x[: len(row)] = row
        if not self._group:
            lookup_linear.ROWS[self._bits](self._words, self._x, self._table, self._scales, self._y)
            return self._y[: self._out]
        per, steps = 32 // self._bits, self._group // LANES
        kernel = lookup_linear.GROUPS[self._bits, min(steps, per)]
        kernel(self._words, self._x, self._table, self._scales, max(1, steps // per), self._y)
        return self._y[: self._out]


class PairLookup(_Coded):
    """A layer by `lookup_linear_pairs`."""

    def __init__(self, codes: Codes, step: Step) -> None:
        super().__init__(codes, step, self._run)
        (self._out, width), table = codes.indices.shape, np.zeros(4, np.float32)
        indices = np.zeros((-(-width // 16), 16, -(-self._out // LANES) * LANES), np.uint32)
        indices.reshape(-1, indices.shape[2])[:width, : self._out] = codes.indices.T
        self._words = on_a_line(np.bitwise_or.reduce(indices << np.arange(0, 32, 2, dtype=np.uint32)[:, None], axis=1)).view(np.int32)
        table[: len(codes.table)] = codes.table
        self._table = on_a_line(np.concatenate([np.tile(table, 4), np.repeat(table, 4)]))
        self._x, self._sums = aligned(16 * len(indices)), aligned(128 * len(indices))
        self._y, self._scales = aligned(indices.shape[2]), aligned(indices.shape[2])
        self._scales[: self._out] = codes.scales[:, 0]

    def _run(self, row: Values) -> Values:
        self._x[: len(row)] = row
        lookup_linear.lookup_linear_pairs(self._words, self._x, self._table, self._scales, self._sums, self._y)
        return self._y[: self._out]


class ByteLookup(_Coded):
    """A layer by `byte_lookup_linear`, for inputs that are whole numbers in [-127, 127] and whole codes."""

    def __init__(self, codes: Codes, step: Step) -> None:
        super().__init__(codes, step, self._run)
        planes = 8 // codes.bits
        self._bits, self._from_table, self._registers = codes.bits, not _rises(codes), codes.group // BYTES
        indices = _padded(codes, on_byte.PART if not codes.group else planes * BYTES)
        parts = indices.reshape(len(indices), -1, planes, BYTES) << (np.arange(planes, dtype=np.uint8) * np.uint8(codes.bits))[:, None]
        self._codes = on_a_line(np.bitwise_or.reduce(parts, axis=2)).view(np.int8)
        self._low, table = np.int64(codes.table.min()), np.zeros(16, np.int8)
        table[: len(codes.table)] = np.minimum(codes.table - codes.table.min(), 127)
        self._table, self._scales = np.tile(table, BYTES // 16), _padded_scales(codes, indices.shape[1])
        self._x, self._y = on_a_line(np.zeros(indices.shape[1], np.int8)), np.zeros(len(indices), np.float32)
        self._starts, self._out = aligned(indices.shape[1] // 4).view(np.int32), len(codes.indices)

    def _run(self, row: Values) -> Values:
        with np.errstate(invalid="ignore"):
            self._x[: len(row)] = row
        planes, group = 8 // self._bits, self._registers
        if not group:
            kernel = on_byte.ROWS[self._bits, self._from_table]
            kernel(self._codes, self._x, self._table, self._low, self._scales, self._y)
        elif group % planes == 0:
            on_byte.GROUPS[self._bits](self._codes, self._x, self._low, self._scales, group // planes, self._starts, self._y)
        else:
            on_byte.PARTS[self._bits, group](self._codes, self._x, self._low, self._scales, self._starts, self._y)
        return self._y[: self._out]


def _fits(codes: Codes) -> bool:
    """Tell whether a kernel for float inputs takes the codes' groups."""
    steps, per = codes.group // LANES, 32 // codes.bits
    return codes.group % LANES == 0 and (not codes.group or (per % steps == 0 if steps <= per else steps % per == 0))


def _rises(codes: Codes) -> bool:
    """Tell whether each entry of the table is one more than the last, so that codes are values but for a constant."""
    return bool((np.diff(codes.table) == 1).all())


def _padded(codes: Codes, register: int) -> NDArray[np.uint8]:
    """Return the indices with rows padded to whole groups and whole registers of codes, and with rows that nobody reads."""
    rows, width = codes.indices.shape
    unit = math.lcm(codes.group or 1, register)
    out = np.zeros((_whole(rows), -(-width // unit) * unit), np.uint8)
    out[:rows, :width] = codes.indices
    return out


def _whole(rows: int) -> int:
    """Return the rows that a kernel computes, which takes several together."""
    return -(-rows // TOGETHER) * TOGETHER


def _padded_scales(codes: Codes, width: int) -> Values:
    """Return the scales of all groups of rows that were padded to `width`, flat."""
    rows, groups = codes.scales.shape
    out = np.zeros((_whole(rows), width // codes.group if codes.group else 1), np.float32)
    out[:rows, :groups] = codes.scales
    return out.reshape(-1)
