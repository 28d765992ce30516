"""Tiles of outputs × pixels: what `dense_one` needs of `_simd` and nobody else."""

from typing import Any

from llvmlite import ir
from numba import types

from labkit.runtime.kernels._simd import Tile, _fma, _load, _place, _splat, inline

_I32 = ir.IntType(32)


@inline
def splat_rows(_: Any, rows: Any, pixels: Any, array: Any, index: Any) -> Any:
    """Return a tile of rows × pixels; every lane of row r is entry `index` + r of a flat array."""
    tile = Tile(rows.literal_value, pixels.literal_value)

    def emit(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        out = ir.Constant(tile.ir, ir.Undefined)
        for row, vector in enumerate(_splats((context, builder), array, (args[2], args[3]), tile.rows)):
            for pixel in range(tile.pixels):
                out = builder.insert_value(out, vector, row * tile.pixels + pixel)
        return out

    return tile(rows, pixels, array, types.intp), emit


@inline
def add_outer(_: Any, tile: Any, factors: Any, at: Any, array: Any, index: Any) -> Any:
    """Return tile + the outer product of factors and vectors.

    Args:
        tile: sums so far.
        factors: flat float32; row r of the tile takes entry `at` + r.
        at: see `factors`.
        array: flat float32; pixel p of the tile takes the vector at `index` + p · LANES.
        index: in floats.
    """

    def emit(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        out, base = args[0], _place(context, builder, array, args[3], args[4])
        vectors = [_load(builder, builder.gep(base, [ir.Constant(_I32, pixel)])) for pixel in range(tile.pixels)]
        for row, factor in enumerate(_splats((context, builder), factors, (args[1], args[2]), tile.rows)):
            for pixel, vector in enumerate(vectors):
                n = row * tile.pixels + pixel
                out = builder.insert_value(out, _fma(builder, factor, vector, builder.extract_value(args[0], n)), n)
        return out

    return tile(tile, factors, types.intp, array, types.intp), emit


def _splats(where: tuple[Any, Any], kind: Any, array_and_at: tuple[Any, Any], count: int) -> list[Any]:
    """Emit vectors that repeat `count` entries of a flat array, one each; `where` is the context and the builder."""
    (context, builder), (array, at) = where, array_and_at
    first = builder.gep(context.make_array(kind)(context, builder, array).data, [at])
    return [_splat(builder, builder.load(builder.gep(first, [ir.Constant(_I32, n)]))) for n in range(count)]
