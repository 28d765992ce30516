"""What the integer and binary kernels compute, in plain NumPy with int64, bit for bit."""

from typing import Any

import numpy as np
from numpy.typing import NDArray


def block_int8_linear(x: NDArray[np.uint8], codes: NDArray[np.int8]) -> NDArray[np.int64]:
    """Return Σ x · codes: (n, inputs), (out, inputs) → (n, out)."""
    sums: NDArray[np.int64] = x.astype(np.int64) @ codes.astype(np.int64).T
    return sums


def requantize(
    sums: NDArray[Any], multipliers: NDArray[np.int64], shifts: NDArray[np.int64], zero: int, limits: tuple[int, int]
) -> NDArray[np.int64]:
    """Return ((sums · M0 + 2^(s-1)) >> s) + zero, limited; sums (…, channels), multipliers and shifts (channels,)."""
    wide = sums.astype(np.int64) * multipliers + (1 << (shifts - 1))
    return np.asarray(np.clip((wide >> shifts) + zero, *limits))


def xnor_linear(x: NDArray[np.float32], signs: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Return the dot products of signs: (n, inputs), (out, inputs) → (n, out); what is not below 0 counts as +1."""
    left, right = np.where(x < 0, -1, 1), np.where(signs, 1, -1)
    dots: NDArray[np.int64] = left.astype(np.int64) @ right.astype(np.int64).T
    return dots
