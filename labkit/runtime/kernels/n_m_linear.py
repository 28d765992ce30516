"""Linear layers whose weights are N:M: at most N of every M consecutive inputs of an output.

For one sample a register holds `LANES` outputs: all take the same group of inputs, and a permutation gives each output the
input that its own index names. For many samples a register holds samples of one input, and the values go
chunk by chunk of inputs.
"""

from typing import Any

import numpy as np

from labkit.formats.n_m import SIZES
from labkit.runtime.kernels._cache import kernel
from labkit.runtime.kernels._simd import LANES
from labkit.runtime.kernels._taps import value
from labkit.runtime.kernels._vectors import TOGETHER, add, clip, entry, fma, load, pick, prefetch, right, splat, store
from labkit.runtime.kernels.transpose import transpose

AHEAD = 2048  # floats to prefetch ahead: weights from memory then wait less
PER_WORD = {1: 32, 2: 16, 3: 8, 4: 8}
"""Indices in a word, by bits of an index: a multiple of four, so that four sums can take turns."""


def _one(m: int) -> Any:
    """Make the kernel for one sample."""
    bits = m.bit_length() - 1
    per, two, three, four = PER_WORD[bits], 2 * bits, 3 * bits, 4 * bits

    @kernel
    def n_m_linear_one(values, words, starts, x, y):  # type: ignore[no-untyped-def]
        """y[o] = Σ value · x[start of the group + index].

        values: (blocks of outputs, slots, LANES) float32, flat; words: (blocks, slots / per, LANES) int32 with the indices
        of `per` consecutive slots of an output. starts: int64, the first input of each slot's group. x: padded, so that a whole
        register can be read of each group. y: (blocks · LANES); blocks are a multiple of `TOGETHER`.
        """
        half = y.size // LANES // TOGETHER
        count = words.size // y.size if y.size else 0
        for block in range(half):
            a = b = c = d = e = f = g = h = splat(np.float32(0), LANES)
            near, far = block * count, (block + half) * count
            at, to = near * per * LANES, far * per * LANES
            for word in range(count):
                v, w = load(words, (near + word) * LANES, LANES), load(words, (far + word) * LANES, LANES)
                slot = word * per
                for _ in range(0, per, 4):
                    i, j, k, n = entry(starts, slot), entry(starts, slot + 1), entry(starts, slot + 2), entry(starts, slot + 3)
                    a = fma(load(values, at, LANES), pick(x, i, v, m), a)
                    e = fma(load(values, to, LANES), pick(x, i, w, m), e)
                    b = fma(load(values, at + LANES, LANES), pick(x, j, right(v, bits), m), b)
                    f = fma(load(values, to + LANES, LANES), pick(x, j, right(w, bits), m), f)
                    c = fma(load(values, at + 2 * LANES, LANES), pick(x, k, right(v, two), m), c)
                    g = fma(load(values, to + 2 * LANES, LANES), pick(x, k, right(w, two), m), g)
                    d = fma(load(values, at + 3 * LANES, LANES), pick(x, n, right(v, three), m), d)
                    h = fma(load(values, to + 3 * LANES, LANES), pick(x, n, right(w, three), m), h)
                    for ahead in range(AHEAD, AHEAD + 4 * LANES, LANES):
                        prefetch(values, at + ahead)
                        prefetch(values, to + ahead)
                    v, w, slot, at, to = right(v, four), right(w, four), slot + 4, at + 4 * LANES, to + 4 * LANES
            store(y, block * LANES, add(add(a, b), add(c, d)))
            store(y, (block + half) * LANES, add(add(e, f), add(g, h)))

    return n_m_linear_one


def _many(wide: int) -> Any:
    """Make the kernel for `wide` samples at a time."""

    @kernel
    def n_m_linear(x, y, inside, sums, taps, chunk, bias, low, high, first, last):  # type: ignore[no-untyped-def]
        """Y (n, out) = limited (weights · x + bias), for samples `first` to `last`.

        x: (n, inputs). inside: (inputs, wide), sums: (rows, wide), flat, written. taps: of each chunk (rows, slots of a row in it),
        flat, with the input as place; rows are outputs and an even number, so that two take turns. chunk: slots of a row that are
        treated before the next row, of so few inputs that what is read stays in the first cache.
        """
        (n, inputs), out, rows = x.shape, y.shape[1], bias.size
        read, written, slots = x.reshape(n * inputs), y.reshape(n * out), taps.size // rows
        for t in range(first, last, wide):
            some = min(wide, last - t)
            transpose(read[t * inputs :], inside, some, inputs, inputs, wide)
            for start in range(0, max(slots, 1), chunk):
                size = min(chunk, slots - start)
                for o in range(0, rows, 2):
                    at, n = o * wide, start * rows + o * size
                    a = splat(bias[o], wide) if start == 0 else load(sums, at, wide)
                    b = splat(bias[o + 1], wide) if start == 0 else load(sums, at + wide, wide)
                    for s in range(n, n + size):
                        i, j = entry(taps, s), entry(taps, s + size)
                        a = fma(splat(value(i), wide), load(inside, (i >> 32) * wide, wide), a)
                        b = fma(splat(value(j), wide), load(inside, (j >> 32) * wide, wide), b)
                    if start + chunk >= slots:
                        a, b = clip(a, low, high), clip(b, low, high)
                    store(sums, at, a)
                    store(sums, at + wide, b)
            transpose(sums, written[t * out :], out, some, wide, out)

    return n_m_linear


ONE = {m: _one(m) for m in SIZES}
MANY = {wide: _many(wide) for wide in (LANES, 4 * LANES)}
INPUTS = min(2048 // LANES, 256)
"""Inputs of a chunk: their columns of four registers take at most 32 KB, as the first cache."""
