"""Tiles: what keeps the sparse kernels readable.

A `Tile` is a Numba value of rows × pixels vectors, each of `LANES` float32. It lives in registers: a kernel that adds to
a tile in a loop compiles to nothing but fused multiply-adds with one memory operand. In the kernels' layout one vector
holds the same pixel of `LANES` images, so that the next pixel of a row lies `pixel_step` vectors on.

All functions here but `aligned` are for use inside of Numba kernels.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.core.registry import cpu_target
from numba.extending import intrinsic, models, register_model
from numpy.typing import NDArray

FEATURES: str = cpu_target.target_context.codegen().magic_tuple()[2]
LANES = 16 if "+avx512f" in FEATURES else 8 if "+avx," in f"{FEATURES}," else 4
FUSES = "+fma" in FEATURES or not FEATURES.count("sse")  # ARM and Power always have a fused multiply-add

_F32, _I32 = ir.FloatType(), ir.IntType(32)
_VECTOR = ir.VectorType(_F32, LANES)


class Tile(types.Type):
    """The Numba type of a tile."""

    def __init__(self, rows: int, pixels: int) -> None:
        super().__init__(f"Tile({rows}, {pixels}, {LANES})")
        self.rows, self.pixels = rows, pixels
        self.ir = ir.ArrayType(_VECTOR, rows * pixels)


@register_model(Tile)
class _TileModel(models.PrimitiveModel):
    def __init__(self, manager: Any, kind: Tile) -> None:
        super().__init__(manager, kind, kind.ir)  # type: ignore[no-untyped-call]


def inline(function: Callable[..., Any]) -> Any:
    """Make an operation of the kernels from a function (typing context, *argument types) → (signature, what emits it)."""
    return intrinsic(prefer_literal=True)(function)


def _splat(builder: Any, scalar: Any) -> Any:
    """Emit a vector that repeats `scalar`."""
    nothing = ir.Constant(_VECTOR, ir.Undefined)
    first = builder.insert_element(nothing, scalar, ir.Constant(_I32, 0))
    return builder.shuffle_vector(first, nothing, ir.Constant(ir.VectorType(_I32, LANES), [0] * LANES))


def _call(builder: Any, name: str, args: list[Any]) -> Any:
    """Emit a call of an LLVM intrinsic on vectors; declared by hand, since Numba's builder would mangle its name."""
    kind = ir.FunctionType(_VECTOR, [_VECTOR] * len(args))
    known = builder.module.globals.get(name)
    return builder.call(known or ir.Function(builder.module, kind, name), args)


def _fma(builder: Any, a: Any, b: Any, c: Any) -> Any:
    if FUSES:
        return _call(builder, f"llvm.fma.v{LANES}f32", [a, b, c])
    return builder.fadd(builder.fmul(a, b), c)


def _larger(builder: Any, a: Any, b: Any) -> Any:
    return builder.select(builder.fcmp_ordered(">", a, b), a, b)


def _smaller(builder: Any, a: Any, b: Any) -> Any:
    return builder.select(builder.fcmp_ordered("<", a, b), a, b)


def _place(context: Any, builder: Any, array_type: Any, array: Any, index: Any) -> Any:
    """Emit the address of the vector that starts at entry `index` of a flat float32 array."""
    data = context.make_array(array_type)(context, builder, array).data
    return builder.bitcast(builder.gep(data, [index]), _VECTOR.as_pointer())


def _each(builder: Any, tile: Tile, base: Any, row_step: Any, pixel_step: int) -> Any:
    """Yield (number of the vector, its address) for the pixels of a tile; `row_step` counts floats, `pixel_step` vectors."""
    at = base
    for row in range(tile.rows):
        if row:
            at = builder.bitcast(builder.gep(builder.bitcast(at, _F32.as_pointer()), [row_step]), _VECTOR.as_pointer())
        for pixel in range(tile.pixels):
            yield row * tile.pixels + pixel, builder.gep(at, [ir.Constant(_I32, pixel * pixel_step)])


def _load(builder: Any, address: Any) -> Any:
    value = builder.load(address)
    value.align = 4
    return value


@inline
def splat(_: Any, rows: Any, pixels: Any, value: Any) -> Any:
    """Return a tile of rows × pixels whose every lane is `value`."""
    tile = Tile(rows.literal_value, pixels.literal_value)

    def emit(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        vector, out = _splat(builder, args[2]), ir.Constant(tile.ir, ir.Undefined)
        for n in range(tile.rows * tile.pixels):
            out = builder.insert_value(out, vector, n)
        return out

    return tile(rows, pixels, types.float32), emit


@inline
def load(_: Any, like: Any, array: Any, index: Any, row_step: Any, pixel_step: Any) -> Any:
    """Return a tile of the shape of `like` read from a flat array at `index`; see `add_product` for the steps."""

    def emit(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        out = ir.Constant(like.ir, ir.Undefined)
        base = _place(context, builder, array, args[1], args[2])
        for n, address in _each(builder, like, base, args[3], pixel_step.literal_value):
            out = builder.insert_value(out, _load(builder, address), n)
        return out

    return like(like, array, types.intp, types.intp, pixel_step), emit


@inline
def store(_: Any, tile: Any, array: Any, index: Any, row_step: Any) -> Any:
    """Write a tile to a flat array at `index`: pixels side by side, rows `row_step` floats apart."""

    def emit(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        base = _place(context, builder, array, args[1], args[2])
        for n, address in _each(builder, tile, base, args[3], 1):
            builder.store(builder.extract_value(args[0], n), address).align = 4
        return context.get_dummy_value()

    return types.void(tile, array, types.intp, types.intp), emit


@inline
def add_product(_: Any, tile: Any, value: Any, array: Any, index: Any, row_step: Any, pixel_step: Any) -> Any:
    """Return tile + value · (the tile read at `index`).

    Args:
        tile: sums so far.
        value: float32.
        array: flat float32; vector p of row r is read at index + r · row_step + p · pixel_step · LANES.
        index: in floats.
        row_step: in floats.
        pixel_step: in vectors; a literal.
    """

    def emit(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        out, factor = args[0], _splat(builder, args[1])
        base = _place(context, builder, array, args[2], args[3])
        for n, address in _each(builder, tile, base, args[4], pixel_step.literal_value):
            total = _fma(builder, factor, _load(builder, address), builder.extract_value(args[0], n))
            out = builder.insert_value(out, total, n)
        return out

    return tile(tile, types.float32, array, types.intp, types.intp, pixel_step), emit


def _lanewise(combine: Callable[[Any, Any, Any], Any]) -> Any:
    """Make an intrinsic that combines two tiles of one shape vector by vector."""

    @inline
    def op(_: Any, a: Any, b: Any) -> Any:
        def emit(context: Any, builder: Any, sig: Any, args: Any) -> Any:
            out = ir.Constant(a.ir, ir.Undefined)
            for n in range(a.rows * a.pixels):
                pair = [builder.extract_value(arg, n) for arg in args]
                out = builder.insert_value(out, combine(builder, *pair), n)
            return out

        return a(a, b), emit

    return op


plus = _lanewise(lambda builder, a, b: builder.fadd(a, b))
times = _lanewise(lambda builder, a, b: builder.fmul(a, b))
larger = _lanewise(_larger)


@inline
def clip(_: Any, tile: Any, low: Any, high: Any) -> Any:
    """Return the tile with every lane limited to [low, high]."""

    def emit(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        out, least, most = args[0], _splat(builder, args[1]), _splat(builder, args[2])
        for n in range(tile.rows * tile.pixels):
            value = builder.extract_value(args[0], n)
            out = builder.insert_value(out, _smaller(builder, most, _larger(builder, least, value)), n)  # so that NaN stays
        return out

    return tile(tile, types.float32, types.float32), emit


@inline
def larger_row(_: Any, tile: Any) -> Any:
    """Return the lane-wise maxima over a tile's rows, as a tile of one row."""
    row = Tile(1, tile.pixels)

    def emit(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        out = ir.Constant(row.ir, ir.Undefined)
        for n in range(tile.pixels):
            best = builder.extract_value(args[0], n)
            for r in range(1, tile.rows):
                best = _larger(builder, builder.extract_value(args[0], n + r * tile.pixels), best)
            out = builder.insert_value(out, best, n)
        return out

    return row(tile), emit


@inline
def every_second(_: Any, tile: Any, start: Any) -> Any:
    """Return lanes start, start + 2, … of a tile of 1 × 2 vectors, as one vector; `start` is a literal 0 or 1."""
    one, first = Tile(1, 1), start.literal_value

    def emit(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        both = [builder.extract_value(args[0], n) for n in (0, 1)]
        lanes = ir.Constant(ir.VectorType(_I32, LANES), list(range(first, 2 * LANES, 2)))
        return builder.insert_value(ir.Constant(one.ir, ir.Undefined), builder.shuffle_vector(*both, lanes), 0)

    return one(tile, start), emit


@inline
def store_first(_: Any, tile: Any, array: Any, index: Any, count: Any) -> Any:
    """Write the first `count` lanes of a tile of one vector, or all, to a flat array at `index`, and leave what follows."""

    def emit(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        wide = ir.VectorType(ir.IntType(64), LANES)
        left = builder.insert_element(ir.Constant(wide, ir.Undefined), args[3], ir.Constant(_I32, 0))
        left = builder.shuffle_vector(left, left, ir.Constant(ir.VectorType(_I32, LANES), [0] * LANES))
        mask = builder.icmp_signed("<", ir.Constant(wide, list(range(LANES))), left)
        address, name = _place(context, builder, array, args[1], args[2]), f"llvm.masked.store.v{LANES}f32.p0v{LANES}f32"
        kind = ir.FunctionType(ir.VoidType(), [_VECTOR, address.type, _I32, mask.type])
        function = builder.module.globals.get(name) or ir.Function(builder.module, kind, name)
        builder.call(function, [builder.extract_value(args[0], 0), address, ir.Constant(_I32, 4), mask])
        return context.get_dummy_value()

    return types.void(tile, array, types.intp, types.intp), emit


def aligned(count: int) -> NDArray[np.float32]:
    """Return `count` float32 zeros that start at a multiple of 64 bytes.

    NumPy's large arrays start 16 bytes after one, so that every vector would lie across two lines of the cache.
    """
    whole = np.zeros(count + 16, np.float32)
    start = -whole.ctypes.data % 64 // 4
    return whole[start : start + count]


def on_a_line(array: NDArray[Any]) -> NDArray[Any]:
    """Return a flat copy of an array whose start is a multiple of 64 bytes."""
    size = array.size * array.itemsize
    out = aligned(-(-size // 4)).view(np.uint8)[:size].view(array.dtype)
    out[:] = array.reshape(-1)
    return out
