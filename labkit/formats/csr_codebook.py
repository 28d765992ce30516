"""Compressed sparse rows of codebook indices: what Deep Compression's network is when it is executed.

nnz entries take ⌈nnz·b/8⌉ bytes of indices, 4 bytes a centroid, and columns and pointers as compressed sparse rows have.
Source     Han et al. 2015 (Deep Compression), arXiv:1510.00149.
Deviation  Columns are absolute, so that rows can be run without decoding all before; relative ones belong to the stored file.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

import numpy as np

from labkit.core.errors import FileFormatError
from labkit.formats._bits import checked_stream, pack_bits, unpack_bits
from labkit.formats._coded import CodedFormat, as_scales, checked_centroids
from labkit.formats._format import NO_SETTINGS, Array, Settings, Shape, checked_arrays, checked_settings, matrix_shape, register
from labkit.formats._rows import CompressedRows


@dataclass(frozen=True, eq=False)
class CsrCodebookTensor(CodedFormat):
    """A sparse tensor of indices into a codebook.

    Attributes:
        shape: of the tensor; its first dimension counts the rows.
        stream: (nnz) indices, packed.
        index: where they belong.
        centroids: (k,) float32, 1 <= k <= 2^bits.
        bits: of an index.
    """

    kind = "csr_codebook"
    stream: Array
    index: CompressedRows
    centroids: Array
    bits: int

    @classmethod
    def pack(cls, indices: Array, centroids: Array, keep: Array, bits: int | None = None) -> Self:
        """Pack indices.

        Args:
            indices: whole numbers of any shape, in [0, k) where they are kept.
            centroids: (k,) float32.
            keep: bool, of the same shape: the entries to store; the others are 0.
            bits: of an index, 1 to 8; None takes as few as k centroids need.

        Raises:
            ValueError: an index does not fit its bits.
            FileFormatError: an index names no centroid, or there are too many centroids.
        """
        bits = bits or max(1, (np.size(centroids) - 1).bit_length())
        index = CompressedRows.of(keep.reshape(matrix_shape(indices.shape)))
        arrays = {"indices": pack_bits(indices[keep], bits), "centroids": as_scales(centroids)}
        return cls.from_arrays(indices.shape, arrays | {"columns": index.columns, "pointers": index.pointers}, {"bits": bits})

    @classmethod
    def from_arrays(cls, shape: Shape, arrays: Mapping[str, Array], settings: Settings = NO_SETTINGS) -> Self:
        (bits,) = checked_settings(cls.kind, settings, bits=range(1, 9))
        stream, columns, pointers, centroids = checked_arrays(cls.kind, arrays, "indices", "columns", "pointers", "centroids")
        index = CompressedRows.checked(cls.kind, *matrix_shape(shape), columns, pointers)
        checked_stream(cls.kind, "indices", stream, bits, columns.size)
        out = cls(shape, stream, index, checked_centroids(cls.kind, centroids, bits), bits)
        if out.indices.size and int(out.indices.max()) >= centroids.size:
            raise FileFormatError(f"an index of a csr_codebook tensor must be below {centroids.size}, got {int(out.indices.max())}")
        return out

    @property
    def indices(self) -> Array:
        """The index of each stored entry, (nnz,) uint8."""
        return unpack_bits(self.stream, self.bits, self.index.columns.size)

    @property
    def values(self) -> Array:
        """The value of each stored entry, (nnz,) float32."""
        return self.centroids[self.indices]

    def unpack(self) -> Array:
        out = np.zeros(math.prod(self.shape), np.float32)
        out[self.index.places] = self.values
        return out.reshape(self.shape)

    @property
    def stored(self) -> int:
        return self.index.columns.size

    def arrays(self) -> dict[str, Array]:
        return {"indices": self.stream, "columns": self.index.columns, "pointers": self.index.pointers, "centroids": self.centroids}

    @property
    def settings(self) -> Settings:
        return {"bits": self.bits}


register(CsrCodebookTensor)
