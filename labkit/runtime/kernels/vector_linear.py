"""Linear layers whose weights are blocks of 4 or 8 outputs at one input.

For one sample a vector holds the block: its values times the input. For many samples a vector holds samples of one input,
read once for all outputs of the block.
"""

from typing import Any

import numpy as np

from labkit.runtime.kernels._cache import kernel
from labkit.runtime.kernels._simd import LANES
from labkit.runtime.kernels._vectors import add, clip, entry, fma, load, splat, store


def _one(block: int) -> Any:
    """Make the kernel for one sample."""

    @kernel
    def vector_linear_one(values, columns, pointers, x, y):  # type: ignore[no-untyped-def]
        """Y (block rows · block) = values · x; pointers: of each block row, columns: (stored,) int32."""
        for row in range(pointers.size - 1):
            a = b = splat(np.float32(0), block)
            last = pointers[row + 1]
            for n in range(pointers[row], last - 1, 2):
                a = fma(load(values, n * block, block), splat(entry(x, entry(columns, n)), block), a)
                b = fma(load(values, (n + 1) * block, block), splat(entry(x, entry(columns, n + 1)), block), b)
            if (last - pointers[row]) % 2:
                a = fma(load(values, (last - 1) * block, block), splat(entry(x, entry(columns, last - 1)), block), a)
            store(y, row * block, add(a, b))

    return vector_linear_one


def _four(wide: int) -> Any:
    """Make the kernel for `wide` samples at a time and blocks of four outputs."""

    @kernel
    def vector_linear_4(values, columns, pointers, x, y, batch, bias, low, high):  # type: ignore[no-untyped-def]
        """Y (block rows · 4, batch) = limited (values · x + bias); x: (inputs, batch), flat."""
        for t in range(0, batch, wide):
            for row in range(pointers.size - 1):
                o = 4 * row
                a, b = splat(bias[o], wide), splat(bias[o + 1], wide)
                c, d = splat(bias[o + 2], wide), splat(bias[o + 3], wide)
                for n in range(pointers[row], pointers[row + 1]):
                    v = load(x, np.int64(entry(columns, n)) * batch + t, wide)
                    a, b = fma(splat(entry(values, 4 * n), wide), v, a), fma(splat(entry(values, 4 * n + 1), wide), v, b)
                    c, d = fma(splat(entry(values, 4 * n + 2), wide), v, c), fma(splat(entry(values, 4 * n + 3), wide), v, d)
                at = o * batch + t
                store(y, at, clip(a, low, high))
                store(y, at + batch, clip(b, low, high))
                store(y, at + 2 * batch, clip(c, low, high))
                store(y, at + 3 * batch, clip(d, low, high))

    return vector_linear_4


def _eight(wide: int) -> Any:
    """Make the kernel for `wide` samples at a time and blocks of eight outputs."""

    @kernel
    def vector_linear_8(values, columns, pointers, x, y, batch, bias, low, high):  # type: ignore[no-untyped-def]
        """As `vector_linear_4`, for blocks of eight."""
        for t in range(0, batch, wide):
            for row in range(pointers.size - 1):
                o = 8 * row
                a, b, c, d = splat(bias[o], wide), splat(bias[o + 1], wide), splat(bias[o + 2], wide), splat(bias[o + 3], wide)
                e, f, g, h = splat(bias[o + 4], wide), splat(bias[o + 5], wide), splat(bias[o + 6], wide), splat(bias[o + 7], wide)
                for n in range(pointers[row], pointers[row + 1]):
                    v, s = load(x, np.int64(entry(columns, n)) * batch + t, wide), 8 * n
                    a, b = fma(splat(entry(values, s), wide), v, a), fma(splat(entry(values, s + 1), wide), v, b)
                    c, d = fma(splat(entry(values, s + 2), wide), v, c), fma(splat(entry(values, s + 3), wide), v, d)
                    e, f = fma(splat(entry(values, s + 4), wide), v, e), fma(splat(entry(values, s + 5), wide), v, f)
                    g, h = fma(splat(entry(values, s + 6), wide), v, g), fma(splat(entry(values, s + 7), wide), v, h)
                at = o * batch + t
                store(y, at, clip(a, low, high))
                store(y, at + batch, clip(b, low, high))
                store(y, at + 2 * batch, clip(c, low, high))
                store(y, at + 3 * batch, clip(d, low, high))
                store(y, at + 4 * batch, clip(e, low, high))
                store(y, at + 5 * batch, clip(f, low, high))
                store(y, at + 6 * batch, clip(g, low, high))
                store(y, at + 7 * batch, clip(h, low, high))

    return vector_linear_8


ONE = {block: _one(block) for block in (4, 8)}
WIDE = {4: 4 * LANES if LANES == 16 else 2 * LANES, 8: 2 * LANES if LANES == 16 else LANES}
"""Samples at a time, so that the sums of a block and one input fill the registers."""
MANY = {4: {wide: _four(wide) for wide in {LANES, WIDE[4]}}, 8: {wide: _eight(wide) for wide in {LANES, WIDE[8]}}}
"""Block → samples at a time → kernel."""
