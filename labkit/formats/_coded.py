"""What formats of coded values share: codes are whole numbers, and float32 scales or centroids decode them.

`pack` of such a format takes codes, not values: choosing them is a method's work. What it is handed is checked as a file
is, so both refuse the same things in the same words.
"""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from labkit.core.errors import FileFormatError
from labkit.formats._format import Array, Format, Shape, checked_type, matrix_shape

_LARGEST = np.float32(2.0**100)  # times any code it is still finite


@dataclass(frozen=True, eq=False)
class CodedFormat(Format):
    """A tensor of codes; `unpack` returns what they stand for, as float32."""

    lossless: ClassVar[bool] = False


def as_scales(scales: Array | float) -> Array:
    """Return scales as a file holds them: flat float32."""
    return np.atleast_1d(np.asarray(scales, np.float32)).reshape(-1)


def checked_scales(kind: str, name: str, scales: Array, *counts: int, positive: bool = False) -> Array:
    """Return scales, if there are as many as one of `counts` and all are in [0, 2^100].

    Raises:
        FileFormatError: they are not; `positive` refuses 0 as well.
    """
    checked_type(kind, name, scales, np.dtype(np.float32))
    if scales.size not in counts:
        raise FileFormatError(f"{name} of a {kind} tensor must be {' or '.join(map(str, sorted(set(counts))))}, got {scales.size}")
    if not ((scales >= 0) & (scales <= _LARGEST)).all() or (positive and (scales == 0).any()):
        raise FileFormatError(f"{name} of a {kind} tensor must be {'above' if positive else 'at least'} 0 and at most 2^100")
    return scales


def checked_centroids(kind: str, centroids: Array, bits: int) -> Array:
    """Return the values of a codebook, if an index of `bits` bits can name each.

    Raises:
        FileFormatError: there are too many or none, or one is not finite.
    """
    checked_type(kind, "centroids", centroids, np.dtype(np.float32))
    if not 1 <= centroids.size <= 1 << bits:
        raise FileFormatError(f"a {kind} tensor of {bits} bits must have 1 to {1 << bits} centroids, got {centroids.size}")
    if not np.isfinite(centroids).all():
        raise FileFormatError(f"the centroids of a {kind} tensor must be finite")
    return centroids


def by_row(scales: Array, shape: Shape) -> Array:
    """Return scales, one of all or one a row, so that they multiply a tensor of `shape`."""
    return scales.reshape(-1, *[1] * (len(shape) - 1)) if shape else scales.reshape(())


def row_counts(shape: Shape) -> tuple[int, int]:
    """Return how many scales there may be where a tensor or each of its rows has one."""
    return 1, matrix_shape(shape)[0]
