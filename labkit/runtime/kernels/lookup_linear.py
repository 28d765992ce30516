"""Products of one sample with weights that are codes of 2 or 4 bits: codebooks, int4, ternary and binary weights.

A register of words holds codes of many inputs: lane l of a word those of the inputs l, l + LANES, l + 2·LANES, … of its
block. A permutation turns the codes at hand into values by a table of 4 or 16, and a fused multiply-add brings the inputs
in. Scales, one a row or one a group of a row, are applied to whole sums. All sums are float32.

Where a permutation takes 16 entries, codes of 2 bits go in pairs: a table of what two inputs can add is made once for all
outputs, a register holds outputs, and one permutation does two codes of each without a product.
"""

from typing import Any

import numpy as np

from labkit.runtime.kernels._cache import kernel
from labkit.runtime.kernels._simd import LANES
from labkit.runtime.kernels._vectors import TOGETHER, add, fma, load, mul, permute, pick, prefetch, right, splat, store, total

AHEAD = 512  # words to prefetch ahead: weights from memory then cost almost what cached ones do


def _rows(bits: int) -> Any:
    """Make the kernel whose rows have a scale each, for codes of `bits` bits."""
    per, size, one, two, three, four = 32 // bits, 1 << bits, bits, 2 * bits, 3 * bits, 4 * bits

    @kernel
    def lookup_linear(words, x, table, scales, y):  # type: ignore[no-untyped-def]
        """y[o] = scales[o] · Σ table[code] · x.

        words: (out · blocks · LANES) int32. x: (blocks · per · LANES) float32. table: 16 float32. scales, y: (out,); out is a
        multiple of `TOGETHER`.
        """
        blocks = x.size // (per * LANES)
        row, half = blocks * LANES, y.size // TOGETHER
        for o in range(half):
            a = b = c = d = e = f = g = h = splat(np.float32(0), LANES)
            for block in range(blocks):
                near, far = o * row + block * LANES, (o + half) * row + block * LANES
                v, w = load(words, near, LANES), load(words, far, LANES)
                prefetch(words, near + AHEAD)
                prefetch(words, far + AHEAD)
                at = block * per * LANES
                for _ in range(0, per, 4):
                    i, j = load(x, at, LANES), load(x, at + LANES, LANES)
                    k, m = load(x, at + 2 * LANES, LANES), load(x, at + 3 * LANES, LANES)
                    a, e = fma(pick(table, 0, v, size), i, a), fma(pick(table, 0, w, size), i, e)
                    b, f = fma(pick(table, 0, right(v, one), size), j, b), fma(pick(table, 0, right(w, one), size), j, f)
                    c, g = fma(pick(table, 0, right(v, two), size), k, c), fma(pick(table, 0, right(w, two), size), k, g)
                    d, h = fma(pick(table, 0, right(v, three), size), m, d), fma(pick(table, 0, right(w, three), size), m, h)
                    v, w, at = right(v, four), right(w, four), at + 4 * LANES
            y[o] = scales[o] * total(add(add(a, b), add(c, d)))
            y[o + half] = scales[o + half] * total(add(add(e, f), add(g, h)))

    return lookup_linear


def _groups(bits: int, steps: int) -> Any:
    """Make the kernel whose groups have a scale each; `steps` codes of each lane are of one group, or all in a word."""
    per, size = 32 // bits, 1 << bits
    parts = per // steps

    @kernel
    def lookup_linear_groups(words, x, table, scales, parts_per_group, y):  # type: ignore[no-untyped-def]
        """y[o] = Σ scale of the group · Σ table[code] · x; as `lookup_linear`, with scales (out · groups).

        parts_per_group: how many words' worth of a lane's codes make a group, 1 where a word holds several groups.
        """
        blocks = x.size // (per * LANES)
        groups = blocks * parts // parts_per_group
        row, half = blocks * LANES, y.size // TOGETHER
        for o in range(half):
            first = second = splat(np.float32(0), LANES)
            for block in range(blocks):
                near, far = o * row + block * LANES, (o + half) * row + block * LANES
                v, w = load(words, near, LANES), load(words, far, LANES)
                prefetch(words, near + AHEAD)
                prefetch(words, far + AHEAD)
                for part in range(parts):
                    a = b = splat(np.float32(0), LANES)
                    at = (block * per + part * steps) * LANES
                    for i in range(steps):
                        inputs = load(x, at + i * LANES, LANES)
                        a, b = fma(pick(table, 0, v, size), inputs, a), fma(pick(table, 0, w, size), inputs, b)
                        v, w = right(v, bits), right(w, bits)
                    n = o * groups + (block * parts + part) // parts_per_group
                    first, second = fma(a, splat(scales[n], LANES), first), fma(b, splat(scales[n + half * groups], LANES), second)
            y[o], y[o + half] = total(first), total(second)

    return lookup_linear_groups


@kernel
def lookup_linear_pairs(words, x, table, scales, sums, y):  # type: ignore[no-untyped-def]
    """y[o] = scales[o] · Σ table[code] · x for codes of 2 bits.

    words: (inputs / 16, out) int32, the codes of 16 inputs each. x: (inputs,) float32. table: (2, 16) float32, what the lower
    and the higher code of a pair stand for. scales, y: (out,), a multiple of `LANES`. sums: room for (inputs / 2, 16) float32.
    """
    out, low, high = y.size, load(table, 0, 16), load(table, 16, 16)
    for pair in range(x.size // 2):
        store(sums, 16 * pair, fma(high, splat(x[2 * pair + 1], 16), mul(low, splat(x[2 * pair], 16))))
    for o in range(0, out, LANES):
        store(y, o, splat(np.float32(0), LANES))
    for j in range(x.size // 16):
        q = 128 * j
        a, b, c, d = load(sums, q, 16), load(sums, q + 16, 16), load(sums, q + 32, 16), load(sums, q + 48, 16)
        e, f, g, h = load(sums, q + 64, 16), load(sums, q + 80, 16), load(sums, q + 96, 16), load(sums, q + 112, 16)
        for o in range(0, out, LANES):
            w = load(words, j * out + o, LANES)
            prefetch(words, j * out + o + AHEAD)
            first = add(add(permute(a, w), permute(b, right(w, 4))), add(permute(c, right(w, 8)), permute(d, right(w, 12))))
            second = add(add(permute(e, right(w, 16)), permute(f, right(w, 20))), add(permute(g, right(w, 24)), permute(h, right(w, 28))))
            store(y, o, add(load(y, o, LANES), add(first, second)))
    for o in range(0, out, LANES):
        store(y, o, mul(load(y, o, LANES), load(scales, o, LANES)))


PAIRS = LANES == 16
"""Whether `lookup_linear_pairs` is the faster one here."""
ROWS = {bits: _rows(bits) for bits in (2, 4)}
GROUPS = {(bits, steps): _groups(bits, steps) for bits in (2, 4) for steps in (1, 2, 4, 8, 16) if steps <= 32 // bits}
