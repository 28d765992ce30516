"""Integer linear layers: unsigned activations by signed weights in blocks of four inputs, summed in int32.

A 32-bit lane of activations holds four inputs of one sample, so that a block of weights is one word, repeated, and one dot
product a register. Loads are what takes the time, so that blocks go by four: one load finds all their inputs, two their
weights. Dense weights are the same with every block stored. All sums are exact.
Source     Jacob et al. 2017, arXiv:1712.05877.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from labkit.core.errors import ModelError
from labkit.runtime.kernels._bytes import add_fours
from labkit.runtime.kernels._cache import kernel
from labkit.runtime.kernels._simd import LANES, aligned, on_a_line
from labkit.runtime.kernels._vectors import entry, load, splat, store
from labkit.runtime.kernels.transpose import stretches, transpose

SAMPLES = 4 * LANES
"""Samples that are treated together; see `stretches`."""
QUADS = 128
"""Fours of inputs that are treated before the next part, so that what they read stays in the first cache; a byte names one."""


def _many(wide: int) -> Any:
    """Make the kernel for `wide` samples at a time."""

    @kernel
    def block_int8_linear(x, y, quads, sums, added, pointers, places, words, first, last):  # type: ignore[no-untyped-def]
        """Y (n, out) = weights · x + added, for samples `first` to `last`; arrays are flat where no shape is said.

        x: (n, inputs / 4), four unsigned bytes each, as int32. quads: inputs · wide int32, sums: out · wide, at least, written.
        added: one an output. pointers: start of each (part of the inputs, output), in fours of blocks. places: of four blocks
        each, among the quads of their part, as uint32. words: of two blocks each, four signed bytes a block, as int64.
        """
        (n, inputs), out, per_quad, inside = x.shape, added.size, 4 * wide, quads.view(np.int8)
        read, written = x.reshape(n * inputs), y.reshape(n * out)
        for t in range(first, last, wide):
            some = min(wide, last - t)
            transpose(read[t * inputs :], quads, some, inputs, inputs, wide)
            for part in range((pointers.size - 1) // out):
                start = part * QUADS * per_quad
                for o in range(out):
                    a = load(sums, o * wide, wide) if part else splat(added[o], wide)
                    for n in range(entry(pointers, part * out + o), entry(pointers, part * out + o + 1)):
                        at, two, more = np.int64(entry(places, n)), entry(words, 2 * n), entry(words, 2 * n + 1)
                        a = add_fours(a, inside, start + (at & 255) * per_quad, np.int32(two))
                        a = add_fours(a, inside, start + (at >> 8 & 255) * per_quad, np.int32(two >> 32))
                        a = add_fours(a, inside, start + (at >> 16 & 255) * per_quad, np.int32(more))
                        a = add_fours(a, inside, start + (at >> 24) * per_quad, np.int32(more >> 32))
                    store(sums, o * wide, a)
            transpose(sums, written[t * out :], out, some, wide, out)

    return block_int8_linear


MANY = {wide: _many(wide) for wide in (LANES, SAMPLES)}
"""Samples at a time → kernel."""


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
        added = np.zeros(out, np.int32) if added is None else added
        check_reach(codes, added)
        words = np.zeros((out, 4 * self._quads), np.int8)
        words[:, :width] = codes
        room = (aligned(count * SAMPLES).view(np.int32) for count in (self._quads, out))
        self._arrays = *room, added, *_in_fours(words.view(np.int32))

    def __call__(self, x: NDArray[np.uint8]) -> NDArray[np.int32]:
        """Return the sums, (n, out)."""
        y, more = np.empty((len(x), self._out), np.int32), 4 * self._quads - x.shape[1]
        if more:
            x = np.pad(x, ((0, 0), (0, more)))
        words = np.ascontiguousarray(x).view(np.int32)
        for wide, first, last in stretches(len(x), SAMPLES):
            MANY[wide](words, y, *self._arrays, first, last)
        return y


def _in_fours(words: NDArray[np.int32]) -> tuple[NDArray[np.int64], NDArray[np.uint32], NDArray[np.int64]]:
    """Return the blocks (out, inputs / 4) that are not zero as the kernel reads them: pointers, places and words."""
    rows, columns = np.nonzero(words)
    parts = -(-words.shape[1] // QUADS)
    place = columns // QUADS * len(words) + rows
    order = np.argsort(place, kind="stable")
    counts = np.bincount(place, minlength=parts * len(words))
    pointers = np.concatenate([[0], np.cumsum(-(-counts // 4))]).astype(np.int64)
    at = np.arange(len(place)) + np.repeat(4 * pointers[:-1] - (np.cumsum(counts) - counts), counts)
    quads, blocks = np.zeros(4 * pointers[-1], np.uint8), np.zeros(4 * pointers[-1], np.int32)
    quads[at], blocks[at] = columns[order] % QUADS, words[rows, columns][order]
    return pointers, on_a_line(quads).view(np.uint32), on_a_line(blocks).view(np.int64)


def check_reach(codes: NDArray[np.int8], added: NDArray[Any]) -> None:
    """Raise `ModelError` where a sum of codes (out, …) times bytes, and what is added to it, might not fit 32 bits."""
    reach = 255 * np.abs(codes.reshape(len(codes), -1).astype(np.int64)).sum(axis=1) + np.abs(added.astype(np.int64))
    if reach.size and int(reach.max()) >= 2**31:
        raise ModelError(f"a sum of this layer may reach {int(reach.max())}: it must stay below 2^31")
