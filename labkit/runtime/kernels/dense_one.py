"""Dense convolutions and linear layers of one image, pixels innermost.

The layout is that of `csr_conv_one`. A convolution keeps a tile of outputs × vectors of pixels in registers: each tap (input
channel, row, column) is `OUTPUTS` broadcasts and a fused multiply-add for every vector of the tile, on pixels that are loaded
once for all outputs. A linear layer keeps outputs side by side: each input is one broadcast, times its weights in order, and
an input that is zero (half of what a ReLU leaves) is passed over with its weights.
"""

from typing import Any

import numpy as np

from labkit.runtime.kernels._cache import kernel
from labkit.runtime.kernels._outer import add_outer, splat_rows
from labkit.runtime.kernels._simd import LANES, add_product, clip, splat, store
from labkit.runtime.kernels._vectors import entry
from labkit.runtime.kernels.csr_conv_one import BIAS, LINE, LINE_PLANE, POOLED, SIZE, STRIDE_X, STRIDE_Y, X, Y, cut, pool, settle
from labkit.runtime.kernels.csr_conv_one import OUTPUTS as COUNT
from labkit.runtime.kernels.csr_conv_one import POINTERS as OFFSETS

OUTPUTS = 8 if LANES == 16 else 4
"""Outputs of a tile: with `TILES` vectors of pixels each, the sums and the pixels fill the registers."""
TILES = (3, 2, 1)
WIDTHS = (8, 4, 2, 1)
"""Vectors of outputs that a linear layer sums at once, as long as there are so many."""

TAPS, WEIGHTS = 24, 25
"""More columns of a step's row: how many taps it has, their offsets beginning at `OFFSETS`; where its weights begin."""


def _variant(vectors: int) -> Any:
    """Make the convolution for one length of tile."""

    @kernel
    def dense_conv_one(a, s, offsets, weights, bias, low, high):  # type: ignore[no-untyped-def]
        """Compute one convolution of one image.

        a, s, offsets, bias, low, high: as of `csr_conv`. weights: (outputs / OUTPUTS, taps, OUTPUTS) from `WEIGHTS` on, flat.
        """
        if s[STRIDE_Y] * s[STRIDE_X] > 1:
            cut(a, s)
        first, last = s[OFFSETS], s[OFFSETS] + s[TAPS]
        for t in range(0, s[SIZE], vectors * LANES):
            at = s[WEIGHTS]
            for o in range(0, s[COUNT], OUTPUTS):
                total = splat_rows(OUTPUTS, vectors, bias, s[BIAS] + o)
                for n in range(first, last):
                    total = add_outer(total, weights, at, a, s[X] + t + np.int64(entry(offsets, n)))
                    at += OUTPUTS
                store(clip(total, low, high), a, s[LINE] + o * s[LINE_PLANE] + t, s[LINE_PLANE])
        if s[POOLED]:
            pool(a, s)
        else:
            settle(a, s)

    return dense_conv_one


def _linear(vectors: int) -> Any:
    """Make the part of a linear layer that computes so many vectors of outputs."""

    @kernel
    def outputs_of(a, s, offsets, weights, bias, low, high, o, at):  # type: ignore[no-untyped-def]
        """Compute outputs o, o + 1, …; their weights begin at `at`."""
        total = splat(1, vectors, np.float32(0))
        for n in range(s[OFFSETS], s[OFFSETS] + s[TAPS]):
            x = entry(a, s[X] + np.int64(entry(offsets, n)))
            if x != 0:
                total = add_product(total, x, weights, at, 0, 1)
            at += vectors * LANES
        total = add_product(total, np.float32(1), bias, s[BIAS] + o, 0, 1)
        store(clip(total, low, high), a, s[Y] + o, 0)

    return outputs_of


_8, _4, _2, _1 = (_linear(vectors) for vectors in WIDTHS)


@kernel
def dense_linear_one(a, s, offsets, weights, bias, low, high):  # type: ignore[no-untyped-def]
    """Compute one linear layer of one image; outputs up to a multiple of `LANES` are written.

    weights: for each stretch of outputs as wide as `WIDTHS` allow, (taps, width · LANES) from `WEIGHTS` on, flat.
    """
    o, at, taps = 0, s[WEIGHTS], s[TAPS]
    while s[COUNT] - o > 7 * LANES:
        _8(a, s, offsets, weights, bias, low, high, o, at)
        o, at = o + 8 * LANES, at + 8 * LANES * taps
    if s[COUNT] - o > 3 * LANES:
        _4(a, s, offsets, weights, bias, low, high, o, at)
        o, at = o + 4 * LANES, at + 4 * LANES * taps
    if s[COUNT] - o > LANES:
        _2(a, s, offsets, weights, bias, low, high, o, at)
        o, at = o + 2 * LANES, at + 2 * LANES * taps
    if s[COUNT] - o > 0:
        _1(a, s, offsets, weights, bias, low, high, o, at)


VARIANTS = tuple(_variant(vectors) for vectors in TILES)
