"""Tiles of 4 × 4 inputs and of 16 products: what `winograd_conv` needs of `_simd` and nobody else."""

from collections.abc import Sequence
from typing import Any

from llvmlite import ir

from labkit.runtime.kernels._simd import Tile, inline


def _inputs(builder: Any, d: Sequence[Any]) -> list[Any]:
    """Emit Bᵀd for a column of four vectors."""
    return [builder.fsub(d[0], d[2]), builder.fadd(d[1], d[2]), builder.fsub(d[2], d[1]), builder.fsub(d[1], d[3])]


def _outputs(builder: Any, m: Sequence[Any]) -> list[Any]:
    """Emit Aᵀm for a column of four vectors."""
    return [builder.fadd(m[0], builder.fadd(m[1], m[2])), builder.fsub(builder.fsub(m[1], m[2]), m[3])]


def _both_ways(builder: Any, transform: Any, tile: Any) -> list[Any]:
    """Emit a transform of the columns of 4 × 4 vectors, then of the rows of what comes out; row after row."""
    vectors = [builder.extract_value(tile, n) for n in range(16)]
    columns = [transform(builder, vectors[n::4]) for n in range(4)]
    return [vector for row in zip(*columns, strict=True) for vector in transform(builder, row)]


def _packed(builder: Any, tile: Tile, vectors: Sequence[Any]) -> Any:
    out = ir.Constant(tile.ir, ir.Undefined)
    for n, vector in enumerate(vectors):
        out = builder.insert_value(out, vector, n)
    return out


@inline
def transform_inputs(_: Any, tile: Any) -> Any:
    """Return BᵀdB of a tile d of 4 × 4 pixels, as a tile of 16 × 1."""
    column = Tile(16, 1)

    def emit(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        return _packed(builder, column, _both_ways(builder, _inputs, args[0]))

    return column(tile), emit


@inline
def transform_sums(_: Any, tile: Any, rows: Any) -> Any:
    """Return AᵀmA of a tile m of 16 × 1 sums, four pixels: as a tile of 2 × 2, or of 4 × 1 as `rows` says."""
    pixels = Tile(rows.literal_value, 4 // rows.literal_value)

    def emit(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        return _packed(builder, pixels, _both_ways(builder, _outputs, args[0]))

    return pixels(tile, rows), emit
