"""Codebook: each entry is an index of 1 to 8 bits into a short list of float32 centroids; ⌈n·b/8⌉ + 4·k bytes.

Source     Han et al. 2015 (Deep Compression), arXiv:1510.00149.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

import numpy as np

from labkit.core.errors import FileFormatError
from labkit.formats._bits import checked_stream, pack_bits, unpack_bits
from labkit.formats._coded import CodedFormat, as_scales, checked_centroids
from labkit.formats._format import NO_SETTINGS, Array, Settings, Shape, checked_arrays, checked_settings, register


@dataclass(frozen=True, eq=False)
class CodebookTensor(CodedFormat):
    """A tensor of indices into a codebook.

    Attributes:
        shape: of the tensor.
        stream: the indices, packed.
        centroids: (k,) float32, 1 <= k <= 2^bits.
        bits: of an index.
    """

    kind = "codebook"
    stream: Array
    centroids: Array
    bits: int

    @classmethod
    def pack(cls, indices: Array, centroids: Array, bits: int | None = None) -> Self:
        """Pack indices.

        Args:
            indices: whole numbers of any shape, in [0, k).
            centroids: (k,) float32.
            bits: of an index, 1 to 8; None takes as few as k centroids need.

        Raises:
            ValueError: an index does not fit its bits.
            FileFormatError: an index names no centroid, or there are too many centroids.
        """
        bits = bits or max(1, (np.size(centroids) - 1).bit_length())
        arrays = {"indices": pack_bits(indices, bits), "centroids": as_scales(centroids)}
        return cls.from_arrays(indices.shape, arrays, {"bits": bits})

    @classmethod
    def from_arrays(cls, shape: Shape, arrays: Mapping[str, Array], settings: Settings = NO_SETTINGS) -> Self:
        (bits,) = checked_settings(cls.kind, settings, bits=range(1, 9))
        stream, centroids = checked_arrays(cls.kind, arrays, "indices", "centroids")
        checked_stream(cls.kind, "indices", stream, bits, math.prod(shape))
        out = cls(shape, stream, checked_centroids(cls.kind, centroids, bits), bits)
        if centroids.size < 1 << bits and out.indices.size and int(out.indices.max()) >= centroids.size:
            raise FileFormatError(f"an index of a codebook tensor must be below {centroids.size}, got {int(out.indices.max())}")
        return out

    @property
    def indices(self) -> Array:
        """The indices, uint8 of `shape`."""
        return unpack_bits(self.stream, self.bits, math.prod(self.shape)).reshape(self.shape)

    def unpack(self) -> Array:
        return self.centroids[self.indices]

    def arrays(self) -> dict[str, Array]:
        return {"indices": self.stream, "centroids": self.centroids}

    @property
    def settings(self) -> Settings:
        return {"bits": self.bits}


register(CodebookTensor)
