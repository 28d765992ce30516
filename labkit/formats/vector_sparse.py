"""Vector-sparse: blocks of 4 or 8 consecutive outputs at one input, so that an input that is read serves a whole block.

A weight (c_out, c_in, k_h, k_w) is a matrix of c_out rows; its rows are taken B at a time, the last ones padded with
zeros. What is stored is compressed rows of blocks: B values for each index, stored·(B·b + i) + (⌈rows/B⌉ + 1)·p bytes.
Source     Mao et al. 2017, arXiv:1705.08922; blocks of outputs: Tan et al. 2022 (NeurIPS, OVW).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

import numpy as np

from labkit.core.errors import FileFormatError
from labkit.formats._format import (
    NO_SETTINGS,
    VALUE_TYPES,
    Array,
    PlainFormat,
    Settings,
    Shape,
    checked_arrays,
    checked_settings,
    checked_type,
    matrix_shape,
    register,
    stored_entries,
)
from labkit.formats._rows import CompressedRows

BLOCKS = (4, 8)


@dataclass(frozen=True, eq=False)
class VectorSparseTensor(PlainFormat):
    """A tensor as blocks of outputs.

    Attributes:
        shape: of the unpacked array.
        values: (stored · block,) the entries of each stored block, its first output first; +0 below the last row.
        index: of the blocks in the matrix of (⌈rows / block⌉, columns).
        block: outputs in a block.
    """

    kind = "vector_sparse"
    has_pattern = True
    values: Array
    index: CompressedRows
    block: int

    @classmethod
    def pack(cls, array: Array, keep: Array | None = None, block: int | None = None) -> Self:
        """Pack an array; a block is stored if any of its entries is.

        Args:
            array: any shape.
            keep: entries to store, see `PlainFormat.pack`; whole blocks, or `pattern` will name more than these.
            block: outputs in a block; None takes the one that needs the fewest bytes.
        """
        if block is not None and block not in BLOCKS:
            raise ValueError(f"a vector_sparse tensor must have blocks of {' or '.join(map(str, BLOCKS))} outputs, got {block}")
        stored = stored_entries(array, keep).reshape(array.shape)
        exact = keep is not None and any(_size(stored, each, array.itemsize, True) for each in BLOCKS)
        sizes = {each: _size(stored, each, array.itemsize, exact) for each in BLOCKS}
        able = {each: size for each, size in sizes.items() if size is not None}
        block = block or min(able, key=lambda each: able[each])
        index = CompressedRows.of(np.asarray(_blocks(stored, block).any(axis=1)))
        padded = _blocks(array, block)  # (block rows, block, columns)
        values = padded[index.rows, :, index.columns]
        return cls(array.shape, values.reshape(-1), index, block)

    @classmethod
    def size(cls, stored: Array, item_bytes: int, exact: bool = False) -> int | None:
        sizes = [size for block in BLOCKS if (size := _size(stored, block, item_bytes, exact)) is not None]
        return min(sizes) if sizes else None

    @classmethod
    def from_arrays(cls, shape: Shape, arrays: Mapping[str, Array], settings: Settings = NO_SETTINGS) -> Self:
        (block,) = checked_settings(cls.kind, settings, block=BLOCKS)
        values, columns, pointers = checked_arrays(cls.kind, arrays, "values", "columns", "pointers")
        checked_type(cls.kind, "values", values, *VALUE_TYPES)
        rows, width = matrix_shape(shape)
        index = CompressedRows.checked(cls.kind, -(-rows // block), width, columns, pointers)
        if values.size != columns.size * block:
            raise FileFormatError(
                f"a vector_sparse tensor of {columns.size} blocks must hold {columns.size * block} values, got {values.size}"
            )
        below = values.reshape(-1, block)[index.rows * block + block > rows]  # blocks that reach below the last row
        if below.size and below[:, block - (-rows % block) :].view(np.uint8).any():
            raise FileFormatError("the values of a vector_sparse tensor below its last row must be 0")
        return cls(shape, values, index, block)

    def unpack(self) -> Array:
        rows, width = matrix_shape(self.shape)
        out = np.zeros((self.index.pointers.size - 1, self.block, width), self.values.dtype)
        out[self.index.rows, :, self.index.columns] = self.values.reshape(-1, self.block)
        return out.reshape(len(out) * self.block, width)[:rows].reshape(self.shape)

    def pattern(self) -> Array:
        rows, width = matrix_shape(self.shape)
        out = np.zeros((self.index.pointers.size - 1, width), bool)
        out[self.index.rows, self.index.columns] = True
        return np.repeat(out, self.block, axis=0)[:rows].reshape(self.shape)

    @property
    def stored(self) -> int:
        return int(np.count_nonzero(self.pattern()))

    def arrays(self) -> dict[str, Array]:
        return {"values": self.values, "columns": self.index.columns, "pointers": self.index.pointers}

    @property
    def settings(self) -> Settings:
        return {"block": self.block}


def _blocks(array: Array, block: int) -> Array:
    """Return an array as (⌈rows / block⌉, block, columns), padded with zeros below."""
    rows, width = matrix_shape(array.shape)
    matrix = array.reshape(rows, width)
    if rows % block:
        matrix = np.concatenate([matrix, np.zeros((-rows % block, width), array.dtype)])
    return matrix.reshape(len(matrix) // block, block, width)


def _size(stored: Array, block: int, item_bytes: int, exact: bool) -> int | None:
    """Return the bytes with blocks of `block`; None where `exact` is asked for and a stored block is not stored whole."""
    rows, width = matrix_shape(stored.shape)
    count = int(np.count_nonzero(_blocks(stored, block).any(axis=1)))
    if exact:
        whole = _blocks(stored, block)
        if rows % block:
            whole = whole.copy()
            whole[-1, rows % block :] = whole[-1, 0]
        if int(np.count_nonzero(whole)) != count * block:
            return None
    return count * block * item_bytes + CompressedRows.size(-(-rows // block), width, count)


register(VectorSparseTensor)
