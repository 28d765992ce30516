"""Tiles of whole sums: what the integer convolutions keep in registers.

A `Sums` is a Numba value of pixels × vectors of `LANES` int32, one lane an output channel; a `Places` holds where the windows
of as many pixels begin. All functions here are for use inside of kernels.
"""

from typing import Any

from llvmlite import ir
from numba import types
from numba.extending import models, register_model

from labkit.runtime.kernels._bytes import AVX512BW, BYTES, _emit_dot
from labkit.runtime.kernels._simd import LANES, inline
from labkit.runtime.kernels._vectors import emit_address, emit_call, emit_lanes, emit_repeat

_I8, _I32, _I64 = ir.IntType(8), ir.IntType(32), ir.IntType(64)
_WORDS, _WIDE, _BYTES = ir.VectorType(_I32, LANES), ir.VectorType(_I64, LANES // 2), ir.VectorType(_I8, BYTES)


CHANNELS = [16 * (lane // 4) + 4 * v + lane % 4 for v in range(4) for lane in range(LANES)]
"""Which of `BYTES` channels each lane of four registers holds, so that bytes become words and words bytes within 16 bytes."""


class Sums(types.Type):
    """The Numba type of a tile of sums."""

    def __init__(self, pixels: int, vectors: int) -> None:
        super().__init__(f"Sums({pixels}, {vectors}, {LANES})")
        self.pixels, self.vectors = pixels, vectors
        self.ir = ir.ArrayType(_WORDS, pixels * vectors)


class Places(types.Type):
    """The Numba type of the addresses of some pixels' windows."""

    def __init__(self, pixels: int) -> None:
        super().__init__(f"Places({pixels})")
        self.pixels, self.ir = pixels, ir.ArrayType(_I8.as_pointer(), pixels)


@register_model(Sums)
@register_model(Places)
class _TileModel(models.PrimitiveModel):
    def __init__(self, manager: Any, kind: Any) -> None:
        super().__init__(manager, kind, kind.ir)  # type: ignore[no-untyped-call]


@inline
def places(_: Any, x: Any, start: Any, table: Any, at: Any, pixels: Any) -> Any:
    """Return where pixels begin: byte start + table[at + p] of flat bytes x, for p below the literal `pixels`."""
    kind = Places(pixels.literal_value)

    def emit(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        base, out = emit_address(context, builder, x, args[0], args[1], _I8), ir.Constant(kind.ir, ir.Undefined)
        first = emit_address(context, builder, table, args[2], args[3], _I32)
        for p in range(kind.pixels):
            offset = builder.sext(builder.load(builder.gep(first, [ir.Constant(_I32, p)])), _I64)
            out = builder.insert_value(out, builder.gep(base, [offset]), p)
        return out

    return kind(x, types.intp, table, types.intp, pixels), emit


@inline
def repeat(_: Any, array: Any, at: Any, pixels: Any, vectors: Any) -> Any:
    """Return a tile whose every pixel has the entries of flat int32 `array` from `at` on."""
    tile = Sums(pixels.literal_value, vectors.literal_value)

    def emit(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        out, start = ir.Constant(tile.ir, ir.Undefined), emit_address(context, builder, array, args[0], args[1], _WORDS)
        for v in range(tile.vectors):
            vector = _load(builder, start, v)
            for p in range(tile.pixels):
                out = builder.insert_value(out, vector, p * tile.vectors + v)
        return out

    return tile(array, types.intp, pixels, vectors), emit


@inline
def add_words(_: Any, sums: Any, where: Any, offset: Any, weights: Any, at: Any) -> Any:
    """Return sums + four bytes of each pixel's window times the weights of every output.

    Args:
        sums: the tile.
        where: the pixels' windows, as many as the tile has.
        offset: from a window's first byte to the four.
        weights: flat int8; four of each output of the tile, from `at` on.
        at: see `weights`.
    """

    def emit(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        out, start = args[0], emit_address(context, builder, weights, args[3], args[4], _WORDS)
        vectors = [_load(builder, start, v) for v in range(sums.vectors)]
        for p in range(sums.pixels):
            place = builder.gep(builder.extract_value(args[1], p), [args[2]])
            word = builder.load(builder.bitcast(place, _I32.as_pointer()))
            word.align = 1
            inputs = emit_repeat(builder, word, LANES)
            for v, vector in enumerate(vectors):
                n = p * sums.vectors + v
                out = builder.insert_value(out, _emit_dot(builder, builder.extract_value(out, n), inputs, vector), n)
        return out

    return sums(sums, where, types.intp, weights, types.intp), emit


@inline
def add_taps(_: Any, sums: Any, where: Any, offsets: Any, number: Any, channel: Any, weights: Any, at: Any) -> Any:
    """Return sums + four taps of each pixel's window times weights, every channel by itself.

    Args:
        sums: a tile of four vectors a pixel, of `BYTES` channels in the order of `CHANNELS`.
        where: the pixels' windows.
        offsets: flat int32; the four taps lie at the entries from `number` on.
        number: see `offsets`.
        channel: the first.
        weights: flat int8; four of each channel of the tile, from `at` on.
        at: see `weights`.
    """

    def emit(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        first, out = emit_address(context, builder, offsets, args[2], args[3], _I32), args[0]
        taps = [builder.load(builder.gep(first, [ir.Constant(_I32, n)])) for n in range(4)]
        taps = [builder.add(builder.sext(tap, _I64), args[4]) for tap in taps]
        start = emit_address(context, builder, weights, args[5], args[6], _WORDS)
        vectors = [_load(builder, start, v) for v in range(4)]
        for p in range(sums.pixels):
            parts = []
            for tap in taps:
                place = builder.gep(builder.extract_value(args[1], p), [tap])
                parts.append(builder.load(builder.bitcast(place, _BYTES.as_pointer())))
                parts[-1].align = 1
            for v, inputs in enumerate(_emit_fours(builder, parts)):
                n = 4 * p + v
                out = builder.insert_value(out, _emit_dot(builder, builder.extract_value(out, n), inputs, vectors[v]), n)
        return out

    return sums(sums, where, offsets, types.intp, types.intp, weights, types.intp), emit


def _emit_fours(builder: Any, parts: list[Any]) -> list[Any]:
    """Emit four registers of words, each of the bytes that four registers have at one place, in the order of `CHANNELS`.

    Each half of 16 bytes is interleaved by itself, which is one instruction a register.
    """
    halves = ir.VectorType(ir.IntType(16), 2 * LANES)

    def interleaved(a: Any, b: Any, upper: int) -> Any:
        per = 128 // a.type.element.width
        places = [start + upper * per // 2 + n for start in range(0, a.type.count, per) for n in range(per // 2)]
        return emit_lanes(builder, a, b, [place + which for place in places for which in (0, a.type.count)])

    pairs = [[builder.bitcast(interleaved(parts[n], parts[n + 1], upper), halves) for n in (0, 2)] for upper in (0, 1)]
    return [builder.bitcast(interleaved(pair[0], pair[1], upper), _WORDS) for pair in pairs for upper in (0, 1)]


@inline
def largest_of_four(_: Any, sums: Any) -> Any:
    """Return the maxima over each four neighbouring pixels of a tile."""
    tile = Sums(sums.pixels // 4, sums.vectors)

    def emit(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        out = ir.Constant(tile.ir, ir.Undefined)
        for n in range(tile.pixels * tile.vectors):
            pixel, v = divmod(n, tile.vectors)
            best, *rest = (builder.extract_value(args[0], (4 * pixel + k) * tile.vectors + v) for k in range(4))
            for each in rest:
                best = emit_call(builder, f"llvm.smax.v{LANES}i32", _WORDS, [best, each])
            out = builder.insert_value(out, best, n)
        return out

    return tile(sums), emit


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
        scales = _terms(builder, _load(builder, factors, v), _load(builder, shifts, v))
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


def _load(builder: Any, start: Any, number: int) -> Any:
    """Emit a load of vector `number` from an address on."""
    value = builder.load(builder.gep(start, [ir.Constant(_I32, number)]))
    value.align = 1
    return value
