"""Block-sparse int8: blocks of 4 consecutive inputs of one output, so that one dot product of bytes serves a whole block.

Weights are taken in the order (k_h, k_w, c_in) of each output. What is stored is compressed rows of blocks: 4 signed
bytes for each index, the last block of a row padded with zeros, and a float32 scale for the tensor or each row.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

import numpy as np

from labkit.core.errors import FileFormatError
from labkit.formats._coded import CodedFormat, as_scales, by_row, checked_scales, row_counts
from labkit.formats._format import (
    NO_SETTINGS,
    Array,
    Settings,
    Shape,
    checked_arrays,
    checked_settings,
    checked_type,
    matrix_shape,
    register,
)
from labkit.formats._rows import CompressedRows
from labkit.formats.n_m import along_inputs, as_weight

BLOCK = 4


@dataclass(frozen=True, eq=False)
class BlockInt8Tensor(CodedFormat):
    """A tensor of int8 codes with zeros in blocks of inputs.

    Attributes:
        shape: of the tensor; its first dimension counts the rows.
        values: (stored · 4,) int8, block by block.
        index: of the blocks in the matrix of (rows, ⌈columns / 4⌉).
        scales: float32, (1,) for the tensor or (rows,).
    """

    kind = "block_int8"
    values: Array
    index: CompressedRows
    scales: Array

    @classmethod
    def pack(cls, codes: Array, scales: Array | float) -> Self:
        """Pack codes; a block is stored if any of its codes is not 0.

        Args:
            codes: int8 of any shape.
            scales: above 0; one, or one a row.

        Raises:
            FileFormatError: the codes are no int8, or the scales do not fit.
        """
        checked_type(cls.kind, "codes", codes, np.dtype(np.int8))
        blocks = _blocks(along_inputs(codes))
        index = CompressedRows.of(np.asarray(blocks.any(axis=2)))
        values = blocks[index.rows, index.columns].reshape(-1)
        arrays = {"values": values, "columns": index.columns, "pointers": index.pointers, "scales": as_scales(scales)}
        return cls.from_arrays(codes.shape, arrays)

    @classmethod
    def from_arrays(cls, shape: Shape, arrays: Mapping[str, Array], settings: Settings = NO_SETTINGS) -> Self:
        checked_settings(cls.kind, settings)
        values, columns, pointers, scales = checked_arrays(cls.kind, arrays, "values", "columns", "pointers", "scales")
        checked_type(cls.kind, "values", values, np.dtype(np.int8))
        rows, width = matrix_shape(shape)
        index = CompressedRows.checked(cls.kind, rows, -(-width // BLOCK), columns, pointers)
        if values.size != columns.size * BLOCK:
            raise FileFormatError(
                f"a block_int8 tensor of {columns.size} blocks must hold {columns.size * BLOCK} values, got {values.size}"
            )
        last = values.reshape(-1, BLOCK)[columns.astype(np.int64) * BLOCK + BLOCK > width]
        if last.size and last[:, width % BLOCK :].any():
            raise FileFormatError("the values of a block_int8 tensor beyond its last column must be 0")
        return cls(shape, values, index, checked_scales(cls.kind, "scales", scales, *row_counts(shape), positive=True))

    @property
    def codes(self) -> Array:
        """The codes, int8 of `shape`."""
        rows, width = matrix_shape(self.shape)
        out = np.zeros((rows, -(-width // BLOCK), BLOCK), np.int8)
        out[self.index.rows, self.index.columns] = self.values.reshape(-1, BLOCK)
        return as_weight(out.reshape(rows, out.shape[1] * BLOCK)[:, :width], self.shape)

    def unpack(self) -> Array:
        return np.asarray(self.codes.astype(np.float32) * by_row(self.scales, self.shape))

    @property
    def stored(self) -> int:
        return self.values.size

    def arrays(self) -> dict[str, Array]:
        return {"values": self.values, "columns": self.index.columns, "pointers": self.index.pointers, "scales": self.scales}


def _blocks(matrix: Array) -> Array:
    """Return a matrix as (rows, ⌈columns / 4⌉, 4), padded with zeros."""
    rows, width = matrix.shape
    padded = np.pad(matrix, ((0, 0), (0, -width % BLOCK)))
    return padded.reshape(rows, padded.shape[1] // BLOCK, BLOCK)


register(BlockInt8Tensor)
