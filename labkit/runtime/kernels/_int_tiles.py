"""Tiles of whole sums: what the integer convolutions keep in registers.

A `Sums` is a Numba value of pixels × vectors of `LANES` int32, one lane an output channel; a `Places` holds where the windows
of as many pixels begin. All functions here are for use inside of kernels.
"""

from typing import Any

from llvmlite import ir
from numba import types
from numba.extending import models, register_model

from labkit.runtime.kernels._bytes import BYTES, emit_dot
from labkit.runtime.kernels._simd import LANES, inline
from labkit.runtime.kernels._vectors import emit_address, emit_call, emit_lanes, emit_repeat

_I8, _I32, _I64 = ir.IntType(8), ir.IntType(32), ir.IntType(64)
_WORDS, _BYTES = ir.VectorType(_I32, LANES), ir.VectorType(_I8, BYTES)


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
            vector = emit_load(builder, start, v)
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
        vectors = [emit_load(builder, start, v) for v in range(sums.vectors)]
        for p in range(sums.pixels):
            place = builder.gep(builder.extract_value(args[1], p), [args[2]])
            word = builder.load(builder.bitcast(place, _I32.as_pointer()))
            word.align = 1
            inputs = emit_repeat(builder, word, LANES)
            for v, vector in enumerate(vectors):
                n = p * sums.vectors + v
                out = builder.insert_value(out, emit_dot(builder, builder.extract_value(out, n), inputs, vector), n)
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
        vectors = [emit_load(builder, start, v) for v in range(4)]
        for p in range(sums.pixels):
            parts = []
            for tap in taps:
                place = builder.gep(builder.extract_value(args[1], p), [tap])
                parts.append(builder.load(builder.bitcast(place, _BYTES.as_pointer())))
                parts[-1].align = 1
            for v, inputs in enumerate(_emit_fours(builder, parts)):
                n = 4 * p + v
                out = builder.insert_value(out, emit_dot(builder, builder.extract_value(out, n), inputs, vectors[v]), n)
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


def emit_load(builder: Any, start: Any, number: int) -> Any:
    """Emit a load of vector `number` from an address on."""
    value = builder.load(builder.gep(start, [ir.Constant(_I32, number)]))
    value.align = 1
    return value
