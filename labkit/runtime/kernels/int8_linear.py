"""Integer linear layers: unsigned activations by signed weights in blocks of four inputs, summed in int32.

A 32-bit lane of activations holds four inputs of one sample, so that a block of weights is one word, repeated, and one dot
product a register. Dense weights are the same with every block stored. All sums are exact.
Source     Jacob et al. 2017, arXiv:1712.05877.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from labkit.core.errors import ModelError
from labkit.runtime.kernels._bytes import BYTES, dot, repeat_word
from labkit.runtime.kernels._cache import kernel
from labkit.runtime.kernels._simd import LANES, aligned, on_a_line
from labkit.runtime.kernels._vectors import entry, load, splat, store
from labkit.runtime.kernels.transpose import transpose

SAMPLES = 4 * LANES
"""Samples that are treated together as long as there are so many; what is left goes by `LANES`."""
PART = 512
"""Inputs that are treated before the next part, so that what they read stays in the first cache."""
MOST_SAMPLES = 4 * SAMPLES
"""Samples that go through all weights before the next ones, so that the sums stay in the second cache."""


@kernel
def block_int8_linear(x, y, added, pointers, offsets, words, parts, first, last, batch):  # type: ignore[no-untyped-def]
    """Y (out, batch) int32 = weights · x + added, for columns `first` to `last`, a multiple of `SAMPLES`.

    x: (inputs / 4, batch, 4) bytes, unsigned, flat, as int8. added: (out,) int32. pointers: start of each (part, output).
    offsets: of each block in x, (block column · batch · 4). words: four signed bytes each, as int32. parts: of the inputs.
    """
    out = added.size
    for t in range(first, last, SAMPLES):
        for part in range(parts):
            for o in range(out):
                at = o * batch + t
                if part == 0:
                    a = b = c = d = splat(added[o], LANES)
                else:
                    a, b = load(y, at, LANES), load(y, at + LANES, LANES)
                    c, d = load(y, at + 2 * LANES, LANES), load(y, at + 3 * LANES, LANES)
                for n in range(entry(pointers, part * out + o), entry(pointers, part * out + o + 1)):
                    q, w = np.int64(entry(offsets, n)) + 4 * t, repeat_word(entry(words, n))
                    a, b = dot(a, load(x, q, BYTES), w), dot(b, load(x, q + BYTES, BYTES), w)
                    c, d = dot(c, load(x, q + 2 * BYTES, BYTES), w), dot(d, load(x, q + 3 * BYTES, BYTES), w)
                store(y, at, a)
                store(y, at + LANES, b)
                store(y, at + 2 * LANES, c)
                store(y, at + 3 * LANES, d)


@kernel
def block_int8_linear_few(x, y, added, pointers, offsets, words, parts, first, last, batch):  # type: ignore[no-untyped-def]
    """Do the same for a number of columns that is a multiple of `LANES`."""
    out = added.size
    for t in range(first, last, LANES):
        for part in range(parts):
            for o in range(out):
                sums = load(y, o * batch + t, LANES) if part else splat(added[o], LANES)
                for n in range(entry(pointers, part * out + o), entry(pointers, part * out + o + 1)):
                    sums = dot(sums, load(x, np.int64(entry(offsets, n)) + 4 * t, BYTES), repeat_word(entry(words, n)))
                store(y, o * batch + t, sums)


class BlockInt8Linear:
    """A linear layer on bytes: (n, inputs) uint8 → (n, out) int32, exact; blocks of four inputs that are all zero cost nothing.

    Calls must not overlap: they share their arrays.

    Args:
        codes: int8 (out, inputs).
        added: int32 (out,), added to each sum: bias and zero points as card `integer_matmul` says.

    Raises:
        ModelError: a sum might not fit 32 bits.
    """

    def __init__(self, codes: NDArray[np.int8], added: NDArray[np.int32] | None = None) -> None:
        out, width = codes.shape
        self._out, self._quads = out, max(1, -(-width // 4))
        self._added = np.zeros(out, np.int32) if added is None else added
        check_reach(codes, self._added)
        words = np.zeros((out, 4 * self._quads), np.int8)
        words[:, :width] = codes
        rows, columns = np.nonzero(words.view(np.int32))
        self._parts = -(-4 * self._quads // PART)
        place = columns // (PART // 4) * out + rows
        order = np.argsort(place, kind="stable")
        self._pointers = np.concatenate([[0], np.cumsum(np.bincount(place, minlength=self._parts * out))]).astype(np.int64)
        self._columns, self._words = columns[order], on_a_line(words.view(np.int32)[rows, columns][order])
        self._arrays: tuple[int, NDArray[np.float32], NDArray[np.float32], NDArray[np.int32]] | None = None

    def __call__(self, x: NDArray[np.uint8]) -> NDArray[np.int32]:
        """Return the sums, (n, out)."""
        y = np.empty((len(x), self._out), np.int32)
        for start in range(0, len(x), MOST_SAMPLES):
            self._some(x[start : start + MOST_SAMPLES], y[start : start + MOST_SAMPLES])
        return y

    def _some(self, x: NDArray[np.uint8], y: NDArray[np.int32]) -> None:
        width, batch = 4 * self._quads, -(-len(x) // LANES) * LANES
        if self._arrays is None or self._arrays[0] != batch:
            offsets = on_a_line((self._columns * (4 * batch)).astype(np.int32))
            self._arrays = batch, aligned(self._quads * batch), aligned(self._out * batch), offsets
        _, quads, sums, offsets = self._arrays
        if x.shape[1] != width:
            x = np.pad(x, ((0, 0), (0, width - x.shape[1])))
        four = np.ascontiguousarray(x).reshape(-1).view(np.float32)  # bytes in fours: they are only moved
        transpose(four, quads, len(x), self._quads, self._quads, batch)
        weights, middle = (self._added, self._pointers, offsets, self._words, self._parts), batch // SAMPLES * SAMPLES
        for run, first, last in ((block_int8_linear, 0, middle), (block_int8_linear_few, middle, batch)):
            if first < last:
                run(quads.view(np.int8), sums.view(np.int32), *weights, first, last, batch)
        transpose(sums, y.reshape(-1).view(np.float32), self._out, len(x), batch, self._out)


def check_reach(codes: NDArray[np.int8], added: NDArray[Any]) -> None:
    """Raise `ModelError` where a sum of codes (out, …) times bytes, and what is added to it, might not fit 32 bits."""
    reach = 255 * np.abs(codes.reshape(len(codes), -1).astype(np.int64)).sum(axis=1) + np.abs(added.astype(np.int64))
    if reach.size and int(reach.max()) >= 2**31:
        raise ModelError(f"a sum of this layer may reach {int(reach.max())}: it must stay below 2^31")
