"""Vectors of floats, words and bytes, for kernels that decode packed weights.

A `Vector` is a Numba value of a type and a number of lanes, which may span several registers. Where the processor has an
instruction for a step (a permutation) it is taken, elsewhere LLVM makes one of plain ones: every
kernel gives the same on every machine, floats but for the order of sums. All functions here are for use inside of kernels.
"""

from typing import Any

from llvmlite import ir
from numba import types
from numba.extending import models, register_model

from labkit.runtime.kernels._simd import FEATURES, FUSES, LANES, inline

TOGETHER = 2
"""Rows that take turns in a loop: they share the inputs that are read, and neither waits for its own last sum. They lie
far apart, in halves of the weight, since memory hands out two streams faster than one."""
_AVX2 = "+avx2" in FEATURES
_F32, _I32 = ir.FloatType(), ir.IntType(32)


class Vector(types.Type):
    """The Numba type of a vector."""

    def __init__(self, dtype: Any, lanes: int) -> None:
        super().__init__(f"Vector({dtype}, {lanes})")
        self.dtype, self.lanes = dtype, lanes
        self.ir = ir.VectorType(_F32 if dtype is types.float32 else ir.IntType(dtype.bitwidth), lanes)

    @property
    def is_float(self) -> bool:
        return self.dtype is types.float32


@register_model(Vector)
class _VectorModel(models.PrimitiveModel):
    def __init__(self, manager: Any, kind: Vector) -> None:
        super().__init__(manager, kind, kind.ir)  # type: ignore[no-untyped-call]


def emit_call(builder: Any, name: str, result: Any, args: list[Any]) -> Any:
    """Emit a call of an LLVM function; declared by hand, since Numba's builder would mangle its name."""
    known = builder.module.globals.get(name)
    return builder.call(known or ir.Function(builder.module, ir.FunctionType(result, [arg.type for arg in args]), name), args)


def emit_address(context: Any, builder: Any, kind: Any, array: Any, index: Any, target: Any) -> Any:
    """Emit the address of what starts at entry `index` of a flat array, as a pointer to `target`."""
    data = context.make_array(kind)(context, builder, array).data
    return builder.bitcast(builder.gep(data, [index]), target.as_pointer())


def emit_repeat(builder: Any, scalar: Any, lanes: int) -> Any:
    """Emit a vector that repeats a scalar."""
    nothing = ir.Constant(ir.VectorType(scalar.type, lanes), ir.Undefined)
    first = builder.insert_element(nothing, scalar, ir.Constant(_I32, 0))
    return builder.shuffle_vector(first, nothing, ir.Constant(ir.VectorType(_I32, lanes), [0] * lanes))


@inline
def load(_: Any, array: Any, index: Any, lanes: Any) -> Any:
    """Return the vector of `lanes` entries that starts at `index` of a flat array."""
    vector = Vector(array.dtype, lanes.literal_value)

    def emit(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        value = builder.load(emit_address(context, builder, array, args[0], args[1], vector.ir))
        value.align = 1
        return value

    return vector(array, types.intp, lanes), emit


@inline
def entry(_: Any, array: Any, index: Any) -> Any:
    """Return entry `index` of a flat array, which must be there: without the check for indices below 0 that Numba adds."""

    def emit(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        return builder.load(builder.gep(context.make_array(array)(context, builder, args[0]).data, [args[1]]))

    return array.dtype(array, types.intp), emit


@inline
def store(_: Any, array: Any, index: Any, value: Any) -> Any:
    """Write a vector to a flat array of its type, from `index` on."""

    def emit(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        builder.store(args[2], emit_address(context, builder, array, args[0], args[1], value.ir)).align = 1
        return context.get_dummy_value()

    return types.void(array, types.intp, value), emit


@inline
def prefetch(_: Any, array: Any, index: Any) -> Any:
    """Ask for the line of the cache around entry `index`, which may lie beyond the array."""

    def emit(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        byte = emit_address(context, builder, array, args[0], args[1], ir.IntType(8))
        emit_call(builder, "llvm.prefetch.p0i8", ir.VoidType(), [byte, *(ir.Constant(_I32, n) for n in (0, 3, 1))])
        return context.get_dummy_value()

    return types.void(array, types.intp), emit


@inline
def splat(_: Any, scalar: Any, lanes: Any) -> Any:
    """Return a vector whose every lane is `scalar`."""
    scalar = types.unliteral(scalar)  # type: ignore[no-untyped-call]
    vector = Vector(scalar, lanes.literal_value)

    def emit(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        return emit_repeat(builder, args[0], vector.lanes)

    return vector(scalar, lanes), emit


@inline
def fma(_: Any, a: Any, b: Any, c: Any) -> Any:
    """Return a · b + c."""

    def emit(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        if FUSES:
            return emit_call(builder, f"llvm.fma.v{a.lanes}f32", a.ir, list(args))
        return builder.fadd(builder.fmul(args[0], args[1]), args[2])

    return a(a, a, a), emit


def _binary(integer: str, real: str) -> Any:
    """Make an operation of two vectors of one type from the builder's methods for integers and floats."""

    @inline
    def op(_: Any, a: Any, b: Any) -> Any:
        def emit(context: Any, builder: Any, sig: Any, args: Any) -> Any:
            return getattr(builder, real if a.is_float else integer)(*args)

        return a(a, a), emit

    return op


add, sub, mul = _binary("add", "fadd"), _binary("sub", "fsub"), _binary("mul", "fmul")
xor, both, either = _binary("xor", ""), _binary("and_", ""), _binary("or_", "")


def _shift(method: str) -> Any:
    """Make a shift of every lane by a literal number of bits."""

    @inline
    def op(_: Any, a: Any, bits: Any) -> Any:
        def emit(context: Any, builder: Any, sig: Any, args: Any) -> Any:
            return getattr(builder, method)(args[0], ir.Constant(a.ir, [bits.literal_value] * a.lanes))

        return a(a, bits), emit

    return op


left, right, right_signed = _shift("shl"), _shift("lshr"), _shift("ashr")


@inline
def clip(_: Any, a: Any, low: Any, high: Any) -> Any:
    """Return a vector of floats limited to [low, high]; NaN stays."""

    def emit(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        width = min(a.lanes, LANES)
        least, most = emit_repeat(builder, args[1], width), emit_repeat(builder, args[2], width)
        parts = []
        for start in range(0, a.lanes, width):  # one register at a time: masks of more are lowered lane by lane
            value = emit_lanes(builder, args[0], args[0], list(range(start, start + width)))
            value = builder.select(builder.fcmp_ordered("<", value, least), least, value)
            parts.append(builder.select(builder.fcmp_ordered(">", value, most), most, value))
        return emit_joined(builder, parts)

    return a(a, types.float32, types.float32), emit


def emit_lanes(builder: Any, a: Any, b: Any, places: list[int]) -> Any:
    """Emit the vector of these lanes of two vectors, one after the other."""
    return builder.shuffle_vector(a, b, ir.Constant(ir.VectorType(_I32, len(places)), places))


def emit_joined(builder: Any, parts: list[Any]) -> Any:
    """Emit the vector of all lanes of 1, 2, 4, … equal vectors, one after the other."""
    while len(parts) > 1:
        both = list(range(2 * parts[0].type.count))
        parts = [emit_lanes(builder, parts[n], parts[n + 1], both) for n in range(0, len(parts), 2)]
    return parts[0]


@inline
def total(_: Any, a: Any) -> Any:
    """Return the sum of the lanes."""

    def emit(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        value, lanes = args[0], a.lanes
        while lanes > 1:  # halves, so that the order of the sum is fixed
            lanes //= 2
            nothing, kind = ir.Constant(value.type, ir.Undefined), ir.VectorType(_I32, lanes)
            low, high = (builder.shuffle_vector(value, nothing, ir.Constant(kind, list(range(s, s + lanes)))) for s in (0, lanes))
            value = builder.fadd(low, high) if a.is_float else builder.add(low, high)
        return builder.extract_element(value, ir.Constant(_I32, 0))

    return a.dtype(a), emit


def _cast(method: str) -> Any:
    """Make a change of type, with as many lanes; `bitcast` keeps the bits and changes the lanes."""

    @inline
    def op(_: Any, a: Any, dtype: Any) -> Any:
        lanes = a.lanes * a.dtype.bitwidth // dtype.dtype.bitwidth if method == "bitcast" else a.lanes
        vector = Vector(dtype.dtype, lanes)

        def emit(context: Any, builder: Any, sig: Any, args: Any) -> Any:
            return getattr(builder, method)(args[0], vector.ir)

        return vector(a, dtype), emit

    return op


view, widen, narrow, to_float = _cast("bitcast"), _cast("zext"), _cast("trunc"), _cast("sitofp")


@inline
def pick(_: Any, table: Any, at: Any, index: Any, size: Any) -> Any:
    """Return table[at + (index mod size)] for each lane; `size` is a literal power of two up to 16.

    Args:
        table: flat float32; `LANES` entries from `at` on must be there even where `size` is less, 16 where it is more.
        at: where the window starts.
        index: a vector of `LANES` int32, of which only the low bits count.
        size: of the window.
    """
    window, vector = size.literal_value, Vector(types.float32, LANES)

    def emit(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        return _pick(context, builder, table, args, window, vector)

    return vector(table, types.intp, index, size), emit


@inline
def permute(_: Any, table: Any, index: Any) -> Any:
    """Return table[index mod 16] for each lane of `LANES` int32; the table is a vector of 16 float32."""
    vector = Vector(types.float32, LANES)

    def emit(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        if LANES == 16:
            return emit_call(builder, "llvm.x86.avx512.permvar.sf.512", vector.ir, list(args))
        low = builder.and_(args[1], ir.Constant(ir.VectorType(_I32, LANES), [15] * LANES))
        out = ir.Constant(vector.ir, ir.Undefined)
        for place in (ir.Constant(_I32, lane) for lane in range(LANES)):
            out = builder.insert_element(out, builder.extract_element(args[0], builder.extract_element(low, place)), place)
        return out

    return vector(table, index), emit


def _pick(context: Any, builder: Any, table: Any, args: Any, window: int, vector: Vector) -> Any:
    base = emit_address(context, builder, table, args[0], args[1], _F32)
    low = builder.and_(args[2], ir.Constant(ir.VectorType(_I32, LANES), [window - 1] * LANES))
    if not _AVX2 or window > 2 * LANES:
        out = ir.Constant(vector.ir, ir.Undefined)
        for lane in range(LANES):
            place = ir.Constant(_I32, lane)
            out = builder.insert_element(out, builder.load(builder.gep(base, [builder.extract_element(low, place)])), place)
        return out
    if window <= 4:  # each part of four floats picks from the same four
        name = "llvm.x86.avx512.vpermilvar.ps.512" if LANES == 16 else "llvm.x86.avx.vpermilvar.ps.256"
        index = args[2] if window == 4 else low
        return emit_call(builder, name, vector.ir, [_window(builder, base, 4), index])
    halves = [_window(builder, builder.gep(base, [ir.Constant(_I32, start)]), LANES) for start in range(0, window, LANES)]
    name = "llvm.x86.avx512.permvar.sf.512" if LANES == 16 else "llvm.x86.avx2.permps"
    picked = [emit_call(builder, name, vector.ir, [half, args[2] if window >= LANES else low]) for half in halves]
    if len(picked) == 1:
        return picked[0]
    beyond = builder.icmp_signed(">=", low, ir.Constant(low.type, [LANES] * LANES))
    return builder.select(beyond, picked[1], picked[0])


def _window(builder: Any, base: Any, size: int) -> Any:
    """Emit a load of `size` floats, repeated to a whole vector."""
    value = builder.load(builder.bitcast(base, ir.VectorType(_F32, size).as_pointer()))
    value.align = 4
    if size == LANES:
        return value
    places = ir.Constant(ir.VectorType(_I32, LANES), [lane % size for lane in range(LANES)])
    return builder.shuffle_vector(value, ir.Constant(value.type, ir.Undefined), places)
