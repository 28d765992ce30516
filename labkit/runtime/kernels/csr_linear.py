"""Linear layers in compressed sparse rows.

For one sample each row is a sum of products of its values with the inputs that its columns name. For many samples a
register holds samples of one input: each stored weight is one tap (see `_taps`), one broadcast and fused multiply-adds.
"""

from typing import Any

import numpy as np

from labkit.runtime.kernels._cache import kernel
from labkit.runtime.kernels._simd import LANES
from labkit.runtime.kernels._taps import value
from labkit.runtime.kernels._vectors import clip, entry, fma, load, splat, store
from labkit.runtime.kernels.transpose import transpose

INPUTS = 256
"""Inputs in a block, so that their columns of four registers stay in the first cache."""
LEAST = 48
"""Weights of a row that a block must hold on average, or resting the sums between blocks costs more than it saves."""


@kernel
def csr_linear_one(taps, pointers, x, y):  # type: ignore[no-untyped-def]
    """y[o] = weights · x[columns] over the row's taps; four sums take turns."""
    for o in range(y.size):
        a = b = c = d = np.float32(0)
        first, last = pointers[o], pointers[o + 1]
        whole = first + (last - first) // 4 * 4
        for n in range(first, whole, 4):
            i, j, k, m = entry(taps, n), entry(taps, n + 1), entry(taps, n + 2), entry(taps, n + 3)
            a += value(i) * entry(x, i >> 32)
            b += value(j) * entry(x, j >> 32)
            c += value(k) * entry(x, k >> 32)
            d += value(m) * entry(x, m >> 32)
        for n in range(whole, last):
            i = entry(taps, n)
            a += value(i) * entry(x, i >> 32)
        y[o] = (a + b) + (c + d)


def _many(wide: int) -> Any:
    """Make the kernel for `wide` samples at a time."""

    @kernel
    def csr_linear(x, y, inside, sums, taps, pointers, bias, low, high, first, last):  # type: ignore[no-untyped-def]
        """Y (n, out) = limited (weight · x + bias), for samples `first` to `last`.

        x: (n, inputs). inside: (inputs, wide), sums: (out, wide), flat, written. taps: of each weight, its place the input.
        pointers: start of each (block of inputs, row).
        """
        (n, inputs), out = x.shape, bias.size
        read, written, blocks = x.reshape(n * inputs), y.reshape(n * out), (pointers.size - 1) // out
        for t in range(first, last, wide):
            some = min(wide, last - t)
            transpose(read[t * inputs :], inside, some, inputs, inputs, wide)
            for block in range(blocks):
                for o in range(out):
                    a = splat(bias[o], wide) if block == 0 else load(sums, o * wide, wide)
                    for n in range(pointers[block * out + o], pointers[block * out + o + 1]):
                        tap = entry(taps, n)
                        a = fma(splat(value(tap), wide), load(inside, (tap >> 32) * wide, wide), a)
                    if block == blocks - 1:
                        a = clip(a, low, high)
                    store(sums, o * wide, a)
            transpose(sums, written[t * out :], out, some, wide, out)

    return csr_linear


MANY = {wide: _many(wide) for wide in (LANES, 4 * LANES)}
