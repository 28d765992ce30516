"""Sparse linear layers of one sample, `LANES` outputs at a time, for processors that permute the lanes of a register.

A step takes a window of `LANES` inputs into a register, gives each of `LANES` outputs one entry of it (its own, by an index)
and multiplies with the weights of that place: up to `LANES` weights for three loads, where compressed sparse rows need three
for each. How a weight is cut into steps is told in `labkit.runtime.windows`.
"""

import numpy as np

from labkit.runtime.kernels._cache import kernel
from labkit.runtime.kernels._simd import LANES
from labkit.runtime.kernels._vectors import add, clip, entry, fma, load, pick, splat, store, view, widen
from labkit.runtime.kernels.csr_conv_one import BIAS, LINE, OUTPUTS, POINTERS, X, Y

CODES, WEIGHTS, ORDER = 24, 25, 26
"""More columns of a step's row: where its codes, its weights and the order of its outputs begin; at `LINE` a free vector; at `POINTERS` the numbers of each block's first step."""
QUARTER = LANES // 4
CODE = 1 + QUARTER
"""Int32 of a step: where its window begins, and an index of a byte for each lane."""


@kernel
def window_linear_one(a, s, pointers, codes, weights, bias, low, high):  # type: ignore[no-untyped-def]
    """Compute one linear layer of one sample; outputs up to a multiple of `LANES` are written.

    a, s, pointers, bias, low, high: as of `csr_conv`. bias in the order of the lanes.
    codes: `CODE` int32 for each step, and the output of each lane. weights: `LANES` for each step.
    """
    for block in range((s[OUTPUTS] + LANES - 1) // LANES):
        p, q = load(bias, s[BIAS] + block * LANES, LANES), splat(np.float32(0), LANES)
        first, last = pointers[s[POINTERS] + block], pointers[s[POINTERS] + block + 1]
        whole = first + (last - first) // 2 * 2
        for n in range(first, whole, 2):
            at, w = s[CODES] + n * CODE, s[WEIGHTS] + n * LANES
            places = widen(view(load(codes, at + 1, QUARTER), np.uint8), np.int32)
            p = fma(load(weights, w, LANES), pick(a, s[X] + np.int64(entry(codes, at)), places, LANES), p)
            places = widen(view(load(codes, at + CODE + 1, QUARTER), np.uint8), np.int32)
            q = fma(load(weights, w + LANES, LANES), pick(a, s[X] + np.int64(entry(codes, at + CODE)), places, LANES), q)
        if whole < last:
            at = s[CODES] + whole * CODE
            places = widen(view(load(codes, at + 1, QUARTER), np.uint8), np.int32)
            p = fma(load(weights, s[WEIGHTS] + whole * LANES, LANES), pick(a, s[X] + np.int64(entry(codes, at)), places, LANES), p)
        store(a, s[LINE], clip(add(p, q), low, high))
        for lane in range(LANES):
            a[s[Y] + np.int64(entry(codes, s[ORDER] + block * LANES + lane))] = a[s[LINE] + lane]
