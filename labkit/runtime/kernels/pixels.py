"""What happens between convolutions of one image whose pixels lie innermost; the counterpart of `lanes`.

The layout is that of `csr_conv_one`, the columns of a step's row are those of `lanes`.
"""

import numpy as np

from labkit.runtime.kernels import lanes
from labkit.runtime.kernels._cache import kernel
from labkit.runtime.kernels._simd import LANES, clip, load, plus, splat, store_first

FROM, OTHER, TO, CHANNELS, ROWS, COLUMNS = lanes.FROM, lanes.OTHER, lanes.TO, lanes.CHANNELS, lanes.ROWS, lanes.COLUMNS
FROM_PITCH, FROM_PLANE, OTHER_PITCH, OTHER_PLANE = lanes.FROM_PITCH, lanes.FROM_PLANE, lanes.OTHER_PITCH, lanes.OTHER_PLANE
TO_PITCH, TO_PLANE, IN_ROWS, IN_COLUMNS, WINDOW = lanes.TO_PITCH, lanes.TO_PLANE, lanes.IN_ROWS, lanes.IN_COLUMNS, lanes.WINDOW


@kernel
def add_one(a, s, low, high):  # type: ignore[no-untyped-def]
    """Add two values of one shape and limit the sum."""
    one = splat(1, 1, np.float32(0))
    for c in range(s[CHANNELS]):
        for i in range(s[ROWS]):
            x = s[FROM] + c * s[FROM_PLANE] + i * s[FROM_PITCH]
            z = s[OTHER] + c * s[OTHER_PLANE] + i * s[OTHER_PITCH]
            y = s[TO] + c * s[TO_PLANE] + i * s[TO_PITCH]
            for j in range(0, s[COLUMNS], LANES):
                total = plus(load(one, a, x + j, 0, 1), load(one, a, z + j, 0, 1))
                store_first(clip(total, low, high), a, y + j, s[COLUMNS] - j)


@kernel
def max_pool_one(a, s, low, high):  # type: ignore[no-untyped-def]
    """Take the maximum over windows, leaving out what lies beyond the image, and limit it."""
    k_h, k_w, s_h, s_w, p_h, p_w = s[WINDOW], s[WINDOW + 1], s[WINDOW + 2], s[WINDOW + 3], s[WINDOW + 4], s[WINDOW + 5]
    for c in range(s[CHANNELS]):
        for i in range(s[ROWS]):
            top, bottom = max(i * s_h - p_h, 0), min(i * s_h - p_h + k_h, s[IN_ROWS])
            for j in range(s[COLUMNS]):
                left, right = max(j * s_w - p_w, 0), min(j * s_w - p_w + k_w, s[IN_COLUMNS])
                best = np.float32(-np.inf)
                for r in range(top, bottom):
                    x = s[FROM] + c * s[FROM_PLANE] + r * s[FROM_PITCH]
                    for q in range(left, right):
                        best = a[x + q] if a[x + q] > best else best
                store_first(clip(splat(1, 1, best), low, high), a, s[TO] + c * s[TO_PLANE] + i * s[TO_PITCH] + j, 1)


@kernel
def average_pool_one(a, s, low, high):  # type: ignore[no-untyped-def]
    """Take the mean over the whole image."""
    share = np.float32(1.0 / (s[IN_ROWS] * s[IN_COLUMNS]))
    for c in range(s[CHANNELS]):
        total = np.float32(0)
        for i in range(s[IN_ROWS]):
            x = s[FROM] + c * s[FROM_PLANE] + i * s[FROM_PITCH]
            for j in range(s[IN_COLUMNS]):
                total += a[x + j]
        store_first(clip(splat(1, 1, total * share), low, high), a, s[TO] + c * s[TO_PLANE], 1)


@kernel
def clip_one(a, s, low, high):  # type: ignore[no-untyped-def]
    """Limit a value."""
    one = splat(1, 1, np.float32(0))
    for c in range(s[CHANNELS]):
        for i in range(s[ROWS]):
            x = s[FROM] + c * s[FROM_PLANE] + i * s[FROM_PITCH]
            y = s[TO] + c * s[TO_PLANE] + i * s[TO_PITCH]
            for j in range(0, s[COLUMNS], LANES):
                store_first(clip(load(one, a, x + j, 0, 1), low, high), a, y + j, s[COLUMNS] - j)
