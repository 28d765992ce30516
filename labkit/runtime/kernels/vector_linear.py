"""Linear layers whose weights are blocks of 4 or 8 outputs at one input.

For one sample a vector holds the block: its values times the input. For many samples a vector holds samples of one input,
read once for all outputs of the block.
"""

from typing import Any

import numpy as np

from labkit.runtime.kernels._cache import kernel
from labkit.runtime.kernels._simd import LANES
from labkit.runtime.kernels._vectors import add, clip, entry, fma, load, splat, store
from labkit.runtime.kernels.transpose import transpose


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
    def vector_linear_4(x, y, inside, sums, values, columns, pointers, bias, low, high, first, last):  # type: ignore[no-untyped-def]
        """Y (n, out) = limited (values · x + bias), for samples `first` to `last`.

        x: (n, inputs). inside: (inputs, wide), sums: (block rows · 4, wide), flat, written. columns: of the blocks, pointers: of
        each block row.
        """
        (n, inputs), out = x.shape, y.shape[1]
        read, written = x.reshape(n * inputs), y.reshape(n * out)
        for t in range(first, last, wide):
            some = min(wide, last - t)
            transpose(read[t * inputs :], inside, some, inputs, inputs, wide)
            for row in range(pointers.size - 1):
                o = 4 * row
                a, b = splat(bias[o], wide), splat(bias[o + 1], wide)
                c, d = splat(bias[o + 2], wide), splat(bias[o + 3], wide)
                for n in range(pointers[row], pointers[row + 1]):
                    v = load(inside, np.int64(entry(columns, n)) * wide, wide)
                    a, b = fma(splat(entry(values, 4 * n), wide), v, a), fma(splat(entry(values, 4 * n + 1), wide), v, b)
                    c, d = fma(splat(entry(values, 4 * n + 2), wide), v, c), fma(splat(entry(values, 4 * n + 3), wide), v, d)
                at = o * wide
                store(sums, at, clip(a, low, high))
                store(sums, at + wide, clip(b, low, high))
                store(sums, at + 2 * wide, clip(c, low, high))
                store(sums, at + 3 * wide, clip(d, low, high))
            transpose(sums, written[t * out :], out, some, wide, out)

    return vector_linear_4


def _eight(wide: int) -> Any:
    """Make the kernel for `wide` samples at a time and blocks of eight outputs."""

    @kernel
    def vector_linear_8(x, y, inside, sums, values, columns, pointers, bias, low, high, first, last):  # type: ignore[no-untyped-def]
        """As `vector_linear_4`, for blocks of eight."""
        (n, inputs), out = x.shape, y.shape[1]
        read, written = x.reshape(n * inputs), y.reshape(n * out)
        for t in range(first, last, wide):
            some = min(wide, last - t)
            transpose(read[t * inputs :], inside, some, inputs, inputs, wide)
            for row in range(pointers.size - 1):
                o = 8 * row
                a, b, c, d = splat(bias[o], wide), splat(bias[o + 1], wide), splat(bias[o + 2], wide), splat(bias[o + 3], wide)
                e, f, g, h = splat(bias[o + 4], wide), splat(bias[o + 5], wide), splat(bias[o + 6], wide), splat(bias[o + 7], wide)
                for n in range(pointers[row], pointers[row + 1]):
                    v, s = load(inside, np.int64(entry(columns, n)) * wide, wide), 8 * n
                    a, b = fma(splat(entry(values, s), wide), v, a), fma(splat(entry(values, s + 1), wide), v, b)
                    c, d = fma(splat(entry(values, s + 2), wide), v, c), fma(splat(entry(values, s + 3), wide), v, d)
                    e, f = fma(splat(entry(values, s + 4), wide), v, e), fma(splat(entry(values, s + 5), wide), v, f)
                    g, h = fma(splat(entry(values, s + 6), wide), v, g), fma(splat(entry(values, s + 7), wide), v, h)
                at = o * wide
                store(sums, at, clip(a, low, high))
                store(sums, at + wide, clip(b, low, high))
                store(sums, at + 2 * wide, clip(c, low, high))
                store(sums, at + 3 * wide, clip(d, low, high))
                store(sums, at + 4 * wide, clip(e, low, high))
                store(sums, at + 5 * wide, clip(f, low, high))
                store(sums, at + 6 * wide, clip(g, low, high))
                store(sums, at + 7 * wide, clip(h, low, high))
            transpose(sums, written[t * out :], out, some, wide, out)

    return vector_linear_8


ONE = {block: _one(block) for block in (4, 8)}
WIDE = {4: 4 * LANES if LANES == 16 else 2 * LANES, 8: 2 * LANES if LANES == 16 else LANES}
"""Samples at a time, so that the sums of a block and one input fill the registers."""
MANY = {4: {wide: _four(wide) for wide in {LANES, WIDE[4]}}, 8: {wide: _eight(wide) for wide in {LANES, WIDE[8]}}}
"""Block → samples at a time → kernel."""
