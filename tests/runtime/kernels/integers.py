"""Convolution of integers in int64, the plain way: for tests."""

import numpy as np


def conv_int64(x, codes, zero, geometry):
    """Return Σ codes · (x - zero) in int64: x (n, h, w, c), codes (out, c / groups, k_h, k_w) → (n, h', w', out)."""
    (s_h, s_w), (p_h, p_w), (d_h, d_w) = geometry.stride, geometry.padding, geometry.dilation
    wide = np.pad(x.astype(np.int64) - zero, ((0, 0), (p_h, p_h), (p_w, p_w), (0, 0)))
    out, per, k_h, k_w = codes.shape
    h, w = (wide.shape[1] - d_h * (k_h - 1) - 1) // s_h + 1, (wide.shape[2] - d_w * (k_w - 1) - 1) // s_w + 1
    y = np.zeros((len(x), h, w, out), np.int64)
    for o in range(out):
        first = o // (out // geometry.groups) * per
        for i in range(k_h):
            for j in range(k_w):
                seen = wide[:, i * d_h : i * d_h + s_h * h : s_h, j * d_w : j * d_w + s_w * w : s_w, first : first + per]
                y[..., o] += seen @ codes[o, :, i, j].astype(np.int64)
    return y
