"""Linear layers in compressed sparse rows.

For one sample each row is a sum of products of its values with the inputs that its columns name. For many samples a
register holds samples of one input: each stored weight is one offset, one broadcast and fused multiply-adds.
"""

from typing import Any

import numpy as np

from labkit.runtime.kernels._cache import kernel
from labkit.runtime.kernels._simd import LANES
from labkit.runtime.kernels._vectors import clip, entry, fma, load, splat, store
from labkit.runtime.kernels.transpose import transpose

INPUTS = 256
"""Inputs in a block, so that their columns of four registers stay in the first cache."""


@kernel
def csr_linear_one(values, columns, pointers, x, y):  # type: ignore[no-untyped-def]
    """y[o] = values · x[columns] over the row's entries; four sums take turns."""
    for o in range(y.size):
        a = b = c = d = np.float32(0)
        first, last = pointers[o], pointers[o + 1]
        whole = first + (last - first) // 4 * 4
        for n in range(first, whole, 4):
            a += entry(values, n) * entry(x, entry(columns, n))
            b += entry(values, n + 1) * entry(x, entry(columns, n + 1))
            c += entry(values, n + 2) * entry(x, entry(columns, n + 2))
            d += entry(values, n + 3) * entry(x, entry(columns, n + 3))
        for n in range(whole, last):
            a += entry(values, n) * entry(x, entry(columns, n))
        y[o] = (a + b) + (c + d)


def _many(wide: int) -> Any:
    """Make the kernel for `wide` samples at a time."""

    @kernel
    def csr_linear(x, y, inside, sums, values, columns, pointers, bias, low, high, first, last):  # type: ignore[no-untyped-def]
        """Y (n, out) = limited (values · x + bias), for samples `first` to `last`.

        x: (n, inputs). inside: (inputs, wide), sums: (out, wide), flat, written. columns: the input of each value.
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
                        a = fma(splat(entry(values, n), wide), load(inside, np.int64(entry(columns, n)) * wide, wide), a)
                    if block == blocks - 1:
                        a = clip(a, low, high)
                    store(sums, o * wide, a)
            transpose(sums, written[t * out :], out, some, wide, out)

    return csr_linear


MANY = {wide: _many(wide) for wide in (LANES, 4 * LANES)}
