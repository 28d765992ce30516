"""Ternary: each entry is +S, 0 or -S; two planes of one bit (positive, negative) and a float32 scale, or one for each sign.

Source     Li et al. 2016 (TWN), arXiv:1605.04711; a scale for each sign: Zhu et al. 2016 (TTQ), arXiv:1612.01064.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

import numpy as np

from labkit.core.errors import FileFormatError
from labkit.formats._bits import checked_stream, pack_bits, unpack_bits
from labkit.formats._coded import CodedFormat, as_scales, by_row, checked_scales, row_counts
from labkit.formats._format import NO_SETTINGS, Array, Settings, Shape, checked_arrays, checked_settings, register


@dataclass(frozen=True, eq=False)
class TernaryTensor(CodedFormat):
    """A tensor of signs and zeros.

    Attributes:
        shape: of the tensor; its first dimension counts the rows.
        positive, negative: which entries are above and below 0, packed.
        scales: float32, (1,) for the tensor or (rows,).
        negative_scales: of the entries below 0, as many as `scales`; None where `scales` serve both.
    """

    kind = "ternary"
    positive: Array
    negative: Array
    scales: Array
    negative_scales: Array | None = None

    @classmethod
    def pack(cls, signs: Array, scales: Array | float, negative_scales: Array | float | None = None) -> Self:
        """Pack signs.

        Args:
            signs: -1, 0 or 1, of any shape.
            scales: at least 0; one, or one a row.
            negative_scales: of the entries below 0; None where `scales` serve both.

        Raises:
            ValueError: a sign is something else.
            FileFormatError: the scales do not fit.
        """
        if not np.isin(signs, (-1, 0, 1)).all():
            raise ValueError("the signs of a ternary tensor must be -1, 0 or 1")
        arrays = {"positive": pack_bits(signs > 0, 1), "negative": pack_bits(signs < 0, 1), "scales": as_scales(scales)}
        if negative_scales is not None:
            arrays["negative_scales"] = as_scales(negative_scales)
        return cls.from_arrays(signs.shape, arrays)

    @classmethod
    def from_arrays(cls, shape: Shape, arrays: Mapping[str, Array], settings: Settings = NO_SETTINGS) -> Self:
        checked_settings(cls.kind, settings)
        names = ("positive", "negative", "scales", *(("negative_scales",) if "negative_scales" in arrays else ()))
        positive, negative, scales, *below = checked_arrays(cls.kind, arrays, *names)
        for name, plane in (("positive", positive), ("negative", negative)):
            checked_stream(cls.kind, name, plane, 1, math.prod(shape))
        if (positive & negative).any():
            raise FileFormatError("no entry of a ternary tensor may be in both planes")
        checked_scales(cls.kind, "scales", scales, *row_counts(shape))
        for each in below:
            checked_scales(cls.kind, "negative_scales", each, scales.size)
        return cls(shape, positive, negative, scales, below[0] if below else None)

    @property
    def signs(self) -> Array:
        """-1, 0 or 1 for each entry: int8 of `shape`."""
        above, below = (unpack_bits(plane, 1, math.prod(self.shape)).view(np.int8) for plane in (self.positive, self.negative))
        return np.asarray(above - below).reshape(self.shape)

    def unpack(self) -> Array:
        signs = self.signs
        above, below = (
            by_row(each, self.shape) for each in (self.scales, self.scales if self.negative_scales is None else self.negative_scales)
        )
        return np.where(signs > 0, above, np.where(signs < 0, -below, np.float32(0)))

    def arrays(self) -> dict[str, Array]:
        below = {} if self.negative_scales is None else {"negative_scales": self.negative_scales}
        return {"positive": self.positive, "negative": self.negative, "scales": self.scales} | below


register(TernaryTensor)
