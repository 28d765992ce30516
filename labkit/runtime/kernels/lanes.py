"""What happens between convolutions on activations whose images lie innermost, and how they get in and out.

The layout is that of `csr_conv`: `LANES` images of one pixel side by side, in the flat array `a`.
"""

import numpy as np

from labkit.runtime.kernels._cache import kernel
from labkit.runtime.kernels._simd import LANES, add_product, clip, larger, load, plus, splat, store
from labkit.runtime.kernels.transpose import transpose

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


PLACE, N_CHANNELS, N_ROWS, N_COLUMNS, PITCH, PLANE, BY_IMAGE, AT_ONCE, SCRATCH = range(9)
"""What `gather` and `scatter` are told of a value: its place and geometry in the arena; floats of an image; how many channels
are transposed at once, and a place in the arena for that."""


@kernel
def gather(outside, a, g, first, by_pixel):  # type: ignore[no-untyped-def]
    """Copy one group of images, from number `first` on, into the arena; lanes without an image become zero.

    outside: flat, image after image; channel after channel or, where `by_pixel`, pixel after pixel.
    """
    size, one = g[BY_IMAGE], splat(1, 1, np.float32(0))
    images, pixels = min(LANES, outside.size // size - first), g[N_ROWS] * g[N_COLUMNS]
    if images < LANES:
        for c in range(g[N_CHANNELS]):
            for i in range(g[N_ROWS]):
                for j in range(g[N_COLUMNS]):
                    store(one, a, g[PLACE] + (c * g[PLANE] + i * g[PITCH] + j) * LANES, 0)
                    store(one, a, g[SCRATCH] + (c % g[AT_ONCE] * pixels + i * g[N_COLUMNS] + j) * LANES, 0)
    if by_pixel:
        for i in range(g[N_ROWS]):
            for j in range(g[N_COLUMNS]):
                x = outside[first * size + (i * g[N_COLUMNS] + j) * g[N_CHANNELS] :]
                y = a[g[PLACE] + (i * g[PITCH] + j) * LANES :]
                transpose(x, y, images, g[N_CHANNELS], size, g[PLANE] * LANES)
        return
    for start in range(0, g[N_CHANNELS], g[AT_ONCE]):
        count = min(g[AT_ONCE], g[N_CHANNELS] - start)
        transpose(outside[first * size + start * pixels :], a[g[SCRATCH] :], images, count * pixels, size, LANES)
        for c in range(count):
            for i in range(g[N_ROWS]):
                x = g[SCRATCH] + (c * pixels + i * g[N_COLUMNS]) * LANES
                y = g[PLACE] + ((start + c) * g[PLANE] + i * g[PITCH]) * LANES
                for j in range(0, g[N_COLUMNS] * LANES, LANES):
                    store(load(one, a, x + j, 0, 1), a, y + j, 0)


@kernel
def scatter(a, outside, g, first):  # type: ignore[no-untyped-def]
    """Copy one group of images out of the arena, channel after channel; the reverse of `gather`."""
    size, one = g[BY_IMAGE], splat(1, 1, np.float32(0))
    images, pixels = min(LANES, outside.size // size - first), g[N_ROWS] * g[N_COLUMNS]
    for start in range(0, g[N_CHANNELS], g[AT_ONCE]):
        count = min(g[AT_ONCE], g[N_CHANNELS] - start)
        for c in range(count):
            for i in range(g[N_ROWS]):
                x = g[PLACE] + ((start + c) * g[PLANE] + i * g[PITCH]) * LANES
                y = g[SCRATCH] + (c * pixels + i * g[N_COLUMNS]) * LANES
                for j in range(0, g[N_COLUMNS] * LANES, LANES):
                    store(load(one, a, x + j, 0, 1), a, y + j, 0)
        transpose(a[g[SCRATCH] :], outside[first * size + start * pixels :], count * pixels, images, LANES, size)
