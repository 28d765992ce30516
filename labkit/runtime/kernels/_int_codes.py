"""Tiles of sums become codes: the exact requantization of card `requantize`, register by register.

All functions here are for use inside of kernels.
Source     Jacob et al. 2017, arXiv:1712.05877; one rounding: halves go up.
"""

from typing import Any

from llvmlite import ir
from numba import types

from labkit.runtime.kernels._bytes import AVX512BW, BYTES
from labkit.runtime.kernels._int_tiles import CHANNELS, Sums, emit_load
from labkit.runtime.kernels._simd import LANES, inline
from labkit.runtime.kernels._vectors import emit_address, emit_call, emit_lanes, emit_repeat

_I8, _I32, _I64 = ir.IntType(8), ir.IntType(32), ir.IntType(64)
_WORDS, _WIDE, _BYTES = ir.VectorType(_I32, LANES), ir.VectorType(_I64, LANES // 2), ir.VectorType(_I8, BYTES)


@inline
def store_codes(_: Any, sums: Any, scaling: Any, column: Any, limits: Any, y: Any, at: Any, pitch: Any, count: Any) -> Any:
    """Requantize a tile by card `requantize` and write its codes.

    Args:
        sums: the tile.
        scaling: flat int32 (2, columns), a multiple of `LANES`: factors, and shifts less 32.
        column: of the tile's first output.
        limits: flat int32: zero point, lowest and highest code.
        y: flat uint8; pixel p is written from at + p · pitch on.
        at: see `y`.
        pitch: see `y`.
        count: outputs that are written, at most as many as the tile has.
    """

    def emit(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        vectors, ends = _emit_requantized(context, builder, sums, scaling, limits, args)
        masks = [_emit_mask(builder, builder.sub(args[7], ir.Constant(_I64, v * LANES)), LANES) for v in range(sums.vectors)]
        for n in range(0, len(vectors), 4):
            packed = _emit_packed(builder, (vectors[n : n + 4] * 2)[:4], ends)
            for k in range(n, min(n + 4, len(vectors))):
                pixel, v = divmod(k, sums.vectors)
                codes = emit_lanes(builder, packed, packed, [CHANNELS[lane + LANES * (k - n)] for lane in range(LANES)])
                place = builder.add(args[5], builder.mul(args[6], ir.Constant(_I64, pixel)))
                target = emit_address(context, builder, y, args[4], builder.add(place, ir.Constant(_I64, v * LANES)), codes.type)
                _emit_masked_store(builder, codes, target, masks[v])
        return context.get_dummy_value()

    return types.void(sums, scaling, types.intp, limits, y, types.intp, types.intp, types.intp), emit


@inline
def store_channels(_: Any, sums: Any, scaling: Any, column: Any, limits: Any, y: Any, at: Any, pitch: Any, count: Any) -> Any:
    """Do what `store_codes` does with a tile of four vectors in the order of `CHANNELS`, which end up in their own."""

    def emit(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        vectors, ends = _emit_requantized(context, builder, sums, scaling, limits, args)
        mask = _emit_mask(builder, args[7], BYTES)
        for pixel in range(sums.pixels):
            codes = _emit_packed(builder, vectors[4 * pixel : 4 * pixel + 4], ends)
            place = builder.add(args[5], builder.mul(args[6], ir.Constant(_I64, pixel)))
            _emit_masked_store(builder, codes, emit_address(context, builder, y, args[4], place, _BYTES), mask)
        return context.get_dummy_value()

    return types.void(sums, scaling, types.intp, limits, y, types.intp, types.intp, types.intp), emit


def _emit_requantized(context: Any, builder: Any, sums: Sums, scaling: Any, limits: Any, args: Any) -> tuple[list[Any], list[Any]]:
    """Emit a tile's sums times their factors, rounded, as int32; and zero point, lowest and highest code. See `store_codes`."""
    columns = builder.udiv(context.make_array(scaling)(context, builder, args[1]).nitems, ir.Constant(_I64, 2))
    factors = emit_address(context, builder, scaling, args[1], args[2], _WORDS)
    shifts = emit_address(context, builder, scaling, args[1], builder.add(args[2], columns), _WORDS)
    first = emit_address(context, builder, limits, args[3], ir.Constant(_I64, 0), _I32)
    ends = [builder.load(builder.gep(first, [ir.Constant(_I32, n)])) for n in range(3)]
    out: list[Any] = [None] * (sums.pixels * sums.vectors)
    for v in range(sums.vectors):  # one after the other, since what a vector needs takes five registers
        scales = _terms(builder, emit_load(builder, factors, v), emit_load(builder, shifts, v))
        for n in range(v, len(out), sums.vectors):
            out[n] = _emit_scaled(builder, builder.extract_value(args[0], n), scales)
    return out, ends


def _terms(builder: Any, factors: Any, shifts: Any) -> Any:
    """Emit what the products of even and of odd lanes need, 64 bits each: (factor, half of the last place kept); and the shifts."""
    one, less = (ir.Constant(_WIDE, [n] * (LANES // 2)) for n in (1, 31))
    pairs = []
    for odd in (False, True):
        half = builder.shl(one, builder.add(_emit_wide(builder, shifts, odd), less))
        pairs.append((_emit_wide(builder, factors, odd), half))
    return pairs, shifts


def _emit_wide(builder: Any, words: Any, odd: bool) -> Any:
    """Emit the even or the odd lanes as 64-bit numbers."""
    thirty_two, wide = ir.Constant(_WIDE, [32] * (LANES // 2)), builder.bitcast(words, _WIDE)
    return builder.ashr(wide if odd else builder.shl(wide, thirty_two), thirty_two)


def _emit_scaled(builder: Any, sums: Any, scales: Any) -> Any:
    """Emit (sums · factor + 2^(shift-1)) >> shift: the upper halves of the products, shifted by what is left.

    Flooring twice is flooring once.
    """
    pairs, shifts = scales
    products = []
    for odd, (factor, half) in enumerate(pairs):
        product = builder.add(builder.mul(_emit_wide(builder, sums, bool(odd)), factor), half)
        products.append(builder.bitcast(product, _WORDS))
    upper = emit_lanes(builder, products[0], products[1], [LANES + n if n % 2 else n + 1 for n in range(LANES)])
    return builder.ashr(upper, shifts)


def _emit_packed(builder: Any, four: list[Any], ends: list[Any]) -> Any:
    """Emit the codes of four registers of int32 as one of bytes: lane n of it is that of lane and register `CHANNELS.index(n)`.

    On the way through 16 bits and then 8 they saturate, which only limiting follows.
    """
    half = ir.VectorType(ir.IntType(16), 2 * LANES)
    zero = emit_repeat(builder, builder.trunc(ends[0], half.element), 2 * LANES)
    low, high = (emit_repeat(builder, builder.trunc(end, _I8), BYTES) for end in ends[1:])
    halves = [_emit_narrow(builder, four[n : n + 2], half, (-(1 << 15), (1 << 15) - 1)) for n in (0, 2)]
    halves = [emit_call(builder, f"llvm.sadd.sat.v{2 * LANES}i16", half, [each, zero]) for each in halves]
    codes = _emit_narrow(builder, halves, _BYTES, (0, 255))
    codes = emit_call(builder, f"llvm.umax.v{BYTES}i8", _BYTES, [codes, low])
    return emit_call(builder, f"llvm.umin.v{BYTES}i8", _BYTES, [codes, high])


def _emit_narrow(builder: Any, two: list[Any], out: Any, ends: tuple[int, int]) -> Any:
    """Emit two registers limited to the ends and in half the bits, each 16 bytes of both side by side."""
    if LANES == 16 and AVX512BW:
        return emit_call(builder, "llvm.x86.avx512.packssdw.512" if out.element.width == 16 else "llvm.x86.avx512.packuswb.512", out, two)
    kind, parts = two[0].type, []
    for each in two:
        name = f"v{kind.count}i{kind.element.width}"
        for which, end in zip(("smax", "smin"), ends, strict=True):
            each = emit_call(builder, f"llvm.{which}.{name}", kind, [each, ir.Constant(kind, [end] * kind.count)])
        parts.append(builder.trunc(each, ir.VectorType(out.element, kind.count)))
    per = 128 // kind.element.width
    places = [start + which * kind.count + n for start in range(0, kind.count, per) for which in (0, 1) for n in range(per)]
    return emit_lanes(builder, parts[0], parts[1], places)


def _emit_mask(builder: Any, count: Any, lanes: int) -> Any:
    """Emit which of the lanes are below a count."""
    return builder.icmp_signed("<", ir.Constant(ir.VectorType(_I64, lanes), list(range(lanes))), emit_repeat(builder, count, lanes))


def _emit_masked_store(builder: Any, codes: Any, target: Any, mask: Any) -> None:
    name = f"llvm.masked.store.v{codes.type.count}i8.p0"
    kind = ir.FunctionType(ir.VoidType(), [codes.type, target.type, _I32, mask.type])
    function = builder.module.globals.get(name) or ir.Function(builder.module, kind, name)
    builder.call(function, [codes, target, ir.Constant(_I32, 1), mask])
