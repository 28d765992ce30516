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


@dataclass(frozen=True, eq=False)
class CsrTensor(PlainFormat):
    """A tensor in compressed sparse rows.

    Attributes:
        shape: of the unpacked array; its first dimension counts the rows.
        values: (nnz,) entries that are stored, row by row; may hold zeros.
        index: where they belong.
    """

    kind = "csr"
    has_pattern = True
    values: Array
    index: CompressedRows

    @property
    def columns(self) -> Array:
        return self.index.columns

    @property
    def pointers(self) -> Array:
        return self.index.pointers

    @classmethod
    def pack(cls, array: Array, keep: Array | None = None) -> Self:
        stored = stored_entries(array, keep)
        return cls(array.shape, array.reshape(-1)[stored], CompressedRows.of(stored.reshape(matrix_shape(array.shape))))

    @classmethod
    def size(cls, stored: Array, item_bytes: int, exact: bool = False) -> int | None:
        count = int(np.count_nonzero(stored))
        return count * item_bytes + CompressedRows.size(*matrix_shape(stored.shape), count)

    @classmethod
    def from_arrays(cls, shape: Shape, arrays: Mapping[str, Array], settings: Settings = NO_SETTINGS) -> Self:
        checked_settings(cls.kind, settings)
        values, columns, pointers = checked_arrays(cls.kind, arrays, "values", "columns", "pointers")
        checked_type(cls.kind, "values", values, *VALUE_TYPES)
        if columns.size != values.size:
            raise FileFormatError(f"a csr tensor of {values.size} values must hold as many columns, got {columns.size}")
        return cls(shape, values, CompressedRows.checked(cls.kind, *matrix_shape(shape), columns, pointers))

    def unpack(self) -> Array:
        flat = np.zeros(math.prod(self.shape), self.values.dtype)
        flat[self.index.places] = self.values
        return flat.reshape(self.shape)

    def pattern(self) -> Array:
        flat = np.zeros(math.prod(self.shape), bool)
        flat[self.index.places] = True
        return flat.reshape(self.shape)

    @property
    def stored(self) -> int:
        return self.values.size

    def arrays(self) -> dict[str, Array]:
        return {"values": self.values, "columns": self.columns, "pointers": self.pointers}


register(CsrTensor)
