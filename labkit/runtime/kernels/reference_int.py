"""What the integer and binary kernels compute, in plain NumPy with int64, bit for bit."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from labkit.runtime.kernels.int8_codes import Requantization
from labkit.runtime.kernels.int8_onednn import Geometry


def block_int8_linear(x: NDArray[np.uint8], codes: NDArray[np.int8]) -> NDArray[np.int64]:
    """Return Σ x · codes: (n, inputs), (out, inputs) → (n, out)."""
    sums: NDArray[np.int64] = x.astype(np.int64) @ codes.astype(np.int64).T
    return sums


def conv_sums(x: NDArray[np.uint8], codes: NDArray[np.int8], zero: int, geometry: Geometry) -> NDArray[np.int64]:
    """Return Σ codes · (x - zero): (n, h, w, c), (out, c / groups, k_h, k_w) → (n, h', w', out); what is padded counts as `zero`."""
    (p_h, p_w), (d_h, d_w), (s_h, s_w), (out, per, k_h, k_w) = geometry.padding, geometry.dilation, geometry.stride, codes.shape
    wide = np.pad(x.astype(np.int64) - zero, ((0, 0), (p_h, p_h), (p_w, p_w), (0, 0)))
    reach = d_h * (k_h - 1) + 1, d_w * (k_w - 1) + 1
    seen = np.lib.stride_tricks.sliding_window_view(wide, reach, axis=(1, 2))[:, ::s_h, ::s_w, :, ::d_h, ::d_w]
    by_group = seen.reshape(*seen.shape[:3], geometry.groups, per, k_h, k_w)
    weights = codes.astype(np.int64).reshape(geometry.groups, -1, per, k_h, k_w)
    sums: NDArray[np.int64] = np.einsum("nhwgcuv,gocuv->nhwgo", by_group, weights, optimize=True)
    return sums.reshape(*seen.shape[:3], out)


def int8_direct_conv(
    x: NDArray[np.uint8], codes: NDArray[np.int8], zero: int, geometry: Geometry, how: Requantization, *, pools: bool = False
) -> NDArray[np.int64]:
    """Return the requantized sums, (n, h', w', out); where it pools, each square of four pixels becomes its largest."""
    made = requantize(conv_sums(x, codes, zero, geometry) + how.added, how.factors, how.shifts, how.zero, (how.low, how.high))
    if not pools:
        return made
    n, h, w, out = made.shape
    return np.asarray(made[:, : h // 2 * 2, : w // 2 * 2].reshape(n, h // 2, 2, w // 2, 2, out).max(axis=(2, 4)))


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
