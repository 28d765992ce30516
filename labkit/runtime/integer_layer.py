"""Integer convolutions and linear layers: bytes by int8 weights into int32, requantized.

Convolutions go from bytes to bytes by our kernel where that is faster, exact and fast ones alike. Sums of linear layers are our
kernels' where the processor does products of bytes in one step; other sums are oneDNN's where they are proven exact.
"""

import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from labkit.formats.block_int8 import BlockInt8Tensor
from labkit.formats.linear import LinearTensor
from labkit.runtime.integer_ops import Rescale, known, pooled, requantization
from labkit.runtime.kernels import int8_direct_conv, int8_onednn
from labkit.runtime.kernels._bytes import VNNI
from labkit.runtime.kernels.dense_int8_linear import OUTPUTS, DenseInt8Linear
from labkit.runtime.kernels.int8_conv import WindowSums
from labkit.runtime.kernels.int8_direct_conv import Int8DirectConv
from labkit.runtime.kernels.int8_linear import BlockInt8Linear, check_reach
from labkit.runtime.kernels.int8_onednn import Bytes, Geometry, Scales
from labkit.runtime.steps import INF, Affine, Shape, Step

BLOCK_DENSITY = 0.6
"""A linear layer with at most this share of its blocks of four inputs is faster by the kernel for these than by a dense one."""

SMALL_LINEAR = 1 << 15
"""So is one of at most so many weights, whose products take less time than oneDNN takes to be called."""

CHUNK_BYTES = 32 << 20
"""Of sums that are made before they become codes: a large batch must not take all memory."""

Call = Callable[..., Any]


class IntegerLayer:
    """A convolution or linear layer: Σ (q_w - Z_w) · (q_x - Z_x) + q_b, as codes or as floats.

    Weights with zero points get one more output for each group, whose weights are 1: Σ (q_x - Z_x), to be taken Z_w times.

    Args:
        step: the layer.
        shapes: of its input, of what it makes, and where it pools of that.
        read: what its input's codes stand for.
        pool: a max pooling to be done on the sums, since requantization keeps their order.

    Raises:
        ModelError: a sum or a multiplier is out of range.
    """

    def __init__(self, step: Step, shapes: Sequence[Shape], read: Affine, pool: Step | None) -> None:
        self._step, (shape, made) = step, shapes[:2]
        self._pool = None if pool is None else partial(pooled, pool, shapes[-1][1:])
        codes, self._zeros, scales = integer_codes(step)
        self._scales = scales * read.scale
        self._added = np.zeros(len(codes), np.int64) if step.bias is None else step.bias.astype(np.int64)
        check_reach(codes, self._widest(codes))
        self._some = max(1, CHUNK_BYTES // (4 * math.prod(made)))
        self._codes: Call | None = None
        self._rescale: Rescale | None = None
        if step.codes is not None:
            how = requantization(step, [scale / step.codes.scale for scale in self._scales], self._added)
            if step.op == "conv" and self._zeros is None and int8_direct_conv.suits(codes.shape, _geometry(step), shape, how):
                pools = pool is not None and _halves(pool, made, shapes[-1]) and not int8_direct_conv.is_depthwise(codes.shape, step.groups)
                self._codes = Int8DirectConv(codes, read.zero, _geometry(step), shape, how, pools)
                self._pool = None if pools else self._pool
                return
            self._rescale, self._codes = Rescale(how), None if step.codes.exact else self._fast(codes, shapes, read)
        self._sums = _sums(step, codes if self._zeros is None else self._with_ones(codes), read.zero, shapes)

    def __call__(self, x: Bytes) -> Any:
        """Return the codes of a batch, (n, h, w, c) or (n, features), or the floats, (n, c, h, w) or (n, features)."""
        if self._codes is not None:
            codes = self._codes(x)
            return codes if self._pool is None else self._pool(codes)
        parts = [self._exact(x[start : start + self._some]) for start in range(0, len(x), self._some)]
        return parts[0] if len(parts) == 1 else np.concatenate(parts)

    def _exact(self, x: Bytes) -> Any:
        sums = self._sums(np.ascontiguousarray(x))
        if self._zeros is not None:
            sums = self._without_ones(sums)
        if self._rescale is not None:
            return self._rescale(sums if self._pool is None else self._pool(sums))
        exact = sums.astype(np.int64) + self._added
        floats = np.clip(exact * self._scales, self._step.low, self._step.high).astype(np.float32)
        return floats if floats.ndim == 2 else np.ascontiguousarray(floats.transpose(0, 3, 1, 2))

    def _fast(self, codes: NDArray[np.int8], shapes: Sequence[Shape], read: Affine) -> Call | None:
        """Return the call that lets oneDNN write codes; None where it cannot do what the step asks for."""
        step, makes, (shape, made) = self._step, known(self._step.codes), shapes[:2]
        limits = (step.low, step.high) in ((-INF, INF), (0.0, INF)) or (step.low == 0.0 and step.high < INF)
        misread = step.op == "conv" and int8_onednn.is_misread(made)
        if self._zeros is not None or not limits or misread or not int8_onednn.is_exact(codes):
            return None
        weight = (self._scales / read.scale).astype(np.float32)
        bias = (self._added * self._scales).astype(np.float32)
        high = None if step.high == INF else step.high
        scales = Scales(weight, bias, read.scale, makes.scale, makes.zero, step.low == 0.0, high)
        if step.op == "linear":
            return int8_onednn.linear_codes(codes, read.zero, scales)
        return int8_onednn.conv_codes(codes, read.zero, scales, _geometry(step), shape)

    def _widest(self, codes: NDArray[np.int8]) -> NDArray[np.int64]:
        """Return what bias and zero points may add to a sum of each output."""
        points = np.zeros(len(codes), np.int64) if self._zeros is None else np.abs(self._zeros)
        return np.asarray(np.abs(self._added) + 255 * points * math.prod(codes.shape[1:]))

    def _with_ones(self, codes: NDArray[np.int8]) -> NDArray[np.int8]:
        groups = self._step.groups
        by_group = codes.reshape(groups, -1, *codes.shape[1:])
        ones = np.ones((groups, 1, *codes.shape[1:]), np.int8)
        return np.ascontiguousarray(np.concatenate([by_group, ones], axis=1).reshape(-1, *codes.shape[1:]))

    def _without_ones(self, sums: NDArray[Any]) -> NDArray[np.int32]:
        groups = self._step.groups
        by_group = sums.astype(np.int64).reshape(*sums.shape[:-1], groups, -1)
        zeros = np.zeros(0, np.int64) if self._zeros is None else self._zeros.reshape(groups, -1)
        left = by_group[..., :-1] - zeros * by_group[..., -1:]
        return left.reshape(*sums.shape[:-1], -1).astype(np.int32)


def _sums(step: Step, codes: NDArray[np.int8], zero: int, shapes: Sequence[Shape]) -> Call:
    """Return x → Σ q_w · (q_x - zero), (n, …, out) whole numbers, by what is fastest here."""
    if step.op == "linear":
        return linear_sums(codes, zero)
    if int8_onednn.is_exact(codes) and not int8_onednn.is_misread(shapes[1]):
        return int8_onednn.conv_sums(codes, zero, _geometry(step), shapes[0])
    return WindowSums(codes, zero, _geometry(step))


def linear_sums(codes: NDArray[np.int8], zero: int = 0) -> Call:
    """Return x (n, inputs) → Σ codes · (x - zero), exact whole numbers (n, out) in float32 or int32, by what is fastest here."""
    blocks = np.pad(codes, ((0, 0), (0, -codes.shape[1] % 4))).reshape(len(codes), -1, 4).any(axis=2)
    is_dense, added = blocks.mean() > BLOCK_DENSITY, (-zero * codes.astype(np.int64).sum(axis=1)).astype(np.int32)
    if VNNI and is_dense and len(codes) >= OUTPUTS:
        return DenseInt8Linear(codes, added)
    small = VNNI and codes.size <= SMALL_LINEAR
    if not small and is_dense and int8_onednn.is_exact(codes):
        return int8_onednn.linear_sums(codes, zero)
    return BlockInt8Linear(codes, added)


def _halves(pool: Step, image: Shape, made: Shape) -> bool:
    """Tell whether a max pooling takes each square of four pixels, and no part of one."""
    return pool.kernel == pool.stride == (2, 2) and pool.padding == (0, 0) and made[1:] == (image[1] // 2, image[2] // 2)


def _geometry(step: Step) -> Geometry:
    return Geometry(step.stride, step.padding, step.dilation, step.groups)


def integer_codes(step: Step) -> tuple[NDArray[np.int8], NDArray[np.int64] | None, NDArray[np.float64]]:
    """Return a weight's int8 codes, the zero point of each output (None for all 0) and the scale of each output."""
    weight = step.weight
    if not isinstance(weight, LinearTensor | BlockInt8Tensor):
        raise TypeError(f"{step.name} must have integer weights")
    codes, points = weight.codes, weight.zero_points if isinstance(weight, LinearTensor) else None
    out = len(codes)
    zeros = None if points is None else np.broadcast_to(points.astype(np.int64), (out,))
    if codes.dtype == np.uint8:
        codes, zeros = codes.astype(np.int16) - 128, (np.zeros(out, np.int64) if zeros is None else zeros) - 128
    return codes.astype(np.int8), zeros, np.broadcast_to(weight.scales.astype(np.float64), (out,))
