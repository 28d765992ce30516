"""Integer convolution without oneDNN: windows become rows, which the linear kernel multiplies; groups are its blocks of zeros."""

import numpy as np
from numpy.typing import NDArray

from labkit.runtime.kernels.int8_linear import BlockInt8Linear
from labkit.runtime.kernels.int8_onednn import Bytes, Geometry

MOST_BYTES = 8 << 20
"""Of windows that are laid out at a time."""


class WindowSums:
    """Do what `int8_onednn.conv_sums` does, on any machine and for sums up to 2^31: x (n, h, w, c) → int32 (n, h', w', out).

    Args:
        codes: int8 (out, c / groups, k_h, k_w).
        zero: zero point of x, which is also what is padded.
        geometry: of the window.

    Raises:
        ModelError: a sum might not fit 32 bits.
    """

    def __init__(self, codes: NDArray[np.int8], zero: int, geometry: Geometry) -> None:
        out, per, *self._window = codes.shape
        self._zero, self._geometry, groups = np.uint8(zero), geometry, geometry.groups
        rows = np.zeros((out, *self._window, per * groups), np.int8)
        for g in range(groups):
            chosen = slice(g * out // groups, (g + 1) * out // groups)
            rows[chosen, ..., g * per : (g + 1) * per] = codes[chosen].transpose(0, 2, 3, 1)
        added = -zero * codes.reshape(out, -1).astype(np.int64).sum(axis=1)
        self._linear = BlockInt8Linear(rows.reshape(out, -1), added.astype(np.int32))

    def __call__(self, x: Bytes) -> NDArray[np.int32]:
        """Return the sums."""
        (p_h, p_w), (d_h, d_w), (s_h, s_w) = self._geometry.padding, self._geometry.dilation, self._geometry.stride
        padded = np.pad(x, ((0, 0), (p_h, p_h), (p_w, p_w), (0, 0)), constant_values=self._zero)
        reach = tuple(d * (k - 1) + 1 for d, k in zip((d_h, d_w), self._window, strict=True))
        seen = np.lib.stride_tricks.sliding_window_view(padded, reach, axis=(1, 2))[:, ::s_h, ::s_w, :, ::d_h, ::d_w]
        windows = seen.transpose(0, 1, 2, 4, 5, 3)  # (n, h', w', k_h, k_w, c)
        size = int(np.prod(windows.shape[1:]))
        some = max(1, MOST_BYTES // size)
        parts = [self._sums(windows[start : start + some]) for start in range(0, len(x), some)]
        return np.concatenate(parts)

    def _sums(self, windows: Bytes) -> NDArray[np.int32]:
        n, h, w, *_ = windows.shape
        return self._linear(windows.reshape(n * h * w, -1)).reshape(n, h, w, -1)
