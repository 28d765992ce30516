"""Integer convolution from bytes to bytes: windows are read in place, sums stay in registers and are requantized there.

A tile of pixels is taken against vectors of outputs. Four inputs of a window, which lie side by side, are one word: repeated
over a register and multiplied with four weights of every output. Where every channel is by itself a lane is a channel, and four
taps are brought side by side instead. A pooling of 2 × 2 takes the largest of four neighbours in a tile before they are written.
Source     Jacob et al. 2017, arXiv:1712.05877: cards `integer_matmul`, `requantize`.
"""

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from labkit.runtime.kernels._bytes import BYTES, VNNI
from labkit.runtime.kernels._cache import kernel
from labkit.runtime.kernels._int_codes import store_channels, store_codes
from labkit.runtime.kernels._int_tiles import CHANNELS, add_taps, add_words, largest_of_four, places, repeat
from labkit.runtime.kernels._simd import LANES, on_a_line
from labkit.runtime.kernels._vectors import entry
from labkit.runtime.kernels.int8_codes import Requantization
from labkit.runtime.kernels.int8_onednn import Bytes, Geometry

PIXELS, VECTORS = 8, 3
"""Of a tile: 24 registers of sums, 3 of weights and one of inputs."""
FEW_PIXELS = 4
"""Of a tile where every channel is by itself."""
FASTER = VNNI
"""Whether these kernels are the faster ones: without one instruction for four products they need too many."""
CHUNK_BYTES = 256 << 10
"""Of images that go through a layer before the next ones, so that they stay in the second cache."""
CHUNK_PIXELS = 1 << 14
"""Of those images, since each has an entry in a table."""
MOST_BYTES = 1 << 24
"""Of one image with its border: a small file must not ask for all memory."""
Taps = list[tuple[int, NDArray[np.int8]]]
Packed = tuple[NDArray[np.int32], NDArray[np.int8], NDArray[np.int64], NDArray[np.int64]]
_WIDTH, _FROM, _FIRST, _LAST, _WEIGHTS, _COLUMN = range(6)
"""Of a block of outputs: its vectors, the first byte of its inputs, its outputs, where its weights and its columns begin."""


def _direct_conv(pooled: bool) -> Any:
    """Make the kernel that writes every pixel, or the one that writes the largest of each four."""

    def block(vectors: int) -> Any:
        @kernel
        def _outputs(x, y, pixels, offsets, weights, added, scaling, limits, block, pitch):  # type: ignore[no-untyped-def]
            left = block[_LAST] - block[_FIRST]
            for t in range(0, pixels.size, PIXELS):
                at = min(t, pixels.size - PIXELS)
                where = places(x, block[_FROM], pixels, at, PIXELS)
                sums, w = repeat(added, block[_COLUMN], PIXELS, vectors), block[_WEIGHTS]
                for n in range(offsets.size):
                    sums = add_words(sums, where, np.int64(entry(offsets, n)), weights, w)
                    w += vectors * BYTES
                if pooled:
                    best = largest_of_four(sums)
                    store_codes(best, scaling, block[_COLUMN], limits, y, at // 4 * pitch + block[_FIRST], pitch, left)
                else:
                    store_codes(sums, scaling, block[_COLUMN], limits, y, at * pitch + block[_FIRST], pitch, left)

        return _outputs

    _one, _two, _three = (block(vectors) for vectors in (1, 2, VECTORS))

    @kernel
    def int8_direct_conv(x, y, pixels, offsets, weights, added, scaling, limits, blocks, pitch):  # type: ignore[no-untyped-def]
        """Write the codes of a convolution.

        x: flat bytes. y: flat uint8, `pitch` a pixel. pixels: int32, at least `PIXELS`, where their windows begin; each four are
        pooled. offsets: int32, of each four inputs in a window. weights: flat int8, of each block (words, vectors, `LANES`, 4).
        added: int32, one a column. scaling, limits: see `store_codes`. blocks: int64, see `_WIDTH`.
        """
        for n in range(len(blocks)):
            block = blocks[n]
            if block[_WIDTH] == 1:
                _one(x, y, pixels, offsets, weights, added, scaling, limits, block, pitch)
            elif block[_WIDTH] == 2:
                _two(x, y, pixels, offsets, weights, added, scaling, limits, block, pitch)
            else:
                _three(x, y, pixels, offsets, weights, added, scaling, limits, block, pitch)

    return int8_direct_conv


int8_direct_conv, int8_direct_conv_pooled = _direct_conv(pooled=False), _direct_conv(pooled=True)


@kernel
def int8_depthwise_conv(x, y, pixels, offsets, weights, added, scaling, limits, channels):  # type: ignore[no-untyped-def]
    """Do the same where every channel is by itself.

    offsets: int32, of each tap in a window, a multiple of four. weights: flat int8 (columns / `BYTES`, taps / 4, 4, `LANES`, 4), columns
    in the order of `CHANNELS`.
    """
    for t in range(0, pixels.size, FEW_PIXELS):
        at = min(t, pixels.size - FEW_PIXELS)
        where, w = places(x, 0, pixels, at, FEW_PIXELS), 0
        for c in range(0, channels, BYTES):
            sums = repeat(added, c, FEW_PIXELS, 4)
            for n in range(0, offsets.size, 4):
                sums = add_taps(sums, where, offsets, n, c, weights, w)
                w += 4 * BYTES
            store_channels(sums, scaling, c, limits, y, at * channels + c, channels, channels - c)


def suits(shape: Sequence[int], geometry: Geometry, image: Sequence[int], how: Requantization) -> bool:
    """Tell whether the kernels can do a convolution, and faster than what else there is.

    Args:
        shape: of its weights, (out, c / groups, k_h, k_w).
        geometry: of the window.
        image: (c, h, w).
        how: its sums become codes.
    """
    groups = geometry.groups
    fills_lanes = groups == 1 or is_depthwise(shape, groups) or 2 * (shape[0] // groups) > LANES
    return FASTER and fills_lanes and math.prod(_padded(image, geometry)) <= MOST_BYTES and bool((how.shifts >= 32).all())


def is_depthwise(shape: Sequence[int], groups: int) -> bool:
    """Tell whether every channel is by itself and makes one."""
    return shape[1] == 1 and shape[0] == groups


class Int8DirectConv:
    """A convolution of images: x uint8 (n, h, w, c) → codes uint8 (n, h', w', out), bit for bit as the card says.

    Calls must not overlap: they share their arrays.

    Args:
        codes: int8 (out, c / groups, k_h, k_w), whose sums fit 32 bits; see `check_reach`.
        zero: zero point of x, which is also what is padded.
        geometry: of the window.
        image: (c, h, w).
        how: the sums become codes; no shift may be below 32.
        pools: whether the largest of each square of four pixels is all that is wanted, without an odd last row or column; not where
            every channel is by itself.
    """

    def __init__(
        self, codes: NDArray[np.int8], zero: int, geometry: Geometry, image: Sequence[int], how: Requantization, pools: bool
    ) -> None:
        self._out, self._geometry, self._pools = len(codes), geometry, pools
        by_itself = is_depthwise(codes.shape, geometry.groups)
        self._tile = FEW_PIXELS if by_itself else PIXELS
        (c, h, w), self._size = image, _padded(image, geometry)
        taps = _taps(codes, geometry, self._size)
        whole = self._size[:2] == (h, w) and (c % BYTES == 0 if by_itself else all(run.shape[1] % 4 == 0 for _, run in taps))
        table, self._makes = self._table(codes.shape[2:])
        self._some = max(1, min(CHUNK_BYTES // math.prod(self._size), CHUNK_PIXELS // max(1, table.size)))
        images = np.arange(self._some) * math.prod(self._size)
        self._pixels = (images[:, None] + table).astype(np.int32).reshape(-1)
        room, (p_h, p_w) = 0 if whole else self._some * math.prod(self._size), geometry.padding
        self._flat = np.full(room + BYTES, zero, np.uint8)
        self._inside = None if whole else self._flat[:room].reshape(-1, *self._size)[:, p_h : p_h + h, p_w : p_w + w]
        added = how.added - zero * codes.reshape(self._out, -1).astype(np.int64).sum(axis=1)
        offsets, weights, blocks, columns = (_by_channel if by_itself else _by_block)(taps, geometry.groups)
        constants = np.where(columns < 0, 0, np.stack([added, how.factors, how.shifts - 32])[:, columns]).astype(np.int32)
        limits = np.array([how.zero, how.low, how.high], np.int32)
        last = (self._out,) if by_itself else (blocks, self._out)
        self._constants = offsets, weights, on_a_line(constants[0]), on_a_line(constants[1:]), limits, *last
        self._kernel = int8_depthwise_conv if by_itself else int8_direct_conv_pooled if pools else int8_direct_conv

    def __call__(self, x: Bytes) -> Bytes:
        """Return the codes."""
        y = np.empty((len(x), *self._makes, self._out), np.uint8)
        for first in range(0, len(x), self._some):
            self._chunk(x[first : first + self._some], y[first : first + self._some].reshape(-1))
        return y

    def _chunk(self, x: Bytes, y: Bytes) -> None:
        """Do some images."""
        pixels = self._pixels[: len(x) * (len(self._pixels) // self._some)]
        if self._inside is None:
            flat = np.ascontiguousarray(x).reshape(-1)
        else:
            self._inside[: len(x)] = x
            flat = self._flat
        if len(pixels) < self._tile:
            few = np.empty(self._tile * self._out, np.uint8)
            self._kernel(flat, few, np.resize(pixels, self._tile), *self._constants)
            y[:] = few[: y.size]
        else:
            self._kernel(flat, y, pixels, *self._constants)

    def _table(self, window: Sequence[int]) -> tuple[NDArray[np.int64], tuple[int, int]]:
        """Return where every pixel's window begins in an image, and the size of the image that is made."""
        reach = [d * (k - 1) + 1 for d, k in zip(self._geometry.dilation, window, strict=True)]
        rows, columns = ((n - r) // s + 1 for n, r, s in zip(self._size, reach, self._geometry.stride, strict=False))
        if self._pools:
            rows, columns = rows // 2, columns // 2
            i, j, u, v = np.indices((rows, columns, 2, 2))
            i, j = 2 * i + u, 2 * j + v
        else:
            i, j = np.indices((rows, columns))
        _, width, c = self._size
        table = ((i * self._geometry.stride[0] * width + j * self._geometry.stride[1]) * c).reshape(-1)
        return table, (rows, columns)


def _padded(image: Sequence[int], geometry: Geometry) -> tuple[int, int, int]:
    """Return the size (h, w, c) of an image (c, h, w) with its border."""
    c, h, w = image
    return h + 2 * geometry.padding[0], w + 2 * geometry.padding[1], c


def _taps(codes: NDArray[np.int8], geometry: Geometry, size: Sequence[int]) -> Taps:
    """Return runs of bytes that lie side by side in a window: where each begins, and its weights (out, bytes)."""
    (_, width, c), (d_h, d_w), (out, _, k_h, k_w) = size, geometry.dilation, codes.shape
    if geometry.groups == 1 and d_w == 1 and codes.shape[:2] != (1, 1):
        return [(u * d_h * width * c, codes[:, :, u].transpose(0, 2, 1).reshape(out, -1)) for u in range(k_h)]
    return [((u * d_h * width + v * d_w) * c, codes[:, :, u, v]) for u in range(k_h) for v in range(k_w)]


def _by_block(taps: Taps, groups: int) -> Packed:
    """Return offsets of words, weights and table of blocks as `int8_direct_conv` takes them, and the output of each column."""
    offsets = [start + n for start, run in taps for n in range(0, run.shape[1], 4)]
    words = np.concatenate([np.pad(run, ((0, 0), (0, -run.shape[1] % 4))).reshape(len(run), -1, 4) for _, run in taps], axis=1)
    per_group, inputs = len(words) // groups, taps[0][1].shape[1]
    weights, blocks, columns, at = [], [], [np.zeros(0, np.int64)], 0
    for g, first, vectors in ((g, g * per_group + n * LANES, v) for g in range(groups) for n, v in _widths(-(-per_group // LANES))):
        last = min(first + vectors * LANES, (g + 1) * per_group)
        part = np.pad(words[first:last], ((0, first + vectors * LANES - last), (0, 0), (0, 0)))
        blocks.append([vectors, g * inputs if groups > 1 else 0, first, last, at, sum(map(len, columns))])
        weights.append(part.reshape(vectors, LANES, -1, 4).transpose(2, 0, 1, 3).reshape(-1))
        columns.append(np.where(np.arange(vectors * LANES) < last - first, first + np.arange(vectors * LANES), -1))
        at += weights[-1].size
    return np.array(offsets, np.int32), on_a_line(np.concatenate(weights)), np.array(blocks, np.int64), np.concatenate(columns)


def _widths(vectors: int) -> list[tuple[int, int]]:
    """Return (first vector, vectors) of blocks that are as even as can be, at most `VECTORS` each."""
    ends = np.linspace(0, vectors, -(-vectors // VECTORS) + 1).astype(int)
    return [(int(a), int(b - a)) for a, b in pairwise(ends)]


def _by_channel(taps: Taps, _: int) -> Packed:
    """Return what `_by_block` returns, without blocks, as `int8_depthwise_conv` takes it."""
    offsets = np.array([start for start, _ in taps], np.int32)
    channels, fours = len(taps[0][1]), -(-len(taps) // 4)
    weights = np.zeros((-(-channels // BYTES) * BYTES, 4 * fours), np.int8)
    weights[:channels, : len(taps)] = np.concatenate([run for _, run in taps], axis=1)
    columns = (np.arange(0, len(weights), BYTES)[:, None] + np.array(CHANNELS)).reshape(-1)
    packed = weights[columns].reshape(-1, BYTES, fours, 4).transpose(0, 2, 1, 3)
    columns = np.where(columns < channels, columns, -1)
    return np.pad(offsets, (0, -len(offsets) % 4)), on_a_line(packed), np.zeros((0, 6), np.int64), columns
