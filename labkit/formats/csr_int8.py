"""Compressed sparse rows of int8 codes: a third of the bytes of float32 rows with 16-bit columns, and a scale or one a row."""

import math
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


@dataclass(frozen=True, eq=False)
class CsrInt8Tensor(CodedFormat):
    """A sparse tensor of int8 codes.

    Attributes:
        shape: of the tensor; its first dimension counts the rows.
        values: (nnz,) int8, row by row; may hold zeros.
        index: where they belong.
        scales: float32, (1,) for the tensor or (rows,).
    """

    kind = "csr_int8"
    values: Array
    index: CompressedRows
    scales: Array

    @classmethod
    def pack(cls, codes: Array, scales: Array | float, keep: Array | None = None) -> Self:
        """Pack codes.

        Args:
            codes: int8 of any shape.
            scales: above 0; one, or one a row.
            keep: bool, of the same shape: the codes to store, all that are not 0 among them; None stores just those.

        Raises:
            FileFormatError: the codes are no int8, or the scales do not fit.
            ValueError: `keep` leaves out a code that is not 0.
        """
        checked_type(cls.kind, "codes", codes, np.dtype(np.int8))
        stored = codes != 0 if keep is None else keep
        if codes[~stored].any():
            raise ValueError("keep leaves out codes that are not zero")
        index = CompressedRows.of(stored.reshape(matrix_shape(codes.shape)))
        arrays = {"values": codes[stored], "columns": index.columns, "pointers": index.pointers, "scales": as_scales(scales)}
        return cls.from_arrays(codes.shape, arrays)

    @classmethod
    def from_arrays(cls, shape: Shape, arrays: Mapping[str, Array], settings: Settings = NO_SETTINGS) -> Self:
        checked_settings(cls.kind, settings)
        values, columns, pointers, scales = checked_arrays(cls.kind, arrays, "values", "columns", "pointers", "scales")
        checked_type(cls.kind, "values", values, np.dtype(np.int8))
        if columns.size != values.size:
            raise FileFormatError(f"a csr_int8 tensor of {values.size} values must hold as many columns, got {columns.size}")
        index = CompressedRows.checked(cls.kind, *matrix_shape(shape), columns, pointers)
        return cls(shape, values, index, checked_scales(cls.kind, "scales", scales, *row_counts(shape), positive=True))

    @property
    def codes(self) -> Array:
        """The codes, int8 of `shape`."""
        out = np.zeros(math.prod(self.shape), np.int8)
        out[self.index.places] = self.values
        return out.reshape(self.shape)

    def unpack(self) -> Array:
        return np.asarray(self.codes.astype(np.float32) * by_row(self.scales, self.shape))

    @property
    def stored(self) -> int:
        return self.values.size

    def arrays(self) -> dict[str, Array]:
        return {"values": self.values, "columns": self.index.columns, "pointers": self.index.pointers, "scales": self.scales}


register(CsrInt8Tensor)
