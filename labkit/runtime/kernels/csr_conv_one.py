"""Direct sparse convolution of one image, pixels innermost.

Channel c, row i, pixel j of a value is one float of the arena, at  base + c · plane + i · pitch + j. A tile is a run of
consecutive pixels, across the ends of rows: what it computes between the rows is never copied out. So a stored weight is
one offset, one broadcast and one fused multiply-add for each vector of the tile, however narrow the image.

With a stride the input is first cut into its phases, one plane for each remainder of row and column; within a phase
neighbouring outputs read neighbouring floats. Sums rest in `LINE`, in the pitch of the input, until all are there; then
they go to their place, through 2×2 max pooling where that is fused.
"""

from typing import Any

import numpy as np

from labkit.runtime.kernels._cache import kernel
from labkit.runtime.kernels._simd import LANES, add_product, clip, every_second, larger, load, splat, store, store_first
from labkit.runtime.kernels._taps import value
from labkit.runtime.kernels._vectors import entry

TILES = (14, 8, 4, 1)
"""Compiled variants: vectors of a tile."""

X, PITCH, SIZE, LINE, LINE_PLANE, POINTERS, BIAS, OUTPUTS = range(1, 9)
Y, Y_PITCH, Y_PLANE, HEIGHT, WIDTH, POOLED = range(9, 15)
FROM, FROM_PITCH, FROM_PLANE, CHANNELS, ROWS, COLUMNS, STRIDE_Y, STRIDE_X, PHASE = range(15, 24)
"""Columns of a step's row in the table (column 0 is the operation): where to read and its pitch, how many sums a channel;
where they rest; places in the packed weights; output, its height and width before pooling; for a stride, what is cut into
phases (padding included) and the floats of one phase."""


def _variant(vectors: int) -> Any:
    """Make the kernel for one length of tile."""

    @kernel
    def csr_conv_one(a, s, pointers, taps, bias, low, high):  # type: ignore[no-untyped-def]
        """Compute one convolution of one image; the arguments are those of `csr_conv`."""
        if s[STRIDE_Y] * s[STRIDE_X] > 1:
            cut(a, s)
        for t in range(0, s[SIZE], vectors * LANES):
            for o in range(s[OUTPUTS]):
                total = splat(1, vectors, bias[s[BIAS] + o])
                at = s[POINTERS] + o
                for n in range(pointers[at], pointers[at + 1]):
                    tap = entry(taps, n)
                    total = add_product(total, value(tap), a, s[X] + t + (tap >> 32), 0, 1)
                store(clip(total, low, high), a, s[LINE] + o * s[LINE_PLANE] + t, 0)
        if s[POOLED]:
            pool(a, s)
        else:
            settle(a, s)

    return csr_conv_one


@kernel
def cut(a, s):  # type: ignore[no-untyped-def]
    """Copy the input into its phases; every second column a vector at a time."""
    two, left, right = splat(1, 2, np.float32(0)), (s[COLUMNS] + 1) // 2, s[COLUMNS] // 2
    for c in range(s[CHANNELS]):
        for i in range(s[ROWS]):
            x = s[FROM] + c * s[FROM_PLANE] + i * s[FROM_PITCH]
            if s[STRIDE_X] == 2:
                y = s[X] + 2 * (c * s[STRIDE_Y] + i % s[STRIDE_Y]) * s[PHASE] + i // s[STRIDE_Y] * s[PITCH]
                for j in range(0, left, LANES):
                    both = load(two, a, x + 2 * j, 0, 1)
                    store_first(every_second(both, 0), a, y + j, left - j)
                    store_first(every_second(both, 1), a, y + s[PHASE] + j, right - j)
                continue
            for phase in range(s[STRIDE_X]):
                number = (c * s[STRIDE_Y] + i % s[STRIDE_Y]) * s[STRIDE_X] + phase
                y = s[X] + number * s[PHASE] + i // s[STRIDE_Y] * s[PITCH]
                for j in range((s[COLUMNS] - phase + s[STRIDE_X] - 1) // s[STRIDE_X]):
                    a[y + j] = a[x + phase + j * s[STRIDE_X]]


@kernel
def settle(a, s):  # type: ignore[no-untyped-def]
    """Copy the sums to their place."""
    one = splat(1, 1, np.float32(0))
    for o in range(s[OUTPUTS]):
        for i in range(s[HEIGHT]):
            x, y = s[LINE] + o * s[LINE_PLANE] + i * s[PITCH], s[Y] + o * s[Y_PLANE] + i * s[Y_PITCH]
            for j in range(0, s[WIDTH], LANES):
                store_first(load(one, a, x + j, 0, 1), a, y + j, s[WIDTH] - j)


@kernel
def pool(a, s):  # type: ignore[no-untyped-def]
    """Copy the maxima of 2×2 sums to their place."""
    two, width = splat(1, 2, np.float32(0)), s[WIDTH] // 2
    for o in range(s[OUTPUTS]):
        for i in range(s[HEIGHT] // 2):
            x, y = s[LINE] + o * s[LINE_PLANE] + 2 * i * s[PITCH], s[Y] + o * s[Y_PLANE] + i * s[Y_PITCH]
            for j in range(0, width, LANES):
                rows = larger(load(two, a, x + 2 * j, 0, 1), load(two, a, x + s[PITCH] + 2 * j, 0, 1))
                store_first(larger(every_second(rows, 1), every_second(rows, 0)), a, y + j, width - j)


@kernel
def csr_linear_pixels(a, s, pointers, taps, bias, low, high):  # type: ignore[no-untyped-def]
    """Compute a linear layer, or a convolution whose output is one pixel; four sums take turns. Arguments as of `csr_conv`."""
    for o in range(s[OUTPUTS]):
        p, q, r, t = bias[s[BIAS] + o], np.float32(0), np.float32(0), np.float32(0)
        first, last = pointers[s[POINTERS] + o], pointers[s[POINTERS] + o + 1]
        whole = first + (last - first) // 4 * 4
        for n in range(first, whole, 4):
            i, j, k, m = entry(taps, n), entry(taps, n + 1), entry(taps, n + 2), entry(taps, n + 3)
            p += value(i) * entry(a, s[X] + (i >> 32))
            q += value(j) * entry(a, s[X] + (j >> 32))
            r += value(k) * entry(a, s[X] + (k >> 32))
            t += value(m) * entry(a, s[X] + (m >> 32))
        for n in range(whole, last):
            i = entry(taps, n)
            p += value(i) * entry(a, s[X] + (i >> 32))
        store_first(clip(splat(1, 1, (p + q) + (r + t)), low, high), a, s[Y] + o * s[Y_PLANE], 1)


VARIANTS = tuple(_variant(vectors) for vectors in TILES)
