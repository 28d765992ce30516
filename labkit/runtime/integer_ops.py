"""Integer steps without weights: into codes and out, requantization, pooling, residual addition, concatenation.

What each computes is said once more, plainly, in `simulation`.
"""

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from labkit.core.errors import ModelError
from labkit.runtime.affine import code_limits
from labkit.runtime.kernels import int8_codes
from labkit.runtime.kernels._simd import LANES
from labkit.runtime.kernels.int8_codes import Requantization, multiplier_of
from labkit.runtime.kernels.int8_onednn import Bytes
from labkit.runtime.steps import Affine, Shape, Step

_MOST_RATIO = 2.0**20  # of two scales that meet in an addition
_MOST_PIXELS = 1 << 23  # times 255 it fits 31 bits

Call = Callable[..., Any]


class Rescale:
    """Requantization of sums whose last dimension has the channels."""

    def __init__(self, how: Requantization) -> None:
        columns = np.stack([how.added, how.factors, how.shifts]).astype(np.int32)
        period = math.lcm(columns.shape[1], LANES)
        self._columns = [np.tile(each, period // columns.shape[1]) for each in columns]
        self._limits = how.zero, how.low, how.high

    def __call__(self, sums: NDArray[Any]) -> Bytes:
        y = np.empty(sums.shape, np.uint8)
        int8_codes.requantize(sums.reshape(-1), *self._columns, *self._limits, y.reshape(-1))
        return y


def requantization(step: Step, scales: Sequence[float], added: NDArray[np.int64]) -> Requantization:
    """Return how a step's sums become codes.

    Args:
        step: what makes codes.
        scales: of each channel's sums, over the scale of the codes.
        added: to each channel's sums.

    Raises:
        ModelError: a scale is out of range.
    """
    factors, shifts = np.array([multiplier_of(float(scale), step.name) for scale in scales], np.int64).reshape(-1, 2).T
    return Requantization(added, factors, shifts, known(step.codes).zero, *code_limits(step))


def quantize(step: Step, x: NDArray[np.float32]) -> Bytes:
    """Return codes of floats (n, c, h, w) as (n, h, w, c), or of (n, features)."""
    codes = known(step.codes)
    channels, pixels = (x.shape[1], x.shape[2] * x.shape[3]) if x.ndim == 4 else (1, x.shape[1])
    y = np.empty((len(x), *x.shape[2:], x.shape[1]) if x.ndim == 4 else x.shape, np.uint8)
    int8_codes.quantize(
        np.ascontiguousarray(x).reshape(-1), y.reshape(-1), channels, pixels, np.float32(codes.scale), np.float32(codes.zero)
    )
    return y


def pooled(pool: Step, sizes: tuple[int, ...], x: NDArray[Any]) -> Any:
    """Return the largest of each window of codes or sums (n, h, w, c), as an image of `sizes`."""
    y = np.empty((len(x), *sizes, x.shape[3]), x.dtype)
    int8_codes.max_pool(x, y, pool.kernel, pool.stride, pool.padding)
    return y


def _dequantize(_: Step, shapes: Sequence[Shape], read: Sequence[Affine]) -> Call:
    scale, zero = read[0].scale, read[0].zero

    def call(x: Bytes) -> NDArray[np.float32]:
        floats = ((x.astype(np.int64) - zero) * scale).astype(np.float32)
        return floats if floats.ndim == 2 else np.ascontiguousarray(floats.transpose(0, 3, 1, 2))

    return call


def _add(step: Step, shapes: Sequence[Shape], read: Sequence[Affine]) -> Call:
    makes, factors = known(step.codes), add_factors(step, read)
    zeros, limits = np.array([each.zero for each in read], np.int64), code_limits(step)

    def call(a: Bytes, b: Bytes) -> Bytes:
        y = np.empty(a.shape, np.uint8)
        int8_codes.add(a.reshape(-1), b.reshape(-1), y.reshape(-1), zeros, factors, makes.zero, *limits)
        return y

    return call


def add_factors(step: Step, read: Sequence[Affine]) -> NDArray[np.int64]:
    """Return what the codes that an addition reads are multiplied with, `ADD_BITS` bits behind the point.

    Raises:
        ModelError: one is out of range.
    """
    makes = known(step.codes)
    if max(each.scale for each in read) / makes.scale > _MOST_RATIO:
        raise ModelError(f"{step.name} cannot add codes whose scale is more than 2^20 times that of the sum: check its calibration")
    return np.array([round(2.0**int8_codes.ADD_BITS * each.scale / makes.scale) for each in read], np.int64)


def _average_pool(step: Step, shapes: Sequence[Shape], read: Sequence[Affine]) -> Call:
    """Parts of the image may differ in size, so that each has its own multiplier: they take the place of channels."""
    (channels, height, width), (down, across), makes = shapes[0], step.kernel, known(step.codes)
    if height * width > _MOST_PIXELS:
        raise ModelError(f"{step.name} cannot average {height} × {width} pixels: their sum may not fit 32 bits")
    rows, columns = (
        [-(-(n + 1) * size // parts) - n * size // parts for n in range(parts)] for size, parts in ((height, down), (width, across))
    )
    scales = [read[0].scale / (a * b * makes.scale) for a in rows for b in columns for _ in range(channels)]
    rescale = Rescale(requantization(step, scales, np.zeros(len(scales), np.int64)))

    def call(x: Bytes) -> Bytes:
        sums = np.empty((len(x), down, across, channels), np.int32)
        int8_codes.window_sums(x, sums, read[0].zero)
        return rescale(sums)

    return call


def _concat(step: Step, shapes: Sequence[Shape], read: Sequence[Affine]) -> Call:
    """Codes of another scale are looked up in a table of all 256."""
    tables = []
    for each in read:
        rescale = Rescale(requantization(step, [each.scale / known(step.codes).scale], np.zeros(1, np.int64)))
        tables.append(rescale(np.arange(256, dtype=np.int32) - np.int32(each.zero)))
    return lambda *parts: np.concatenate([table[part] for table, part in zip(tables, parts, strict=True)], axis=-1)


def _hardswish(step: Step, shapes: Sequence[Shape], read: Sequence[Affine]) -> Call:
    x, makes = (np.arange(256) - read[0].zero) * read[0].scale, known(step.codes)
    y = np.clip(x * np.clip(x + 3, 0, 6) / 6, step.low, step.high)
    table = np.clip(np.rint(y / makes.scale).astype(np.int64) + makes.zero, 0, 255).astype(np.uint8)
    return lambda codes: table[codes]


def _max_pool(step: Step, shapes: Sequence[Shape], read: Sequence[Affine]) -> Call:
    limit = _limit(step)
    return lambda x: limit(pooled(step, shapes[-1][1:], x))


def _flatten(step: Step, shapes: Sequence[Shape], read: Sequence[Affine]) -> Call:
    limit = _limit(step)
    return lambda x: limit(np.ascontiguousarray(x.transpose(0, 3, 1, 2) if x.ndim == 4 else x).reshape(len(x), -1))


def _limit(step: Step) -> Call:
    low, high = code_limits(step)
    return (lambda x: np.clip(x, low, high)) if step.clips else (lambda x: x)


def known(codes: Affine | None) -> Affine:
    """Return what is there: the program has checked that an integer step reads and makes codes."""
    if codes is None:
        raise TypeError("an integer step must read and make codes here")
    return codes


MAKERS: dict[str, Callable[[Step, Sequence[Shape], Sequence[Affine]], Call]] = {
    "add": _add,
    "average_pool": _average_pool,
    "clip": lambda step, shapes, read: _limit(step),
    "concat": _concat,
    "dequantize": _dequantize,
    "flatten": _flatten,
    "hardswish": _hardswish,
    "max_pool": _max_pool,
}
