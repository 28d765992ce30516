"""Products of one sample of bytes with weights that are codes of 2 or 4 bits: dynamic quantization's integer half.

A register of bytes holds codes of many inputs: byte b of a register those of the inputs b, b + BYTES, b + 2·BYTES, … of
its part. Codes become unsigned bytes, by a permutation where they are indices into a table, and a dot product of four
bytes a lane brings the inputs in. Sums of a row, or of a group of it, are exact in int32; `low` times the sum of the
inputs stands for what the unsigned bytes lie above the values that are meant.
"""

from typing import Any

import numpy as np

from labkit.runtime.kernels._bytes import BYTES, dot_short, low_bits, pick_byte
from labkit.runtime.kernels._cache import kernel
from labkit.runtime.kernels._simd import LANES
from labkit.runtime.kernels._vectors import TOGETHER, add, fma, load, mul, prefetch, right, splat, store, to_float, total, view

AHEAD = 4096  # bytes to prefetch ahead: weights from memory then cost almost what cached ones do
PART = 4 * BYTES
"""Inputs that one step of a row's kernel takes; rows are padded to a multiple."""


def _rows(bits: int, from_table: bool) -> Any:
    """Make the kernel whose rows have a scale each, for codes of `bits` bits that are values, or indices into a table."""
    size = PART * bits // 8

    @kernel
    def add_part(sums, codes, at, values, inputs):  # type: ignore[no-untyped-def]
        """Return a row's four sums, with the products of one part added."""
        first = view(load(codes, at, BYTES), np.int16)
        prefetch(codes, at + AHEAD)
        if bits == 4:
            third = view(load(codes, at + BYTES, BYTES), np.int16)
            prefetch(codes, at + BYTES + AHEAD)
        else:
            third = right(first, 4)
        e, f = low_bits(first, bits), low_bits(right(first, bits), bits)
        g, h = low_bits(third, bits), low_bits(right(third, bits), bits)
        if from_table:
            e, f, g, h = pick_byte(values, e), pick_byte(values, f), pick_byte(values, g), pick_byte(values, h)
        (a, b, c, d), (p, q, r, s) = sums, inputs
        return dot_short(a, e, p), dot_short(b, f, q), dot_short(c, g, r), dot_short(d, h, s)

    @kernel
    def byte_lookup_linear(codes, x, table, low, scales, y):  # type: ignore[no-untyped-def]
        """y[o] = scales[o] · Σ (value of the code + low) · x.

        codes: (out · parts · size) int8. x: (parts · PART) int8 in [-127, 127]. table: `BYTES` int8 in [0, 127], every 16
        the same; read only where codes are indices. low: int64. scales, y: (out,) float32; out is a multiple of `TOGETHER`.
        """
        parts, values, offset = x.size // PART, load(table, 0, BYTES), np.int64(0)
        for n in range(x.size):
            offset += x[n]
        offset *= low
        zero, row, half = splat(np.int32(0), LANES), parts * size, y.size // TOGETHER
        for o in range(half):
            a = b = (zero, zero, zero, zero)
            for part in range(parts):
                at, q = o * row + part * size, part * PART
                inputs = load(x, q, BYTES), load(x, q + BYTES, BYTES), load(x, q + 2 * BYTES, BYTES), load(x, q + 3 * BYTES, BYTES)
                a, b = add_part(a, codes, at, values, inputs), add_part(b, codes, at + half * row, values, inputs)
            y[o] = scales[o] * np.float32(np.int64(_sum(a)) + offset)
            y[o + half] = scales[o + half] * np.float32(np.int64(_sum(b)) + offset)

    return byte_lookup_linear


@kernel
def _sum(sums):  # type: ignore[no-untyped-def]
    a, b, c, d = sums
    return total(add(add(a, b), add(c, d)))


def _groups(bits: int) -> Any:
    """Make the kernel whose groups have a scale each and take whole registers of codes."""
    planes = 8 // bits

    @kernel
    def add_block(s, codes, at, x, q):  # type: ignore[no-untyped-def]
        """Return a row's sums, with the products of one register of codes added."""
        w = view(load(codes, at, BYTES), np.int16)
        prefetch(codes, at + AHEAD)
        for plane in range(planes):
            s = dot_short(s, low_bits(w, bits), load(x, q + plane * BYTES, BYTES))
            w = right(w, bits)
        return s

    @kernel
    def byte_lookup_linear_groups(codes, x, low, scales, count, starts, y):  # type: ignore[no-untyped-def]
        """y[o] = Σ scale of the group · Σ (code + low) · x; as `byte_lookup_linear`, with scales (out · groups).

        count: registers of codes in a group. starts: room for (groups, LANES) int32, what low adds to each group.
        """
        groups = x.size // (planes * BYTES * count)
        _add_lows(x, low, planes * count, starts)
        row, half = groups * count * BYTES, y.size // TOGETHER
        for o in range(half):
            first = second = splat(np.float32(0), LANES)
            for group in range(groups):
                a = b = load(starts, group * LANES, LANES)
                for block in range(group * count, (group + 1) * count):
                    at, q = o * row + block * BYTES, block * planes * BYTES
                    a, b = add_block(a, codes, at, x, q), add_block(b, codes, at + half * row, x, q)
                n = o * groups + group
                first = fma(to_float(a, np.float32), splat(scales[n], LANES), first)
                second = fma(to_float(b, np.float32), splat(scales[n + half * groups], LANES), second)
            y[o], y[o + half] = total(first), total(second)

    return byte_lookup_linear_groups


def _parts(bits: int, steps: int) -> Any:
    """Make the kernel for groups of which a register holds several: `steps` codes of each byte are of one."""
    planes = 8 // bits

    @kernel
    def byte_lookup_linear_parts(codes, x, low, scales, starts, y):  # type: ignore[no-untyped-def]
        """As `byte_lookup_linear_groups`."""
        blocks, runs = x.size // (planes * BYTES), planes // steps
        _add_lows(x, low, steps, starts)
        for o in range(y.size):
            sums = splat(np.float32(0), LANES)
            for block in range(blocks):
                at = (o * blocks + block) * BYTES
                w = view(load(codes, at, BYTES), np.int16)
                prefetch(codes, at + AHEAD)
                for run in range(block * runs, (block + 1) * runs):
                    s = load(starts, run * LANES, LANES)
                    for i in range(steps):
                        s = dot_short(s, low_bits(w, bits), load(x, (run * steps + i) * BYTES, BYTES))
                        w = right(w, bits)
                    sums = fma(to_float(s, np.float32), splat(scales[o * blocks * runs + run], LANES), sums)
            y[o] = total(sums)

    return byte_lookup_linear_parts


@kernel
def _add_lows(x, low, registers, starts):  # type: ignore[no-untyped-def]
    """Write low · (the sums of x, four neighbours a lane, over a run of registers) to starts, `LANES` int32 a run."""
    for run in range(x.size // (registers * BYTES)):
        s = splat(np.int32(0), LANES)
        for n in range(run * registers, (run + 1) * registers):
            s = dot_short(s, splat(np.int8(1), BYTES), load(x, n * BYTES, BYTES))
        store(starts, run * LANES, mul(s, splat(np.int32(low), LANES)))


ROWS = {(bits, from_table): _rows(bits, from_table) for bits in (2, 4) for from_table in (False, True)}
"""(bits, whether codes are indices into a table) → kernel."""
GROUPS = {bits: _groups(bits) for bits in (2, 4)}
PARTS = {(bits, steps): _parts(bits, steps) for bits, steps in ((2, 1), (2, 2), (4, 1))}
"""(bits, codes of a byte that are of one group) → kernel."""
