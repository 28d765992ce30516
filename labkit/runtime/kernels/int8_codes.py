"""What stands between integer layers: getting into codes, requantization, residual addition and pooling, pixel by pixel.

Images are (n, h, w, c), flat, so that neighbours are channels of one pixel and each channel has its own multiplier.
Source     Jacob et al. 2017, arXiv:1712.05877; one rounding: halves go up.
"""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numpy.typing import NDArray

from labkit.core.errors import ModelError
from labkit.runtime.kernels._cache import kernel
from labkit.runtime.kernels._simd import LANES, inline
from labkit.runtime.kernels._vectors import Vector, emit_call, emit_repeat, load, store

ADD_BITS = 30
"""Bits behind the point of the two factors of a residual addition."""


@dataclass(frozen=True)
class Requantization:
    """How sums become codes, by card `requantize`.

    Attributes:
        added: int64 (out,), added to the sums before.
        factors, shifts: int64 (out,); see `multiplier_of`.
        zero, low, high: codes.
    """

    added: NDArray[np.int64]
    factors: NDArray[np.int64]
    shifts: NDArray[np.int64]
    zero: int
    low: int
    high: int


@kernel
def quantize(x, y, channels, pixels, scale, zero):  # type: ignore[no-untyped-def]
    """Write round(x / scale) + zero, halves to even, limited to a byte; NaN becomes 0.

    x: float32 (n, channels, pixels), flat. y: uint8 (n, pixels, channels), flat. scale: float32. zero: float32.
    """
    for image in range(x.size // (channels * pixels)):
        for c in range(channels):
            start = (image * channels + c) * pixels
            for p in range(pixels):
                code = np.rint(x[start + p] / scale) + zero
                code = code if code > np.float32(0) else np.float32(0)
                y[image * channels * pixels + p * channels + c] = np.uint8(min(code, np.float32(255)))


@kernel
def requantize(sums, added, factors, shifts, zero, low, high, y):  # type: ignore[no-untyped-def]
    """Write limited ((((sums + added) · factor + 2^(shift-1)) >> shift) + zero), each channel with its own factor.

    sums: whole numbers (positions, channels), int32 or float32, flat. added, factors, shifts: int32, one a channel, repeated
    up to a multiple of `LANES`; see `multiplier_of`. zero, low, high: codes, int64. y: as many uint8.
    """
    period, size = factors.size, sums.size
    for start in range(0, size, period):
        last = min(period, size - start)
        for c in range(0, last - LANES + 1, LANES):
            values = load(sums, start + c, LANES), load(added, c, LANES)
            codes = rounded(values[0], values[1], load(factors, c, LANES), load(shifts, c, LANES))
            store(y, start + c, _limited(codes, zero, low, high))
        for c in range(last // LANES * LANES, last):
            wide = np.int64(np.int32(sums[start + c]) + added[c]) * factors[c] + (np.int64(1) << (shifts[c] - 1))
            y[start + c] = min(max((wide >> shifts[c]) + zero, low), high)


@inline
def rounded(_: Any, sums: Any, added: Any, factors: Any, shifts: Any) -> Any:
    """Return ((sums + added) · factor + 2^(shift-1)) >> shift of `LANES` neighbours, as int64."""
    wide = Vector(types.int64, LANES)

    def emit(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        whole = builder.fptosi(args[0], added.ir) if sums.is_float else args[0]
        value, factor = (builder.sext(each, wide.ir) for each in (builder.add(whole, args[1]), args[2]))
        shift, one = builder.zext(args[3], wide.ir), ir.Constant(wide.ir, [1] * LANES)
        half = builder.shl(one, builder.sub(shift, one))
        return builder.ashr(builder.add(builder.mul(value, factor), half), shift)

    return wide(sums, added, factors, shifts), emit


@inline
def _limited(_: Any, value: Any, zero: Any, low: Any, high: Any) -> Any:
    """Return value + zero, limited to [low, high], as uint8."""
    out, kind = Vector(types.uint8, value.lanes), f"v{value.lanes}i{value.dtype.bitwidth}"

    def emit(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        ends = [builder.trunc(each, value.ir.element) if value.dtype.bitwidth < 64 else each for each in args[1:]]
        zeros, lows, highs = (emit_repeat(builder, each, value.lanes) for each in ends)
        above = emit_call(builder, f"llvm.smax.{kind}", value.ir, [builder.add(args[0], zeros), lows])
        return builder.trunc(emit_call(builder, f"llvm.smin.{kind}", value.ir, [above, highs]), out.ir)

    return out(value, types.int64, types.int64, types.int64), emit


@kernel
def add(a, b, y, zeros, factors, zero, low, high):  # type: ignore[no-untyped-def]
    """Write limited ((((a - zeros[0]) · factors[0] + (b - zeros[1]) · factors[1] + 2^29) >> 30) + zero); bytes and int64.

    Factors of 2^32 and more, of codes that are much coarser than the sum's, go one by one.
    """
    fixed = (zero << ADD_BITS) + (1 << (ADD_BITS - 1)) - zeros[0] * factors[0] - zeros[1] * factors[1]
    whole = y.size // LANES * LANES if max(factors[0], factors[1]) < 1 << 32 else 0
    for n in range(0, whole, LANES):
        store(y, n, _limited(_weighted(load(a, n, LANES), load(b, n, LANES), factors[0], factors[1], fixed), 0, low, high))
    for n in range(whole, y.size):
        y[n] = min(max((np.int64(a[n]) * factors[0] + np.int64(b[n]) * factors[1] + fixed) >> ADD_BITS, low), high)


@inline
def _weighted(_: Any, a: Any, b: Any, left: Any, right: Any, fixed: Any) -> Any:
    """Return (a · left + b · right + fixed) >> `ADD_BITS` of bytes and factors below 2^32, as int32."""
    wide, out = ir.VectorType(ir.IntType(64), a.lanes), Vector(types.int32, a.lanes)

    def emit(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        below = ir.Constant(wide, [(1 << 32) - 1] * a.lanes)  # says that one instruction does the product
        factors = [builder.and_(emit_repeat(builder, each, a.lanes), below) for each in args[2:4]]
        products = [builder.mul(builder.zext(each, wide), factor) for each, factor in zip(args[:2], factors, strict=True)]
        total = builder.add(builder.add(*products), emit_repeat(builder, args[4], a.lanes))
        return builder.trunc(builder.ashr(total, ir.Constant(wide, [ADD_BITS] * a.lanes)), out.ir)

    return out(a, b, types.int64, types.int64, types.int64), emit


@kernel
def max_pool(x, y, window, stride, padding):  # type: ignore[no-untyped-def]
    """Write the largest entry of each window; what is padded does not count.

    x: (n, h, w, c) float32, int32 or uint8. y: (n, h', w', c) of the same type. window, stride, padding: pairs.
    """
    images, height, width, channels = y.shape
    rows, columns = x.shape[1], x.shape[2]
    flat, out = x.reshape(x.size), y.reshape(y.size)
    for n in range(images):
        for i in range(height):
            top, bottom = max(i * stride[0] - padding[0], 0), min(i * stride[0] - padding[0] + window[0], rows)
            for j in range(width):
                left, right = max(j * stride[1] - padding[1], 0), min(j * stride[1] - padding[1] + window[1], columns)
                at = ((n * height + i) * width + j) * channels
                for c in range(0, channels - LANES + 1, LANES):
                    best = load(flat, ((n * rows + top) * columns + left) * channels + c, LANES)
                    for u in range(top, bottom):
                        for v in range(left, right):
                            best = _larger(best, load(flat, ((n * rows + u) * columns + v) * channels + c, LANES))
                    store(out, at + c, best)
                for c in range(channels // LANES * LANES, channels):
                    most = x[n, top, left, c]
                    for u in range(top, bottom):
                        for v in range(left, right):
                            most = max(most, x[n, u, v, c])
                    out[at + c] = most


@inline
def _larger(_: Any, a: Any, b: Any) -> Any:
    """Return the larger of two vectors, lane by lane."""

    def emit(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        if a.is_float:
            return builder.select(builder.fcmp_ordered(">", *args), *args)
        name = f"llvm.{'smax' if a.dtype.signed else 'umax'}.v{a.lanes}i{a.dtype.bitwidth}"
        return emit_call(builder, name, a.ir, list(args))

    return a(a, a), emit


@kernel
def window_sums(x, y, zero):  # type: ignore[no-untyped-def]
    """Write the sums of x - zero over parts of the image, as `adaptive_avg_pool2d` divides it.

    x: uint8 (n, h, w, c). y: int32 (n, parts down, parts across, c).
    """
    images, down, across, channels = y.shape
    height, width = x.shape[1], x.shape[2]
    for n in range(images):
        for i in range(down):
            for j in range(across):
                for c in range(channels):
                    y[n, i, j, c] = 0
                for u in range(i * height // down, -(-(i + 1) * height // down)):
                    for v in range(j * width // across, -(-(j + 1) * width // across)):
                        for c in range(channels):
                            y[n, i, j, c] += np.int32(x[n, u, v, c]) - zero


def multiplier_of(scale: float, layer: str = "a layer") -> tuple[int, int]:
    """Return (M0, s) with M0 · 2^-s next to a scale and M0 in [2^30, 2^31).

    Args:
        scale: S_w · S_x / S_y, above 0.
        layer: named in the error.

    Raises:
        ModelError: the scale cannot be written so with a shift of 1 to 62.
    """
    fraction, exponent = math.frexp(scale if math.isfinite(scale) else 0.0)
    factor = round(fraction * 2**31)  # Python rounds halves to even
    if factor == 2**31:
        factor, exponent = factor // 2, exponent + 1
    shift = 31 - exponent
    if not scale > 0 or not 1 <= shift <= 62:
        raise ModelError(f"{layer} cannot be requantized by {scale:g}: the scale must be in [2^-32, 2^29]; check its calibration")
    return factor, shift
