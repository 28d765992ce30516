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

INPUTS = 256
"""Inputs in a block, so that their columns of four registers stay in the first cache."""


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
    def csr_linear(taps, pointers, x, y, batch, blocks, bias, low, high):  # type: ignore[no-untyped-def]
        """Y (out, batch) = limited (weight · x + bias).

        pointers: start of each (block of inputs, row). taps: of each weight, its place the input. x: (inputs, batch), flat.
        """
        out = bias.size
        for t in range(0, batch, wide):
            for block in range(blocks):
                for o in range(out):
                    at = o * batch + t
                    a = splat(bias[o], wide) if block == 0 else load(y, at, wide)
                    for n in range(pointers[block * out + o], pointers[block * out + o + 1]):
                        tap = entry(taps, n)
                        a = fma(splat(value(tap), wide), load(x, (tap >> 32) * batch + t, wide), a)
                    if block == blocks - 1:
                        a = clip(a, low, high)
                    store(y, at, a)

    return csr_linear


MANY = {wide: _many(wide) for wide in (LANES, 4 * LANES)}
