"""Linear layers with both sides binary: signs as bits of 64-bit words, differing bits counted.

a · b = k - 2 · (number of different signs), exact; spare bits are 0 on both sides and never differ. A register holds
outputs, so that a sample is packed as it lies and its outputs are written as they are read.
Source     Rastegari et al. 2016 (XNOR-Net), arXiv:1603.05279.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from labkit.core.errors import ModelError
from labkit.formats.binary import BinaryTensor
from labkit.runtime.kernels._bytes import COUNTS, ones, signs
from labkit.runtime.kernels._cache import kernel
from labkit.runtime.kernels._simd import LANES, aligned
from labkit.runtime.kernels._vectors import add, both, left, load, mul, narrow, right, splat, store, sub, to_float, view, xor

WIDE = 4 * LANES if COUNTS else 2 * LANES
"""Outputs whose counts stay in registers."""
_LOW = np.int64(0x00FF00FF00FF00FF)  # every other byte
_MOST = 31  # words whose differing bits, eight at most in a byte of each, fit a byte


@kernel
def pack_signs(x, words, inputs):  # type: ignore[no-untyped-def]
    """Write which of x (n, inputs) float32 are below 0 as bits to words (n, ⌈inputs / 64⌉) int64, the first in bit 0; both flat."""
    count = (inputs + 63) // 64
    for n in range(words.size // count if count else 0):
        for i in range(inputs // 64):
            words[n * count + i] = signs(x, n * inputs + i * 64)
        if inputs % 64:
            word = np.int64(0)
            for i in range(inputs // 64 * 64, inputs):
                word |= np.int64(x[n * inputs + i] < 0) << np.int64(i % 64)
            words[n * count + count - 1] = word


@kernel
def xnor_linear(words, weight, scales, y, inputs):  # type: ignore[no-untyped-def]
    """Y (n, out) = scales · (inputs - 2 · bits that differ).

    words: (n, ⌈inputs / 64⌉) int64. weight: (out / WIDE, ⌈inputs / 64⌉, WIDE) int64. scales: (out,) float32. All flat.
    """
    count, out = (inputs + 63) // 64, scales.size
    samples = y.size // out if out else 0
    for o in range(0, out, WIDE):
        for n in range(samples):
            differing = splat(np.int64(0), WIDE)
            for first in range(0, count, _MOST):
                bytewise = view(splat(np.int64(0), WIDE), np.int8)
                for i in range(first, min(first + _MOST, count)):
                    bits = xor(load(weight, o * count + i * WIDE, WIDE), splat(words[n * count + i], WIDE))
                    if COUNTS:
                        differing = add(differing, ones(bits))
                    else:
                        bytewise = add(bytewise, ones(view(bits, np.int8)))
                if not COUNTS:
                    pairs = view(bytewise, np.int64)
                    pairs = add(both(pairs, splat(_LOW, WIDE)), both(right(pairs, 8), splat(_LOW, WIDE)))
                    pairs = add(pairs, right(pairs, 16))
                    differing = add(differing, both(add(pairs, right(pairs, 32)), splat(np.int64(0xFFFF), WIDE)))
            dots = sub(splat(np.int32(inputs), WIDE), narrow(left(differing, 1), np.int32))
            store(y, n * out + o, mul(to_float(dots, np.float32), load(scales, o, WIDE)))


def pack_weight(signs: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Return signs (out, inputs), True for +1, as the words of `xnor_linear`, flat; out is padded to a multiple of `WIDE`."""
    out, inputs = signs.shape
    negative = np.zeros((-(-out // WIDE) * WIDE, -(-inputs // 64) * 64), bool)
    negative[:out, :inputs] = ~signs
    words = np.packbits(negative, axis=1, bitorder="little").view("<i8").astype(np.int64)
    tiles = words.reshape(-1, WIDE, words.shape[1]).transpose(0, 2, 1)
    weight: Any = aligned(2 * words.size).view(np.int64)
    weight[:] = tiles.reshape(-1)
    return np.asarray(weight)


class XnorLinear:
    """A linear layer on the signs of its inputs: (n, inputs) float32 → scale · (n, out), by `xnor_linear`.

    Args:
        weight: binary (out, inputs). An input counts as +1 where it is at least 0, -0 and NaN among them.

    Raises:
        ModelError: a sum might not be exact in float32.
    """

    def __init__(self, weight: BinaryTensor) -> None:
        self._out, self._inputs = weight.shape
        if self._inputs >= 1 << 24:
            raise ModelError(f"a layer on signs must have fewer than 2^24 inputs, got {self._inputs}")
        self._weight = pack_weight(weight.signs)
        self._scales = aligned(-(-self._out // WIDE) * WIDE)
        self._scales[: self._out] = weight.scales

    def __call__(self, x: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return scale · Σ sign(w) · sign(x), float32."""
        return self._run(x, self._scales)

    def dots(self, x: NDArray[np.float32]) -> NDArray[np.int64]:
        """Return Σ sign(w) · sign(x), exact: int64 (n, out)."""
        return self._run(x, np.ones(self._scales.size, np.float32)).astype(np.int64)

    def _run(self, x: NDArray[np.float32], scales: NDArray[np.float32]) -> NDArray[np.float32]:
        words = np.empty(len(x) * -(-self._inputs // 64), np.int64)
        pack_signs(np.ascontiguousarray(x).reshape(-1), words, self._inputs)
        y = aligned(len(x) * scales.size)
        xnor_linear(words, self._weight, scales, y, self._inputs)
        return y.reshape(len(x), -1)[:, : self._out]
