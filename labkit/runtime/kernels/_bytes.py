"""Vectors of bytes and bits: dot products of four bytes a lane, and counting of bits; what `_vectors` is for floats.

Every operation is exact on every machine. All functions here are for use inside of kernels.
"""

from typing import Any

from llvmlite import ir
from numba import types

from labkit.runtime.kernels._simd import FEATURES, LANES, inline
from labkit.runtime.kernels._vectors import Vector, emit_address, emit_call, emit_joined, emit_lanes, emit_repeat

BYTES = 4 * LANES
COUNTS = "+avx512vpopcntdq" in FEATURES
"""Whether one instruction counts the bits of words; without it, counting those of bytes is cheaper."""
VNNI = LANES == 16 and "+avx512vnni" in FEATURES.split(",")
"""Whether one instruction does `dot`."""
AVX512BW, _AVX2 = ("+" + name in FEATURES.split(",") for name in ("avx512bw", "avx2"))
_SHUFFLES = AVX512BW if LANES == 16 else _AVX2 and LANES == 8
"""Whether registers of bytes and of 16-bit numbers have instructions of their own."""
_MADD = "llvm.x86.avx512.pmaddw.d.512" if LANES == 16 else "llvm.x86.avx2.pmadd.wd"
_I16, _I32 = ir.IntType(16), ir.IntType(32)


@inline
def ones(_: Any, a: Any) -> Any:
    """Return how many bits of each lane are set."""

    def emit(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        return emit_call(builder, f"llvm.ctpop.v{a.lanes}i{a.dtype.bitwidth}", a.ir, list(args))

    return a(a), emit


@inline
def dot(_: Any, a: Any, u: Any, v: Any) -> Any:
    """Return a + the sums of four products of neighbours: `LANES` int32, of unsigned bytes u and signed bytes v, exact."""

    def emit(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        return emit_dot(builder, *args)

    return a(a, u, v), emit


@inline
def add_fours(_: Any, sums: Any, x: Any, at: Any, word: Any) -> Any:
    """Return sums + the dot products of four bytes a lane, from byte `at` of flat x on, with the four signed bytes of a word.

    `sums` may span several registers of int32. x holds unsigned bytes, as int8.
    """

    def emit(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        weights, out = emit_repeat(builder, args[3], LANES), []
        start = emit_address(context, builder, x, args[1], args[2], weights.type)
        for n in range(sums.lanes // LANES):
            inputs = builder.load(builder.gep(start, [ir.Constant(_I32, n)]))
            inputs.align = 1
            out.append(emit_dot(builder, emit_lanes(builder, args[0], args[0], list(range(n * LANES, (n + 1) * LANES))), inputs, weights))
        return emit_joined(builder, out)

    return sums(sums, x, types.intp, types.int32), emit


@inline
def dot_short(_: Any, a: Any, u: Any, v: Any) -> Any:
    """Return what `dot` returns, where no u is above 127: then two products fit 16 bits, and fewer instructions do."""

    def emit(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        if VNNI or not _SHUFFLES:
            return emit_dot(builder, *args)
        half, name = ir.VectorType(_I16, 2 * LANES), "avx512" if LANES == 16 else "avx2"
        pairs = emit_call(builder, f"llvm.x86.{name}.pmaddubs.w.512" if LANES == 16 else "llvm.x86.avx2.pmadd.ub.sw", half, list(args[1:]))
        sums = [pairs, ir.Constant(half, [1] * (2 * LANES))]
        return builder.add(args[0], emit_call(builder, _MADD, args[0].type, sums))

    return a(a, u, v), emit


def emit_dot(builder: Any, a: Any, u: Any, v: Any) -> Any:
    """Emit what `dot` returns; u and v may be registers of bytes or of words."""
    words = [builder.bitcast(each, a.type) for each in (u, v)]
    if VNNI:
        return emit_call(builder, "llvm.x86.avx512.vpdpbusd.512", a.type, [a, *words])
    return (_dot_of_pairs if _SHUFFLES else _dot_of_words)(builder, a, words)


def _dot_of_pairs(builder: Any, a: Any, words: list[Any]) -> Any:
    """Emit the dot product by products of 16-bit numbers, which cannot overflow as sums of byte products in 16 bits can."""
    half = ir.VectorType(_I16, 2 * LANES)
    u, v = (builder.bitcast(each, half) for each in words)
    eight = ir.Constant(half, [8] * (2 * LANES))
    even = builder.and_(u, ir.Constant(half, [255] * (2 * LANES))), builder.ashr(builder.shl(v, eight), eight)
    odd = builder.lshr(u, eight), builder.ashr(v, eight)
    for pair in (even, odd):
        a = builder.add(a, emit_call(builder, _MADD, a.type, list(pair)))
    return a


def _dot_of_words(builder: Any, a: Any, words: list[Any]) -> Any:
    """Emit the dot product by products of 32-bit numbers."""

    def bits(count: int) -> Any:
        return ir.Constant(a.type, [count] * LANES)

    for byte in range(4):
        u = builder.and_(builder.lshr(words[0], bits(8 * byte)), bits(255))
        v = builder.ashr(builder.shl(words[1], bits(24 - 8 * byte)), bits(24))
        a = builder.add(a, builder.mul(u, v))
    return a


@inline
def low_bits(_: Any, a: Any, bits: Any) -> Any:
    """Return a register of bytes with all but the lowest bits of each byte made 0; `bits` is a literal."""
    vector = Vector(types.int8, BYTES)

    def emit(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        return builder.and_(builder.bitcast(args[0], vector.ir), ir.Constant(vector.ir, [(1 << bits.literal_value) - 1] * BYTES))

    return vector(a, bits), emit


@inline
def pick_byte(_: Any, table: Any, index: Any) -> Any:
    """Return table[index] for each of `BYTES` bytes; the table's 16 bytes are repeated over its register, indices are below 16."""

    def emit(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        if _SHUFFLES:
            return emit_call(builder, "llvm.x86.avx512.pshuf.b.512" if LANES == 16 else "llvm.x86.avx2.pshuf.b", table.ir, list(args))
        out = ir.Constant(table.ir, ir.Undefined)
        for place in (ir.Constant(_I32, lane) for lane in range(BYTES)):
            byte = builder.extract_element(args[0], builder.zext(builder.extract_element(args[1], place), _I32))
            out = builder.insert_element(out, byte, place)
        return out

    return table(table, index), emit


@inline
def repeat_word(_: Any, word: Any) -> Any:
    """Return the four bytes of an int32, repeated over `BYTES` int8."""
    vector = Vector(types.int8, BYTES)

    def emit(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        return builder.bitcast(emit_repeat(builder, args[0], LANES), vector.ir)

    return vector(types.int32), emit


@inline
def signs(_: Any, array: Any, index: Any) -> Any:
    """Return which of the 64 float32 from `index` on are below 0, the first in bit 0; -0 and NaN are not below."""

    def emit(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        vector, word = ir.VectorType(ir.FloatType(), LANES), ir.IntType(64)
        out = ir.Constant(word, 0)
        for start in range(0, 64, LANES):
            place = builder.add(args[1], ir.Constant(args[1].type, start))
            values = builder.load(emit_address(context, builder, array, args[0], place, vector))
            values.align = 4
            bits = builder.bitcast(builder.fcmp_ordered("<", values, ir.Constant(vector, None)), ir.IntType(LANES))
            out = builder.or_(out, builder.shl(builder.zext(bits, word), ir.Constant(word, start)))
        return out

    return types.int64(array, types.intp), emit
