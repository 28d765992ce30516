"""Direct sparse convolution, images innermost.

Everything lies in one flat array `a`, the arena. Channel c, row i, pixel j of a value are `LANES` floats, one for each
image of the group, at  base + (c · plane + i · pitch + j) · LANES. Around the image lies a border of zeros.

For a tile of rows × pixels outputs, held in registers, every stored weight (output o, input channel, row, column) is one
tap (see `_taps`) with its offset into the input, one broadcast and one fused multiply-add for each vector of the tile; nothing is copied beforehand.
Input channels go in blocks, so that what a tile reads stays in the first cache; between blocks, sums rest in `part`.
Bias, limits (ReLU) and 2×2 max pooling are fused into the store.
"""

from typing import Any

import numpy as np

from labkit.runtime.kernels._cache import kernel
from labkit.runtime.kernels._simd import LANES, add_product, clip, larger, larger_row, load, plus, splat, store
from labkit.runtime.kernels._taps import value
from labkit.runtime.kernels._vectors import entry

TILES = ((2, 7, 1), (2, 4, 1), (3, 3, 1), (1, 4, 1), (1, 1, 1), (2, 7, 2), (2, 4, 2), (3, 3, 2))
"""Compiled variants: rows and pixels of a tile, distance between the inputs of neighbouring pixels."""

X, Y, PART, LINE, POINTERS, BIAS, OUTPUTS, BLOCKS, HEIGHT, WIDTH, STRIDE_Y, STRIDE_X = range(1, 13)
X_PITCH, Y_PITCH, Y_PLANE, POOLED = range(13, 17)
"""Columns of a step's row in the table (column 0 is the operation): places in the arena and in the packed weights, the
number of outputs and of blocks of inputs, rows and columns to compute, strides, geometry of input and output."""


def _variant(rows: int, pixels: int, step: int) -> Any:
    """Make the kernel for one shape of tile."""

    @kernel
    def csr_conv(a, s, pointers, taps, bias, low, high):  # type: ignore[no-untyped-def]
        """Compute one convolution for one group of images.

        a: arena. s: the step's row. pointers: start of each (block, output), absolute. taps: of each weight, its place in
        floats from a tile's origin. bias: of all outputs of all steps.
        """
        h, w, out, blocks, pitch = s[HEIGHT], s[WIDTH], s[OUTPUTS], s[BLOCKS], s[X_PITCH]
        x_row, tile_size = s[STRIDE_Y] * pitch * LANES, rows * pixels * LANES
        zero = splat(rows, pixels, np.float32(0))
        for row in range(0, h, rows):
            i = min(row, h - rows)  # the last tile moves back and computes some outputs again
            for column in range(0, w, pixels):
                j = min(column, w - pixels)
                origin = s[X] + (i * s[STRIDE_Y] * pitch + j * s[STRIDE_X]) * LANES
                for block in range(blocks):
                    for o in range(out):
                        if block == 0:
                            total = splat(rows, pixels, bias[s[BIAS] + o])
                        else:
                            total = load(zero, a, s[PART] + o * tile_size, pixels * LANES, 1)
                        at = s[POINTERS] + block * out + o
                        for n in range(pointers[at], pointers[at + 1]):
                            tap = entry(taps, n)
                            total = add_product(total, value(tap), a, origin + (tap >> 32), x_row, step)
                        if block < blocks - 1:
                            store(total, a, s[PART] + o * tile_size, pixels * LANES)
                        elif s[POOLED]:
                            store(larger_row(clip(total, low, high)), a, s[LINE] + (o * w + j) * LANES, 0)
                        else:
                            y = s[Y] + (o * s[Y_PLANE] + i * s[Y_PITCH] + j) * LANES
                            store(clip(total, low, high), a, y, s[Y_PITCH] * LANES)
            if s[POOLED]:
                _pool_line(a, s, i // 2)

    return csr_conv


@kernel
def _pool_line(a, s, i):  # type: ignore[no-untyped-def]
    """Write row i of the pooled output: the maxima of neighbours in the line of row maxima."""
    one = splat(1, 1, np.float32(0))
    for o in range(s[OUTPUTS]):
        for j in range(s[WIDTH] // 2):
            at = s[LINE] + (o * s[WIDTH] + 2 * j) * LANES
            pair = larger(load(one, a, at, 0, 1), load(one, a, at + LANES, 0, 1))
            store(pair, a, s[Y] + (o * s[Y_PLANE] + i * s[Y_PITCH] + j) * LANES, 0)


@kernel
def csr_linear_lanes(a, s, pointers, taps, bias, low, high):  # type: ignore[no-untyped-def]
    """Compute a linear layer, or a convolution whose output is one pixel, for one group of images; four sums take turns.

    The arguments are those of `csr_conv`; of the row, rows and columns, strides and pitches do not count.
    """
    zero = splat(1, 1, np.float32(0))
    for o in range(s[OUTPUTS]):
        p, q, r, t = splat(1, 1, bias[s[BIAS] + o]), zero, zero, zero
        first, last = pointers[s[POINTERS] + o], pointers[s[POINTERS] + o + 1]
        whole = first + (last - first) // 4 * 4
        for n in range(first, whole, 4):
            i, j, k, m = entry(taps, n), entry(taps, n + 1), entry(taps, n + 2), entry(taps, n + 3)
            p = add_product(p, value(i), a, s[X] + (i >> 32), 0, 1)
            q = add_product(q, value(j), a, s[X] + (j >> 32), 0, 1)
            r = add_product(r, value(k), a, s[X] + (k >> 32), 0, 1)
            t = add_product(t, value(m), a, s[X] + (m >> 32), 0, 1)
        for n in range(whole, last):
            i = entry(taps, n)
            p = add_product(p, value(i), a, s[X] + (i >> 32), 0, 1)
        store(clip(plus(plus(p, q), plus(r, t)), low, high), a, s[Y] + o * s[Y_PLANE] * LANES, 0)


VARIANTS = tuple(_variant(*tile) for tile in TILES)
