"""Integer linear layers: unsigned activations by signed weights in blocks of four inputs, summed in int32 and requantized.

A 32-bit lane of activations holds four inputs of one sample, so that a block of weights is one word, repeated, and one dot
product a register. Dense weights are the same with every block stored. All sums are exact.
Source     Jacob et al. 2017, arXiv:1712.05877; one rounding: halves go up.
"""

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from labkit.core.errors import ModelError
from labkit.runtime.kernels._bytes import BYTES, dot, repeat_word
from labkit.runtime.kernels._cache import kernel
from labkit.runtime.kernels._simd import LANES
from labkit.runtime.kernels._vectors import entry, load, splat, store

SAMPLES = 4 * LANES
"""Samples that are treated together; batches are padded to a multiple."""
PART = 512
"""Inputs that are treated before the next part, so that what they read stays in the first cache."""


@kernel
def block_int8_linear(x, y, pointers, offsets, words, parts):  # type: ignore[no-untyped-def]
    """Y (out, batch) int32 = weights · x.

    x: (inputs / 4, batch, 4) bytes, unsigned, flat, as int8. pointers: start of each (part, output), absolute. offsets: of
    each block, (block column · batch · 4). words: four signed bytes each, as int32. parts: of the inputs.
    """
    out = (pointers.size - 1) // parts
    batch = y.size // out if out else 0
    for t in range(0, batch, SAMPLES):
        for part in range(parts):
            for o in range(out):
                at = o * batch + t
                if part == 0:
                    a = b = c = d = splat(np.int32(0), LANES)
                else:
                    a, b = load(y, at, LANES), load(y, at + LANES, LANES)
                    c, d = load(y, at + 2 * LANES, LANES), load(y, at + 3 * LANES, LANES)
                for n in range(pointers[part * out + o], pointers[part * out + o + 1]):
                    q, w = np.int64(entry(offsets, n)) + 4 * t, repeat_word(entry(words, n))
                    a, b = dot(a, load(x, q, BYTES), w), dot(b, load(x, q + BYTES, BYTES), w)
                    c, d = dot(c, load(x, q + 2 * BYTES, BYTES), w), dot(d, load(x, q + 3 * BYTES, BYTES), w)
                store(y, at, a)
                store(y, at + LANES, b)
                store(y, at + 2 * LANES, c)
                store(y, at + 3 * LANES, d)


@kernel
def requantize(sums, y, multipliers, shifts, zero, low, high):  # type: ignore[no-untyped-def]
    """Y = limited (((sums · multiplier + 2^(shift-1)) >> shift) + zero), row by row, to [low, high].

    sums: (out, batch) int32, flat. y: as many uint8 or int8. multipliers, shifts: (out,) int64, see `multiplier_of`.
    """
    batch = sums.size // multipliers.size if multipliers.size else 0
    for o in range(multipliers.size):
        factor, shift = multipliers[o], shifts[o]
        half = np.int64(1) << (shift - 1)
        for n in range(o * batch, (o + 1) * batch):
            y[n] = min(max(((np.int64(sums[n]) * factor + half) >> shift) + zero, low), high)


def multiplier_of(scale: float, layer: str = "a layer") -> tuple[int, int]:
    """Return (M0, s) with M0 · 2^-s next to a scale and M0 in [2^30, 2^31).

    Args:
        scale: S_w · S_x / S_y, above 0.
        layer: named in the error.

    Raises:
        ModelError: the scale cannot be written so with a shift of 1 to 62.
    """
    fraction, exponent = math.frexp(scale if math.isfinite(scale) else 0.0)
    factor = round(fraction * 2**31)  # Python rounds halves to even
    if factor == 2**31:
        factor, exponent = factor // 2, exponent + 1
    shift = 31 - exponent
    if not scale > 0 or not 1 <= shift <= 62:
        raise ModelError(f"{layer} cannot be requantized by {scale:g}: the scale must be in [2^-32, 2^29]; check its calibration")
    return factor, shift


class BlockInt8Linear:
    """A linear layer on bytes: (n, inputs) uint8 → (n, out) int32, with weights as `block_int8` stores them, or dense ones.

    Args:
        codes: int8 (out, inputs).
        offsets: int32 (out,), added to each sum: bias and zero points as card `integer_matmul` says.

    Raises:
        ModelError: a sum might not fit 32 bits.
    """

    def __init__(self, codes: NDArray[np.int8], offsets: NDArray[np.int32] | None = None) -> None:
        out, width = codes.shape
        self._out, self._quads = out, -(-width // 4)
        self._added = np.zeros(out, np.int32) if offsets is None else offsets
        reach = 255 * np.abs(codes.astype(np.int64)).sum(axis=1) + np.abs(self._added.astype(np.int64))
        if reach.size and int(reach.max()) >= 2**31:
            raise ModelError(f"a sum of this layer may reach {int(reach.max())}: it must stay below 2^31")
        words = np.pad(codes, ((0, 0), (0, -width % 4))).view(np.int32)
        self._parts = max(1, -(-width // PART))
        counts, columns, values = [0], [], []
        for part in range(self._parts):
            chosen = words[:, part * PART // 4 : (part + 1) * PART // 4]
            rows, places = np.nonzero(chosen)
            counts += np.bincount(rows, minlength=out).tolist()
            columns.append(places + part * PART // 4)
            values.append(chosen[rows, places])
        self._pointers = np.cumsum(counts).astype(np.int64)
        self._columns, self._words = np.concatenate(columns), np.concatenate(values)

    def __call__(self, x: NDArray[np.uint8]) -> NDArray[np.int32]:
        """Return the exact sums."""
        return np.ascontiguousarray(self.sums(x)[:, : len(x)].T) + self._added

    def sums(self, x: NDArray[np.uint8]) -> NDArray[np.int32]:
        """Return the sums without what is added, one column a sample, padded to a multiple of `SAMPLES`."""
        batch = -(-len(x) // SAMPLES) * SAMPLES
        quads = np.zeros((self._quads, batch, 4), np.uint8)
        padded = np.pad(x, ((0, 0), (0, 4 * self._quads - x.shape[1])))
        quads[:, : len(x)] = padded.reshape(len(x), self._quads, 4).transpose(1, 0, 2)
        y = np.zeros(self._out * batch, np.int32)
        offsets = (self._columns * (4 * batch)).astype(np.int32)
        block_int8_linear(quads.reshape(-1).view(np.int8), y, self._pointers, offsets, self._words, self._parts)
        return y.reshape(self._out, batch)


def requantized(sums: NDArray[np.int32], scales: NDArray[np.float64], zero: int, limits: tuple[int, int]) -> NDArray[Any]:
    """Return (out, n) sums as codes of the next layer.

    Args:
        sums: int32 (out, n).
        scales: S_w · S_x / S_y of each output.
        zero: Z_y.
        limits: least and largest code; uint8 where the least is not negative, else int8.
    """
    pairs = np.array([multiplier_of(float(scale)) for scale in scales], np.int64).reshape(-1, 2)
    y = np.empty(sums.size, np.uint8 if limits[0] >= 0 else np.int8)
    requantize(np.ascontiguousarray(sums).reshape(-1), y, pairs[:, 0].copy(), pairs[:, 1].copy(), zero, *limits)
    return y.reshape(sums.shape)
