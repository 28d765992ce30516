"""Bitmap: one bit for each entry that says whether it is stored, and the stored entries in order.

It takes nnz·b + ⌈n/8⌉ bytes: less than compressed sparse rows with 16-bit columns while more than one entry in sixteen
is stored, and never more than 1/(8b) above dense. Bits are packed from the least significant one up.
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
    register,
    stored_entries,
)


@dataclass(frozen=True, eq=False)
class BitmapTensor(PlainFormat):
    """A tensor as a bitmap and the entries it marks.

    Attributes:
        shape: of the unpacked array.
        values: (nnz,) entries that are stored, in row-major order; may hold zeros.
        bits: (⌈n/8⌉,) uint8; bit j of byte i is set if entry 8·i + j is stored.
    """

    kind = "bitmap"
    has_pattern = True
    values: Array
    bits: Array

    @classmethod
    def pack(cls, array: Array, keep: Array | None = None) -> Self:
        stored = stored_entries(array, keep)
        return cls(array.shape, array.reshape(-1)[stored], np.packbits(stored, bitorder="little"))

    @classmethod
    def size(cls, stored: Array, item_bytes: int, exact: bool = False) -> int | None:
        return int(np.count_nonzero(stored)) * item_bytes + (stored.size + 7) // 8

    @classmethod
    def from_arrays(cls, shape: Shape, arrays: Mapping[str, Array], settings: Settings = NO_SETTINGS) -> Self:
        checked_settings(cls.kind, settings)
        values, bits = checked_arrays(cls.kind, arrays, "values", "bits")
        checked_type(cls.kind, "values", values, *VALUE_TYPES)
        checked_type(cls.kind, "bits", bits, np.dtype(np.uint8))
        entries = math.prod(shape)
        if bits.size != (entries + 7) // 8:
            raise FileFormatError(f"a bitmap tensor of shape {shape} must hold {(entries + 7) // 8} bytes of bits, got {bits.size}")
        marks = np.unpackbits(bits, bitorder="little")
        if marks[entries:].any():
            raise FileFormatError(f"the bits of a bitmap tensor after its {entries} entries must be 0")
        if int(np.count_nonzero(marks)) != values.size:
            raise FileFormatError(
                f"a bitmap tensor that marks {int(np.count_nonzero(marks))} entries must hold as many values, got {values.size}"
            )
        return cls(shape, values, bits)

    def unpack(self) -> Array:
        out = np.zeros(self.shape, self.values.dtype)
        out[self.pattern()] = self.values
        return out

    def pattern(self) -> Array:
        return np.unpackbits(self.bits, count=math.prod(self.shape), bitorder="little").astype(bool).reshape(self.shape)

    @property
    def stored(self) -> int:
        return self.values.size

    def arrays(self) -> dict[str, Array]:
        return {"values": self.values, "bits": self.bits}


register(BitmapTensor)
