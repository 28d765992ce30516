"""Dense integer layers, delegated to the oneDNN operations of torch that take plain uint8 and int8 tensors.

Asked for float32 with unit scales they give the sums themselves, exact as long as none can reach 2^24: see `is_exact`.
Asked for codes they scale, limit and round in float, which comes within one code of the exact path.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from labkit.runtime.kernels.dense import excess

Bytes = NDArray[np.uint8]
Pair = tuple[int, int]

_OPERATIONS = ("qlinear_prepack", "qlinear_pointwise", "qconv_prepack", "qconv2d_pointwise")
_EXACT_BELOW = 1 << 24  # the whole numbers that float32 holds
_PAIR_SAFE = 64  # two products of a byte and a weight up to this fit 16 bits


@dataclass(frozen=True)
class Geometry:
    """How a convolution's window moves; see `Step`."""

    stride: Pair = (1, 1)
    padding: Pair = (0, 0)
    dilation: Pair = (1, 1)
    groups: int = 1

    def as_lists(self) -> list[Any]:
        return [list(self.stride), list(self.padding), list(self.dilation), self.groups]


@dataclass(frozen=True)
class Scales:
    """What turns sums into codes.

    Attributes:
        weight: float32 (out,).
        bias: float32 (out,), in real units.
        x, y: scales of input and output.
        zero: zero point of the output.
        high: real limit above, None for none.
        relu: whether what is below 0 becomes 0.
    """

    weight: NDArray[np.float32]
    bias: NDArray[np.float32]
    x: float
    y: float
    zero: int
    relu: bool = False
    high: float | None = None

    def last(self) -> tuple[float, int, torch.dtype, str, list[float], str]:
        """Return what oneDNN is told of the output."""
        post: tuple[str, list[float]] = ("relu", []) if self.relu else ("none", [])
        if self.relu and self.high is not None:
            post = "hardtanh", [0.0, self.high]
        return self.y, self.zero, torch.uint8, *post, ""


def is_there() -> bool:
    """Tell whether this torch has the operations."""
    return torch.backends.mkldnn.is_available() and all(hasattr(torch.ops.onednn, name) for name in _OPERATIONS)


def is_exact(codes: NDArray[np.int8]) -> bool:
    """Tell whether sums with these weights (out, …) come back exact: there, below 2^24, and not saturated on the way.

    Inputs are never negative, so that neither Σ q_w · q_x, nor Z · Σ q_w, nor their difference is larger than 255 times the
    sum of the positive or of the negative weights, whichever is more.
    """
    rows = codes.reshape(len(codes), -1).astype(np.int64)
    reach = 255 * np.maximum(rows.clip(min=0).sum(axis=1), -rows.clip(max=0).sum(axis=1))
    if not is_there() or int(reach.max(initial=0)) >= _EXACT_BELOW:
        return False
    return int(np.abs(codes.astype(np.int16)).max(initial=0)) <= _PAIR_SAFE or _keeps_pairs()


def is_misread(made: Sequence[int]) -> bool:
    """Tell whether a convolution that makes an image (out, h, w) may not be trusted: it has a single row or column.

    Some sums are then of anything, mostly with strides above 1 (torch 2.14, one in two hundred random geometries).
    """
    return 1 in made[1:]


@cache
def _keeps_pairs() -> bool:
    """Tell whether this processor sums products of bytes without saturating at 16 bits, by trying the largest."""
    codes = np.repeat(np.array([[127], [-128]], np.int8), 64, axis=1)
    x = np.full((16, 64), 255, np.uint8)
    want = x.astype(np.int64) @ codes.astype(np.int64).T
    images = x.reshape(16, 1, 1, 64)
    conv = conv_sums(codes.reshape(2, 64, 1, 1), 0, Geometry(), (64, 1, 1))(images)
    return bool((linear_sums(codes, 0)(x) == want).all() and (conv.reshape(16, 2) == want).all())


def linear_sums(codes: NDArray[np.int8], zero: int) -> Callable[[Bytes], NDArray[np.float32]]:
    """Return x (n, inputs) → Σ codes · (x - zero), float32 (n, out)."""
    packed = torch.ops.onednn.qlinear_prepack(torch.from_numpy(codes), [64, codes.shape[1]])
    ones, zeros = _ones_zeros(len(codes))

    def call(x: Bytes) -> NDArray[np.float32]:
        y = torch.ops.onednn.qlinear_pointwise(torch.from_numpy(x), 1.0, zero, packed, ones, zeros, None, *_SUMS)
        sums: NDArray[np.float32] = y.numpy()
        return sums

    return call


def linear_codes(codes: NDArray[np.int8], zero: int, scales: Scales) -> Callable[[Bytes], Bytes]:
    """Return x (n, inputs) → codes of the next layer, uint8 (n, out), rounded in float."""
    packed = torch.ops.onednn.qlinear_prepack(torch.from_numpy(codes), [64, codes.shape[1]])
    weight, zeros, bias = torch.from_numpy(scales.weight), _ones_zeros(len(codes))[1], torch.from_numpy(scales.bias)

    def call(x: Bytes) -> Bytes:
        y = torch.ops.onednn.qlinear_pointwise(torch.from_numpy(x), scales.x, zero, packed, weight, zeros, bias, *scales.last())
        out: Bytes = y.numpy()
        return out

    return call


def conv_sums(codes: NDArray[np.int8], zero: int, geometry: Geometry, image: Sequence[int]) -> Callable[[Bytes], NDArray[np.float32]]:
    """Return x (n, h, w, c) → Σ codes · (x - zero), float32 (n, h', w', out); what is padded counts as `zero`.

    Args:
        codes: (out, c / groups, k_h, k_w).
        zero: zero point of x.
        geometry: of the window.
        image: (c, h, w).
    """
    (ones, zeros), (border, geometry) = _ones_zeros(len(codes)), _split(geometry, codes)
    lists = geometry.as_lists()
    packed = torch.ops.onednn.qconv_prepack(torch.from_numpy(codes), ones, 1.0, zero, *lists, [64, *_size(image, border)])

    def call(x: Bytes) -> NDArray[np.float32]:
        y = torch.ops.onednn.qconv2d_pointwise(_images(x, border, zero), 1.0, zero, packed, ones, zeros, None, *lists, *_SUMS)
        sums: NDArray[np.float32] = y.permute(0, 2, 3, 1).contiguous().numpy()
        return sums

    return call


def conv_codes(codes: NDArray[np.int8], zero: int, scales: Scales, geometry: Geometry, image: Sequence[int]) -> Callable[[Bytes], Bytes]:
    """Return x (n, h, w, c) → codes of the next layer, uint8 (n, h', w', out), rounded in float; see `conv_sums`."""
    zeros, (border, geometry) = _ones_zeros(len(codes))[1], _split(geometry, codes)
    weight, bias, lists = torch.from_numpy(scales.weight), torch.from_numpy(scales.bias), geometry.as_lists()
    packed = torch.ops.onednn.qconv_prepack(torch.from_numpy(codes), weight, scales.x, zero, *lists, [64, *_size(image, border)])

    def call(x: Bytes) -> Bytes:
        y = torch.ops.onednn.qconv2d_pointwise(
            _images(x, border, zero), scales.x, zero, packed, weight, zeros, bias, *lists, *scales.last()
        )
        out: Bytes = y.permute(0, 2, 3, 1).contiguous().numpy()
        return out

    return call


_SUMS: tuple[Any, ...] = (1.0, 0, torch.float32, "none", [], "")


def _ones_zeros(out: int) -> tuple[torch.Tensor, torch.Tensor]:
    return torch.ones(out), torch.zeros(out, dtype=torch.int64)


def _split(geometry: Geometry, codes: NDArray[np.int8]) -> tuple[Pair, Geometry]:
    """Return the excess of padding, which is to be written out, and the geometry without it; see `dense.excess`."""
    border = excess((codes.shape[2], codes.shape[3]), geometry.padding, geometry.dilation)
    return border, replace(geometry, padding=(geometry.padding[0] - border[0], geometry.padding[1] - border[1]))


def _size(image: Sequence[int], border: Pair) -> list[int]:
    """Return the size (c, h, w) of images with a border."""
    return [image[0], image[1] + 2 * border[0], image[2] + 2 * border[1]]


def _images(x: Bytes, border: Pair, zero: int) -> torch.Tensor:
    """Return (n, h, w, c) as torch's (n, c, h, w) in channels_last, without a copy where there is no border to be filled with `zero`."""
    if any(border):
        x = np.pad(x, ((0, 0), *((each, each) for each in border), (0, 0)), constant_values=zero)
    return torch.from_numpy(x).permute(0, 3, 1, 2).contiguous(memory_format=torch.channels_last)
