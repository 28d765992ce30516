"""Dense: every entry in row-major order, n·b bytes for n entries of b bytes."""

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
    register,
    stored_entries,
)


@dataclass(frozen=True, eq=False)
class DenseTensor(PlainFormat):
    """A tensor with nothing left out.

    Attributes:
        shape: of the unpacked array.
        values: (n,) all entries in row-major order.
    """

    kind = "dense"
    values: Array

    @classmethod
    def pack(cls, array: Array, keep: Array | None = None) -> Self:
        stored_entries(array, keep)
        return cls(array.shape, array.flatten())

    @classmethod
    def size(cls, stored: Array, item_bytes: int, exact: bool = False) -> int | None:
        return None if exact else stored.size * item_bytes

    @classmethod
    def from_arrays(cls, shape: Shape, arrays: Mapping[str, Array], settings: Settings = NO_SETTINGS) -> Self:
        checked_settings(cls.kind, settings)
        (values,) = checked_arrays(cls.kind, arrays, "values")
        checked_type(cls.kind, "values", values, *VALUE_TYPES)
        if values.size != math.prod(shape):
            raise FileFormatError(f"a dense tensor of shape {shape} must hold {math.prod(shape)} values, got {values.size}")
        return cls(shape, values)

    def unpack(self) -> Array:
        return self.values.reshape(self.shape).copy()

    def pattern(self) -> Array:
        return np.ones(self.shape, bool)

    def arrays(self) -> dict[str, Array]:
        return {"values": self.values}


register(DenseTensor)
