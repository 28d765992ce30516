"""Linear layers with both sides binary: signs as bits of 64-bit words, differing bits counted.

a · b = k - 2 · (number of different signs), exact; spare bits are 0 on both sides and never differ.
Source     Rastegari et al. 2016 (XNOR-Net), arXiv:1603.05279.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from labkit.formats.binary import BinaryTensor
from labkit.runtime.kernels._bytes import COUNTS, negative, ones
from labkit.runtime.kernels._cache import kernel
from labkit.runtime.kernels._simd import LANES, aligned
from labkit.runtime.kernels._vectors import add, both, either, left, load, right, splat, store, sub, view, widen, xor
from labkit.runtime.kernels.transpose import transpose

_LOW = np.int64(0x00FF00FF00FF00FF)  # every other byte
_MOST = 31  # words whose differing bits, eight at most in a byte of each, fit a byte


@kernel
def pack_signs(x, words, inputs):  # type: ignore[no-untyped-def]
    """Write which of x (inputs, batch) float32 are below 0 as bits to words (⌈inputs / 64⌉, batch) int64; both flat.

    The inputs of a word are shifted in one after the other, the last one to bit 0, as `pack_weight` does.
    """
    batch = x.size // inputs if inputs else 0
    for t in range(0, batch, LANES):
        for start in range(0, inputs, 64):
            w = splat(np.uint64(0), LANES)
            for i in range(start, min(start + 64, inputs)):
                w = either(left(w, 1), widen(negative(load(x, i * batch + t, LANES)), np.uint64))
            store(words, start // 64 * batch + t, view(w, np.int64))


@kernel
def xnor_linear(words, weight, y, inputs):  # type: ignore[no-untyped-def]
    """Y (out, batch) int64 = inputs - 2 · bits that differ; words: (⌈inputs / 64⌉, batch), weight: (out, ⌈inputs / 64⌉)."""
    count = (inputs + 63) // 64
    out = weight.size // count if count else 0
    batch = y.size // out if out else 0
    for t in range(0, batch, LANES):
        for o in range(out):
            differing = splat(np.int64(0), LANES)
            for first in range(0, count, _MOST):
                bytewise = view(splat(np.int64(0), LANES), np.int8)
                for i in range(first, min(first + _MOST, count)):
                    bits = xor(load(words, i * batch + t, LANES), splat(weight[o * count + i], LANES))
                    if COUNTS:
                        differing = add(differing, ones(bits))
                    else:
                        bytewise = add(bytewise, ones(view(bits, np.int8)))
                if not COUNTS:
                    pairs = view(bytewise, np.int64)
                    pairs = add(both(pairs, splat(_LOW, LANES)), both(right(pairs, 8), splat(_LOW, LANES)))
                    pairs = add(pairs, right(pairs, 16))
                    differing = add(differing, both(add(pairs, right(pairs, 32)), splat(np.int64(0xFFFF), LANES)))
            store(y, o * batch + t, sub(splat(np.int64(inputs), LANES), left(differing, 1)))


def pack_weight(signs: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Return signs (out, inputs), True for +1, as words (out · ⌈inputs / 64⌉,) in the order of `pack_signs`."""
    out, inputs = signs.shape
    words = np.zeros((out, -(-inputs // 64)), np.uint64)
    for start in range(0, inputs, 64):
        for column in range(start, min(start + 64, inputs)):
            words[:, start // 64] = words[:, start // 64] << np.uint64(1) | ~signs[:, column]
    return words.reshape(-1).view(np.int64)


class XnorLinear:
    """A linear layer on the signs of its inputs: (n, inputs) float32 → scale · (n, out), by `xnor_linear`.

    Args:
        weight: binary (out, inputs). An input counts as +1 where it is at least 0, -0 and NaN among them.
    """

    def __init__(self, weight: BinaryTensor) -> None:
        self._out, self._inputs = weight.shape
        self._weight, self._scales = pack_weight(weight.signs), weight.scales

    def __call__(self, x: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return scale · Σ sign(w) · sign(x), float32."""
        return np.asarray(self.dots(x) * self._scales, np.float32)

    def dots(self, x: NDArray[np.float32]) -> NDArray[np.int64]:
        """Return Σ sign(w) · sign(x), exact: int64 (n, out)."""
        batch = -(-len(x) // LANES) * LANES
        columns = aligned(self._inputs * batch)
        transpose(np.ascontiguousarray(x).reshape(-1), columns, *x.shape, x.shape[1], batch)
        words: Any = aligned(2 * -(-self._inputs // 64) * batch).view(np.int64)
        y: Any = aligned(2 * self._out * batch).view(np.int64)
        pack_signs(columns, words, self._inputs)
        xnor_linear(words, self._weight, y, self._inputs)
        return np.ascontiguousarray(y.reshape(self._out, batch)[:, : len(x)].T)
