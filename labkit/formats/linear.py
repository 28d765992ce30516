"""Linear codes: r = S·(q - Z) with codes q of 2 to 16 bits; scales S for the tensor, each row, or groups along a row.

Codes are one stream of bits, in two's complement where they are signed: n bytes for 8 bits, ⌈n/2⌉ for 4. Scales are
float32; zero points, in the smallest integer that holds a code, are there only where they are not all 0.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np

from labkit.core.errors import FileFormatError
from labkit.formats._bits import checked_stream, pack_bits, unpack_bits
from labkit.formats._coded import CodedFormat, as_scales, checked_scales
from labkit.formats._format import (
    MOST_ENTRIES,
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


@dataclass(frozen=True, eq=False)
class LinearTensor(CodedFormat):
    """A tensor of linear codes.

    Attributes:
        shape: of the tensor; its first dimension counts the rows.
        stream: the codes, packed.
        scales: float32, (1,) for the tensor, (rows,) for each row, (rows · ⌈columns / group⌉,) for groups.
        zero_points: as many as scales; None where all are 0.
        bits: of a code.
        signed: codes are in [-2^(bits-1), 2^(bits-1) - 1], else in [0, 2^bits - 1].
        group: consecutive columns that share a scale; 0 where none do by themselves.
    """

    kind = "linear"
    stream: Array
    scales: Array
    zero_points: Array | None
    bits: int
    signed: bool
    group: int

    @classmethod
    def pack(
        cls,
        codes: Array,
        scales: Array | float,
        zero_points: Array | int | None = None,
        *,
        bits: int = 8,
        signed: bool = True,
        group: int = 0,
    ) -> Self:
        """Pack codes.

        Args:
            codes: whole numbers of any shape, in the range that `bits` and `signed` give.
            scales: above 0; one for the tensor, one a row, or one a group of each row.
            zero_points: as many as scales; None for all 0.
            bits: of a code, 2 to 16.
            signed: whether codes may be negative.
            group: consecutive columns that share a scale; 0 for none.

        Raises:
            ValueError: a code is out of range.
            FileFormatError: scales or zero points do not fit the shape, or a scale is not above 0.
        """
        low, high = _range(bits, signed)
        if codes.size and not low <= int(codes.min()) <= int(codes.max()) <= high:
            raise ValueError(f"linear codes of {bits} bits must be in [{low}, {high}], got {int(codes.min())} to {int(codes.max())}")
        arrays = {"codes": pack_bits(codes.astype(np.int64) & ((1 << bits) - 1), bits), "scales": as_scales(scales)}
        if zero_points is not None and np.any(zero_points):
            points: Any = np.atleast_1d(np.asarray(zero_points)).reshape(-1)
            if not low <= int(points.min()) <= int(points.max()) <= high:
                raise ValueError(f"zero points of {bits} bits must be in [{low}, {high}], got {int(points.min())} to {int(points.max())}")
            arrays["zero_points"] = points.astype(_integer(bits, signed))
        return cls.from_arrays(codes.shape, arrays, {"bits": bits, "signed": int(signed), "group": group})

    @classmethod
    def from_arrays(cls, shape: Shape, arrays: Mapping[str, Array], settings: Settings = NO_SETTINGS) -> Self:
        bits, signed, group = checked_settings(cls.kind, settings, bits=range(2, 17), signed=range(2), group=range(MOST_ENTRIES + 1))
        names = ("codes", "scales", "zero_points") if "zero_points" in arrays else ("codes", "scales")
        stream, scales, *points = checked_arrays(cls.kind, arrays, *names)
        checked_stream(cls.kind, "codes", stream, bits, math.prod(shape))
        rows, width = matrix_shape(shape)
        counts = (rows * -(-width // group),) if group else (1, rows)
        checked_scales(cls.kind, "scales", scales, *counts, positive=True)
        for each in points:
            checked_type(cls.kind, "zero_points", each, _integer(bits, bool(signed)))
            low, high = _range(bits, bool(signed))
            if each.size != scales.size or not each.any() or int(each.min()) < low or int(each.max()) > high:
                raise FileFormatError(f"zero_points of a linear tensor must be {scales.size} codes in [{low}, {high}], not all 0")
        return cls(shape, stream, scales, points[0] if points else None, bits, bool(signed), group)

    @property
    def codes(self) -> Array:
        """The codes, of `shape`: int8 or uint8, above 8 bits int16 or uint16."""
        codes = unpack_bits(self.stream, self.bits, math.prod(self.shape)).reshape(self.shape)
        if not self.signed:
            return codes
        integer = _integer(self.bits, True)
        spare = 8 * integer.itemsize - self.bits
        return np.asarray((codes << codes.dtype.type(spare)).view(integer) >> integer.type(spare))

    def unpack(self) -> Array:
        codes: Any = self.codes.astype(np.int32)
        if self.zero_points is not None:
            codes -= self.spread(self.zero_points).astype(np.int32)
        return np.asarray(codes.astype(np.float32) * self.spread(self.scales))

    def spread(self, values: Array) -> Array:
        """Return scales or zero points so that they meet each code: broadcastable to `shape`."""
        if not self.group:
            return values.reshape(-1, *[1] * (len(self.shape) - 1)) if self.shape else values.reshape(())
        rows, width = matrix_shape(self.shape)
        each = min(self.group, width)  # a file may name a group that is wider than the row
        return np.repeat(values.reshape(rows, -(-width // self.group)), each, axis=1)[:, :width].reshape(self.shape)

    def arrays(self) -> dict[str, Array]:
        points = {} if self.zero_points is None else {"zero_points": self.zero_points}
        return {"codes": self.stream, "scales": self.scales} | points

    @property
    def settings(self) -> Settings:
        return {"bits": self.bits, "signed": int(self.signed), "group": self.group}


def _range(bits: int, signed: bool) -> tuple[int, int]:
    return (-(1 << (bits - 1)), (1 << (bits - 1)) - 1) if signed else (0, (1 << bits) - 1)


def _integer(bits: int, signed: bool) -> np.dtype[Any]:
    """Return the smallest integer type that holds a code."""
    return np.dtype(f"{'i' if signed else 'u'}{1 if bits <= 8 else 2}")


register(LinearTensor)
