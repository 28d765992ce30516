"""Compressed sparse rows: the stored entries row by row, with the column of each and where each row starts.

A weight (c_out, c_in, k_h, k_w) is a matrix of c_out rows and c_in·k_h·k_w columns. With nnz entries of b bytes it takes
nnz·(b + i) + (rows + 1)·p bytes, i and p being the smallest unsigned types for the last column and for nnz.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

import numpy as np

from labkit.core.errors import FileFormatError
from labkit.formats._format import (
    VALUE_TYPES,
    Array,
    PlainFormat,
    Shape,
    checked_arrays,
    checked_type,
    index_type,
    register,
    stored_entries,
)


@dataclass(frozen=True, eq=False)
class CsrTensor(PlainFormat):
    """A tensor in compressed sparse rows.

    Attributes:
        shape: of the unpacked array; its first dimension counts the rows.
        values: (nnz,) entries that are stored, row by row; may hold zeros.
        columns: (nnz,) unsigned, the column of each entry, ascending within a row.
        pointers: (rows + 1,) unsigned; row r owns entries pointers[r] to pointers[r + 1].
    """

    kind = "csr"
    has_pattern = True
    values: Array
    columns: Array
    pointers: Array

    @classmethod
    def pack(cls, array: Array, keep: Array | None = None) -> Self:
        stored = stored_entries(array, keep)
        rows, width = _matrix(array.shape)
        flat = np.flatnonzero(stored)
        pointers = np.zeros(rows + 1, index_type(flat.size))
        np.cumsum(np.count_nonzero(stored.reshape(rows, width), axis=1), out=pointers[1:], dtype=pointers.dtype)
        columns = (flat % max(width, 1)).astype(index_type(max(width - 1, 0)))
        return cls(array.shape, array.reshape(-1)[flat], columns, pointers)

    @classmethod
    def size(cls, shape: Shape, item_bytes: int, stored: int) -> int:
        rows, width = _matrix(shape)
        return stored * (item_bytes + index_type(max(width - 1, 0)).itemsize) + (rows + 1) * index_type(stored).itemsize

    @classmethod
    def from_arrays(cls, shape: Shape, arrays: Mapping[str, Array]) -> Self:
        values, columns, pointers = checked_arrays(cls.kind, arrays, "values", "columns", "pointers")
        rows, width = _matrix(shape)
        checked_type(cls.kind, "values", values, *VALUE_TYPES)
        checked_type(cls.kind, "columns", columns, index_type(max(width - 1, 0)))
        checked_type(cls.kind, "pointers", pointers, index_type(values.size))
        if columns.size != values.size or pointers.size != rows + 1:
            raise FileFormatError(
                f"a csr tensor of {rows} rows and {values.size} values must hold as many columns and {rows + 1} pointers, "
                f"got {columns.size} and {pointers.size}"
            )
        if pointers[0] != 0 or pointers[-1] != values.size or (pointers[1:] < pointers[:-1]).any():
            raise FileFormatError(f"the pointers of a csr tensor must rise from 0 to its {values.size} values")
        if values.size and int(columns.max()) >= width:
            raise FileFormatError(f"a column of a csr tensor must be below {width}, got {int(columns.max())}")
        starts = np.zeros(values.size + 1, bool)
        starts[pointers] = True
        if (~starts[1:-1] & (columns[1:] <= columns[:-1])).any():
            raise FileFormatError("the columns of a csr tensor must rise within each row")
        return cls(shape, values, columns, pointers)

    def unpack(self) -> Array:
        flat = np.zeros(math.prod(self.shape), self.values.dtype)
        flat[self._places()] = self.values
        return flat.reshape(self.shape)

    def pattern(self) -> Array:
        flat = np.zeros(math.prod(self.shape), bool)
        flat[self._places()] = True
        return flat.reshape(self.shape)

    def arrays(self) -> dict[str, Array]:
        return {"values": self.values, "columns": self.columns, "pointers": self.pointers}

    def _places(self) -> Array:
        """Return the place of each stored entry in the flat array."""
        rows, width = _matrix(self.shape)
        counts: Array = np.diff(self.pointers.astype(np.int64))
        return np.repeat(np.arange(rows) * width, counts) + self.columns


def _matrix(shape: Shape) -> tuple[int, int]:
    """Return rows and columns of a tensor seen as a matrix; a scalar is one row of one column."""
    return (shape[0], math.prod(shape[1:])) if shape else (1, 1)


register(CsrTensor)
