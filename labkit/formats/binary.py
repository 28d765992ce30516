"""Binary: each entry is +S or -S, one bit each (1 for +S) and a float32 scale for the tensor or each row.

Source     Rastegari et al. 2016 (XNOR-Net), arXiv:1603.05279.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

import numpy as np

from labkit.formats._bits import checked_stream, pack_bits, unpack_bits
from labkit.formats._coded import CodedFormat, as_scales, by_row, checked_scales, row_counts
from labkit.formats._format import NO_SETTINGS, Array, Settings, Shape, checked_arrays, checked_settings, register


@dataclass(frozen=True, eq=False)
class BinaryTensor(CodedFormat):
    """A tensor of signs.

    Attributes:
        shape: of the tensor; its first dimension counts the rows.
        plane: the signs, packed.
        scales: float32, (1,) for the tensor or (rows,).
    """

    kind = "binary"
    plane: Array
    scales: Array

    @classmethod
    def pack(cls, signs: Array, scales: Array | float) -> Self:
        """Pack signs.

        Args:
            signs: bool of any shape; True stands for +S.
            scales: at least 0; one, or one a row.

        Raises:
            FileFormatError: the scales do not fit.
        """
        return cls.from_arrays(signs.shape, {"plane": pack_bits(signs.astype(bool), 1), "scales": as_scales(scales)})

    @classmethod
    def from_arrays(cls, shape: Shape, arrays: Mapping[str, Array], settings: Settings = NO_SETTINGS) -> Self:
        checked_settings(cls.kind, settings)
        plane, scales = checked_arrays(cls.kind, arrays, "plane", "scales")
        checked_stream(cls.kind, "plane", plane, 1, math.prod(shape))
        return cls(shape, plane, checked_scales(cls.kind, "scales", scales, *row_counts(shape)))

    @property
    def signs(self) -> Array:
        """The signs, bool of `shape`; True stands for +S."""
        return unpack_bits(self.plane, 1, math.prod(self.shape)).astype(bool).reshape(self.shape)

    def unpack(self) -> Array:
        scales = by_row(self.scales, self.shape)
        return np.where(self.signs, scales, -scales)

    def arrays(self) -> dict[str, Array]:
        return {"plane": self.plane, "scales": self.scales}


register(BinaryTensor)
