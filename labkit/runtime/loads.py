"""The loop that all sparse convolutions run, with nothing around it: what bounds them on this machine.

One output, whose inputs lie at random places: no sums that rest between blocks, no border, no store but one, no way in or out.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from labkit.runtime.kernels import csr_conv as conv
from labkit.runtime.kernels._simd import LANES, aligned, on_a_line
from labkit.runtime.kernels._taps import packed
from labkit.runtime.kernels.interpret import COLUMNS

WEIGHTS = 1 << 13


def loop(size: int) -> tuple[Callable[[], Any], int]:
    """Return a call of the kernel of the first tile on an arena of `size` bytes, and how many products it does."""
    rows, pixels, _ = conv.TILES[0]
    rng, arena, pitch = np.random.default_rng(0), aligned(size // 4), 2 * pixels
    tile, line = rows * pixels * LANES, pitch * rows * LANES
    places = rng.integers(0, (arena.size - tile - line) // LANES, WEIGHTS) * LANES
    taps = on_a_line(packed(places, rng.standard_normal(WEIGHTS).astype(np.float32)))
    row = np.zeros(COLUMNS, np.int64)
    row[[conv.OUTPUTS, conv.BLOCKS, conv.STRIDE_Y, conv.STRIDE_X]] = 1
    row[[conv.HEIGHT, conv.WIDTH, conv.X_PITCH, conv.Y_PITCH]] = rows, pixels, pitch, pixels
    row[conv.Y] = arena.size - tile
    pointers, bias = np.array([0, WEIGHTS], np.int64), np.zeros(1, np.float32)
    low, high = np.float32(-np.inf), np.float32(np.inf)
    return lambda: conv.VARIANTS[0](arena, row, pointers, taps, bias, low, high), WEIGHTS * tile
