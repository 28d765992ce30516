"""Compressed rows: the columns of what is stored and where each row starts, in the smallest unsigned types that fit.

What compressed sparse rows share, whatever their entries are: floats, codes, or whole blocks.
"""

from dataclasses import dataclass
from typing import Self

import numpy as np

from labkit.core.errors import FileFormatError
from labkit.formats._format import Array, checked_type, index_type


@dataclass(frozen=True, eq=False)
class CompressedRows:
    """Which entries of a matrix are stored.

    Attributes:
        width: columns of the matrix.
        columns: (stored,) unsigned, the column of each entry, ascending within a row.
        pointers: (rows + 1,) unsigned; row r owns entries pointers[r] to pointers[r + 1].
    """

    width: int
    columns: Array
    pointers: Array

    @classmethod
    def of(cls, stored: Array) -> Self:
        """Index the true entries of a bool matrix (rows, width)."""
        rows, width = stored.shape
        flat = np.flatnonzero(stored)
        pointers = np.zeros(rows + 1, index_type(flat.size))
        np.cumsum(np.count_nonzero(stored, axis=1), out=pointers[1:], dtype=pointers.dtype)
        return cls(width, (flat % max(width, 1)).astype(index_type(max(width - 1, 0))), pointers)

    @classmethod
    def checked(cls, kind: str, rows: int, width: int, columns: Array, pointers: Array) -> Self:
        """Make the index of a matrix from arrays that were read, trusting nothing.

        Raises:
            FileFormatError: they are not what `of` makes of any matrix of `rows` rows and `width` columns.
        """
        count = columns.size
        checked_type(kind, "columns", columns, index_type(max(width - 1, 0)))
        checked_type(kind, "pointers", pointers, index_type(count))
        if pointers.size != rows + 1:
            raise FileFormatError(f"a {kind} tensor of {rows} rows must hold {rows + 1} pointers, got {pointers.size}")
        if pointers[0] != 0 or pointers[-1] != count or (pointers[1:] < pointers[:-1]).any():
            raise FileFormatError(f"the pointers of a {kind} tensor must rise from 0 to its {count} columns")
        if count and int(columns.max()) >= width:
            raise FileFormatError(f"a column of a {kind} tensor must be below {width}, got {int(columns.max())}")
        starts = np.zeros(count + 1, bool)
        starts[pointers] = True
        if (~starts[1:-1] & (columns[1:] <= columns[:-1])).any():
            raise FileFormatError(f"the columns of a {kind} tensor must rise within each row")
        return cls(width, columns, pointers)

    @staticmethod
    def size(rows: int, width: int, count: int) -> int:
        """Return the bytes of both arrays for `count` entries."""
        return count * index_type(max(width - 1, 0)).itemsize + (rows + 1) * index_type(count).itemsize

    @property
    def rows(self) -> Array:
        """The row of each entry, int64."""
        counts: Array = np.diff(self.pointers.astype(np.int64))
        return np.repeat(np.arange(counts.size), counts)

    @property
    def places(self) -> Array:
        """The place of each entry in the flat matrix, int64."""
        places: Array = self.rows * self.width + self.columns
        return places
