"""Transposition of float32 matrices, a square of registers at a time: how samples become columns and come back."""

from typing import Any

from llvmlite import ir
from numba import types

from labkit.runtime.kernels._cache import kernel
from labkit.runtime.kernels._simd import LANES, inline
from labkit.runtime.kernels._vectors import emit_address, emit_lanes

_VECTOR = ir.VectorType(ir.FloatType(), LANES)


@inline
def _square(_: Any, x: Any, x_at: Any, x_pitch: Any, y: Any, y_at: Any, y_pitch: Any) -> Any:
    """Transpose LANES × LANES entries from `x_at` of flat x to `y_at` of flat y; rows lie a pitch apart."""

    def emit(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        rows = [builder.load(address) for address in _rows(context, builder, x, *args[:3])]
        for row in rows:
            row.align = 4
        step = 1
        while step < LANES:  # exchange the off-diagonal quarters of every square of 2 · step
            upper = [lane + LANES - step if lane & step else lane for lane in range(LANES)]
            lower = [lane + LANES if lane & step else lane + step for lane in range(LANES)]
            for n in range(LANES):
                if not n & step:
                    a, b = rows[n], rows[n + step]
                    rows[n], rows[n + step] = emit_lanes(builder, a, b, upper), emit_lanes(builder, a, b, lower)
            step *= 2
        for row, address in zip(rows, _rows(context, builder, y, *args[3:]), strict=True):
            builder.store(row, address).align = 4
        return context.get_dummy_value()

    return types.void(x, types.intp, types.intp, y, types.intp, types.intp), emit


def _rows(context: Any, builder: Any, kind: Any, array: Any, at: Any, pitch: Any) -> list[Any]:
    """Emit the addresses of a square's rows."""
    places = [builder.add(at, builder.mul(pitch, ir.Constant(pitch.type, n))) for n in range(LANES)]
    return [emit_address(context, builder, kind, array, place, _VECTOR) for place in places]


@kernel
def transpose(x, y, rows, columns, x_pitch, y_pitch):  # type: ignore[no-untyped-def]
    """Write the transpose of x (rows, columns) to y (columns, rows); both flat, their rows `x_pitch` and `y_pitch` apart."""
    for i in range(0, rows - LANES + 1, LANES):
        for j in range(0, columns - LANES + 1, LANES):
            _square(x, i * x_pitch + j, x_pitch, y, j * y_pitch + i, y_pitch)
    square_rows, square_columns = rows // LANES * LANES, columns // LANES * LANES
    for i in range(rows):
        for j in range(square_columns if i < square_rows else 0, columns):
            y[j * y_pitch + i] = x[i * x_pitch + j]


def stretches(count: int, wide: int) -> list[tuple[int, int, int]]:
    """Divide samples into those that are treated `wide` at a time and what is left, at most half as many, by `LANES`.

    Returns:
        (samples at a time, first, last) of each stretch that has any.
    """
    middle = count if count % wide > wide // 2 else count // wide * wide
    return [each for each in ((wide, 0, middle), (LANES, middle, count)) if each[1] < each[2]]
