"""Codes of one image as whole numbers in float32: getting in and out, requantization and residual addition.

An entry is q - Z, so that a border of zeros stands for 0 and the kernels of `csr_conv_one`, `dense_one` and `window_linear` sum
codes by weights: whole numbers below 2^24 are exact in float32 in whatever order they are added. What becomes of the sums is
computed in int64, as card `requantize` says. The layout is that of `csr_conv_one`, the columns of a step's row are those of `lanes`.
Source     Jacob et al. 2017, arXiv:1712.05877.
"""

from typing import Any

import numpy as np
from llvmlite import ir
from numba import types

from labkit.runtime.kernels._cache import kernel
from labkit.runtime.kernels._simd import LANES, Tile, clip, inline, splat, store_first
from labkit.runtime.kernels._vectors import Vector, emit_call, emit_repeat, entry, load
from labkit.runtime.kernels._vectors import splat as repeat
from labkit.runtime.kernels.int8_codes import ADD_BITS, rounded
from labkit.runtime.kernels.pixels import (
    CHANNELS,
    COLUMNS,
    FROM,
    FROM_PITCH,
    FROM_PLANE,
    OTHER,
    OTHER_PITCH,
    OTHER_PLANE,
    ROWS,
    TO,
    TO_PITCH,
    TO_PLANE,
    WINDOW,
)

LONGS, INTS, FLOATS = range(WINDOW + 6, WINDOW + 9)
"""More columns of a step's row: where its numbers begin among the pointers, the offsets and the biases."""

_TILE, _I32, _I64 = Tile(1, 1), ir.VectorType(ir.IntType(32), LANES), ir.VectorType(ir.IntType(64), LANES)


@kernel
def quantize_one(a, s, floats, low, high):  # type: ignore[no-untyped-def]
    """Write round(x / scale) + Z, halves to even, limited to a byte, less Z; NaN becomes the code 0.

    floats: scale and Z. low, high: 0 - Z and 255 - Z.
    """
    scale, zero = floats[s[FLOATS]], floats[s[FLOATS] + 1]
    for c in range(s[CHANNELS]):
        for i in range(s[ROWS]):
            x, y = s[FROM] + c * s[FROM_PLANE] + i * s[FROM_PITCH], s[TO] + c * s[TO_PLANE] + i * s[TO_PITCH]
            for j in range(0, s[COLUMNS], LANES):
                store_first(_nearest(load(a, x + j, LANES), scale, zero), a, y + j, s[COLUMNS] - j)


@kernel
def requantize_one(a, s, ints, low, high):  # type: ignore[no-untyped-def]
    """Write limited ((sums + added) · factor + 2^(shift-1)) >> shift, each channel with its own numbers.

    ints: added, factors, shifts, each for all channels, up to a multiple of `LANES`. low, high: least and largest code, less Z.
    """
    least, most, channels = np.int64(low), np.int64(high), s[CHANNELS]
    step = (channels + LANES - 1) // LANES * LANES
    if s[FROM_PLANE] == s[TO_PLANE] == 1:  # channels side by side
        for c in range(0, channels, LANES):
            at = s[INTS] + c
            value = rounded(
                load(a, s[FROM] + c, LANES), load(ints, at, LANES), load(ints, at + step, LANES), load(ints, at + 2 * step, LANES)
            )
            store_first(_limited(value, least, most), a, s[TO] + c, channels - c)
        return
    for c in range(channels):
        at = s[INTS] + c
        added, factor = repeat(entry(ints, at), LANES), repeat(entry(ints, at + step), LANES)
        shift = repeat(entry(ints, at + 2 * step), LANES)
        for i in range(s[ROWS]):
            x, y = s[FROM] + c * s[FROM_PLANE] + i * s[FROM_PITCH], s[TO] + c * s[TO_PLANE] + i * s[TO_PITCH]
            for j in range(0, s[COLUMNS], LANES):
                value = rounded(load(a, x + j, LANES), added, factor, shift)
                store_first(_limited(value, least, most), a, y + j, s[COLUMNS] - j)


@kernel
def add_codes_one(a, s, longs, low, high):  # type: ignore[no-untyped-def]
    """Write limited (a · factors[0] + b · factors[1] + 2^29) >> 30.

    longs: the two factors. low, high: least and largest code, less Z.
    """
    least, most, first, second = np.int64(low), np.int64(high), longs[s[LONGS]], longs[s[LONGS] + 1]
    for c in range(s[CHANNELS]):
        for i in range(s[ROWS]):
            x = s[FROM] + c * s[FROM_PLANE] + i * s[FROM_PITCH]
            z = s[OTHER] + c * s[OTHER_PLANE] + i * s[OTHER_PITCH]
            y = s[TO] + c * s[TO_PLANE] + i * s[TO_PITCH]
            for j in range(0, s[COLUMNS], LANES):
                value = _sum(load(a, x + j, LANES), load(a, z + j, LANES), first, second)
                store_first(_limited(value, least, most), a, y + j, s[COLUMNS] - j)


@kernel
def dequantize_one(a, s, longs, ints, low, high):  # type: ignore[no-untyped-def]
    """Write (x + added) · scale, limited, each channel with its own numbers.

    longs: the scales, the bits of float64. ints: added.
    """
    scales = longs.view(np.float64)
    for c in range(s[CHANNELS]):
        for i in range(s[ROWS]):
            x, y = s[FROM] + c * s[FROM_PLANE] + i * s[FROM_PITCH], s[TO] + c * s[TO_PLANE] + i * s[TO_PITCH]
            for j in range(s[COLUMNS]):
                real = np.float32((np.int64(a[x + j]) + ints[s[INTS] + c]) * scales[s[LONGS] + c])
                store_first(clip(splat(1, 1, real), low, high), a, y + j, 1)


@inline
def _nearest(_: Any, x: Any, scale: Any, zero: Any) -> Any:
    """Return round(x / scale) + zero of each lane, limited to [0, 255] with NaN as 0, less zero, as a tile."""

    def emit(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        scales, zeros = (emit_repeat(builder, each, LANES) for each in args[1:])
        none, most = ir.Constant(x.ir, [0.0] * LANES), ir.Constant(x.ir, [255.0] * LANES)
        code = emit_call(builder, f"llvm.rint.v{LANES}f32", x.ir, [builder.fdiv(args[0], scales)])
        code = builder.fadd(code, zeros)
        code = builder.select(builder.fcmp_ordered(">", code, none), code, none)
        code = builder.select(builder.fcmp_ordered("<", code, most), code, most)
        return _as_tile(builder, builder.fsub(code, zeros))

    return _TILE(x, types.float32, types.float32), emit


@inline
def _limited(_: Any, value: Any, low: Any, high: Any) -> Any:
    """Return int64 lanes limited to [low, high], which float32 holds, as a tile."""

    def emit(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        lows, highs = (emit_repeat(builder, each, LANES) for each in args[1:])
        above = emit_call(builder, f"llvm.smax.v{LANES}i64", _I64, [args[0], lows])
        limited = emit_call(builder, f"llvm.smin.v{LANES}i64", _I64, [above, highs])
        return _as_tile(builder, builder.sitofp(builder.trunc(limited, _I32), _TILE.ir.element))

    return _TILE(value, types.int64, types.int64), emit


@inline
def _sum(_: Any, a: Any, b: Any, first: Any, second: Any) -> Any:
    """Return (a · first + b · second + 2^(ADD_BITS-1)) >> ADD_BITS of each lane, as int64."""
    wide = Vector(types.int64, LANES)

    def emit(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        x, z = (builder.sext(builder.fptosi(each, _I32), _I64) for each in args[:2])
        f, g = (emit_repeat(builder, each, LANES) for each in args[2:])
        half, bits = (ir.Constant(_I64, [each] * LANES) for each in (1 << (ADD_BITS - 1), ADD_BITS))
        return builder.ashr(builder.add(builder.add(builder.mul(x, f), builder.mul(z, g)), half), bits)

    return wide(a, b, types.int64, types.int64), emit


def _as_tile(builder: Any, vector: Any) -> Any:
    return builder.insert_value(ir.Constant(_TILE.ir, ir.Undefined), vector, 0)
