"""What happens between convolutions on activations whose images lie innermost, and how they get in and out.

The layout is that of `csr_conv`: `LANES` images of one pixel side by side, in the flat array `a`.
"""

import numpy as np

from labkit.runtime.kernels._cache import kernel
from labkit.runtime.kernels._simd import LANES, add_product, clip, larger, load, plus, splat, store

FROM, OTHER, TO, CHANNELS, ROWS, COLUMNS = range(1, 7)
FROM_PITCH, FROM_PLANE, OTHER_PITCH, OTHER_PLANE, TO_PITCH, TO_PLANE = range(7, 13)
IN_ROWS, IN_COLUMNS, WINDOW = range(13, 16)
"""Columns of a step's row in the table: places of the inputs and the output, size of the output, geometry, size of the
input; from `WINDOW` on window, stride and padding, vertical and horizontal."""


@kernel
def add(a, s, low, high):  # type: ignore[no-untyped-def]
    """Add two values of one shape and limit the sum."""
    one = splat(1, 1, np.float32(0))
    for c in range(s[CHANNELS]):
        for i in range(s[ROWS]):
            x = s[FROM] + (c * s[FROM_PLANE] + i * s[FROM_PITCH]) * LANES
            z = s[OTHER] + (c * s[OTHER_PLANE] + i * s[OTHER_PITCH]) * LANES
            y = s[TO] + (c * s[TO_PLANE] + i * s[TO_PITCH]) * LANES
            for j in range(0, s[COLUMNS] * LANES, LANES):
                store(clip(plus(load(one, a, x + j, 0, 1), load(one, a, z + j, 0, 1)), low, high), a, y + j, 0)


@kernel
def max_pool(a, s, low, high):  # type: ignore[no-untyped-def]
    """Take the maximum over windows, leaving out what lies beyond the image, and limit it."""
    one = splat(1, 1, np.float32(0))
    k_h, k_w, s_h, s_w, p_h, p_w = s[WINDOW], s[WINDOW + 1], s[WINDOW + 2], s[WINDOW + 3], s[WINDOW + 4], s[WINDOW + 5]
    for c in range(s[CHANNELS]):
        for i in range(s[ROWS]):
            top, bottom = max(i * s_h - p_h, 0), min(i * s_h - p_h + k_h, s[IN_ROWS])
            for j in range(s[COLUMNS]):
                left, right = max(j * s_w - p_w, 0), min(j * s_w - p_w + k_w, s[IN_COLUMNS])
                best = splat(1, 1, np.float32(-np.inf))
                for r in range(top, bottom):
                    x = s[FROM] + (c * s[FROM_PLANE] + r * s[FROM_PITCH]) * LANES
                    for q in range(left * LANES, right * LANES, LANES):
                        best = larger(load(one, a, x + q, 0, 1), best)
                store(clip(best, low, high), a, s[TO] + (c * s[TO_PLANE] + i * s[TO_PITCH] + j) * LANES, 0)


@kernel
def average_pool(a, s, low, high):  # type: ignore[no-untyped-def]
    """Take the mean over the whole image."""
    share = np.float32(1.0 / (s[IN_ROWS] * s[IN_COLUMNS]))
    for c in range(s[CHANNELS]):
        total = splat(1, 1, np.float32(0))
        for i in range(s[IN_ROWS]):
            x = s[FROM] + (c * s[FROM_PLANE] + i * s[FROM_PITCH]) * LANES
            for j in range(0, s[IN_COLUMNS] * LANES, LANES):
                total = add_product(total, share, a, x + j, 0, 1)
        store(clip(total, low, high), a, s[TO] + c * s[TO_PLANE] * LANES, 0)


@kernel
def clip_values(a, s, low, high):  # type: ignore[no-untyped-def]
    """Limit a value."""
    one = splat(1, 1, np.float32(0))
    for c in range(s[CHANNELS]):
        for i in range(s[ROWS]):
            x = s[FROM] + (c * s[FROM_PLANE] + i * s[FROM_PITCH]) * LANES
            y = s[TO] + (c * s[TO_PLANE] + i * s[TO_PITCH]) * LANES
            for j in range(0, s[COLUMNS] * LANES, LANES):
                store(clip(load(one, a, x + j, 0, 1), low, high), a, y + j, 0)


PLACE, N_CHANNELS, N_ROWS, N_COLUMNS, PITCH, PLANE, BY_IMAGE, BY_CHANNEL, BY_PIXEL = range(9)
"""What `gather` and `scatter` are told of a value: its place and geometry in the arena; the distances between images,
channels and pixels in the flat array outside."""


@kernel
def gather(outside, a, g, first):  # type: ignore[no-untyped-def]
    """Copy one group of images, from number `first` on, into the arena; lanes without an image become zero."""
    images = outside.size // g[BY_IMAGE]
    for c in range(g[N_CHANNELS]):
        for i in range(g[N_ROWS]):
            for j in range(g[N_COLUMNS]):
                to = g[PLACE] + (c * g[PLANE] + i * g[PITCH] + j) * LANES
                start = c * g[BY_CHANNEL] + (i * g[N_COLUMNS] + j) * g[BY_PIXEL]
                for lane in range(min(LANES, images - first)):
                    a[to + lane] = outside[(first + lane) * g[BY_IMAGE] + start]
                for lane in range(min(LANES, images - first), LANES):
                    a[to + lane] = 0


@kernel
def scatter(a, outside, g, first):  # type: ignore[no-untyped-def]
    """Copy one group of images out of the arena; the reverse of `gather`."""
    images = outside.size // g[BY_IMAGE]
    for c in range(g[N_CHANNELS]):
        for i in range(g[N_ROWS]):
            for j in range(g[N_COLUMNS]):
                at = g[PLACE] + (c * g[PLANE] + i * g[PITCH] + j) * LANES
                start = c * g[BY_CHANNEL] + (i * g[N_COLUMNS] + j) * g[BY_PIXEL]
                for lane in range(min(LANES, images - first)):
                    outside[(first + lane) * g[BY_IMAGE] + start] = a[at + lane]
