"""Random tensors of every coded format, for the tests of formats, files and kernels."""

import numpy as np

from labkit.formats.binary import BinaryTensor
from labkit.formats.block_int8 import BlockInt8Tensor
from labkit.formats.codebook import CodebookTensor
from labkit.formats.csr_codebook import CsrCodebookTensor
from labkit.formats.csr_int8 import CsrInt8Tensor
from labkit.formats.linear import LinearTensor
from labkit.formats.ternary import TernaryTensor


def scales(rng, shape, by_row):
    """One scale, or one a row, in a range that is usual for weights."""
    count = (shape[0] if shape else 1) if by_row else 1
    return rng.uniform(0.01, 0.1, count).astype(np.float32)


def linear(rng, shape, density=1.0, *, bits=8, signed=True, group=0, by_row=True, with_zero=False):
    """Linear codes; with a zero point or without, and the part of zeros that `density` asks for."""
    low, high = (-(1 << (bits - 1)), (1 << (bits - 1)) - 1) if signed else (0, (1 << bits) - 1)
    codes = rng.integers(low, high + 1, shape) * (rng.random(shape) < density)
    rows, width = (shape[0], int(np.prod(shape[1:]))) if shape else (1, 1)
    each = rng.uniform(0.01, 0.1, rows * -(-width // group)).astype(np.float32) if group else scales(rng, shape, by_row)
    points = rng.integers(low, high + 1, each.size) if with_zero else None
    return LinearTensor.pack(codes, each, points, bits=bits, signed=signed, group=group)


def codebook(rng, shape, density=1.0, *, bits=4):
    """Indices into random centroids, one of which is 0."""
    centroids = rng.standard_normal(1 << bits).astype(np.float32)
    centroids[0] = 0
    return CodebookTensor.pack(rng.integers(0, 1 << bits, shape) * (rng.random(shape) < density), centroids, bits)


def binary(rng, shape, density=0.5, *, by_row=True):
    """Random signs, of which the part `density` is positive."""
    return BinaryTensor.pack(rng.random(shape) < density, scales(rng, shape, by_row))


def ternary(rng, shape, density=0.5, *, by_row=True, two_scales=False):
    """Random signs and zeros."""
    signs = rng.choice([-1, 1], shape) * (rng.random(shape) < density)
    return TernaryTensor.pack(signs, scales(rng, shape, by_row), scales(rng, shape, by_row) if two_scales else None)


def block_int8(rng, shape, density=0.3, *, by_row=True):
    """Random bytes with zeros in blocks of four along the last axis but for chance."""
    rows, width = shape[0], int(np.prod(shape[1:]))
    kept = np.repeat(rng.random((rows, -(-width // 4))) < density, 4, axis=1)[:, :width].reshape(shape)
    return BlockInt8Tensor.pack((rng.integers(-127, 128, shape) * kept).astype(np.int8), scales(rng, shape, by_row))


def csr_int8(rng, shape, density=0.3, *, by_row=True):
    """Random bytes with zeros anywhere."""
    codes = (rng.integers(-127, 128, shape) * (rng.random(shape) < density)).astype(np.int8)
    return CsrInt8Tensor.pack(codes, scales(rng, shape, by_row))


def csr_codebook(rng, shape, density=0.3, *, bits=4):
    """Indices into random centroids, with zeros anywhere."""
    centroids = rng.standard_normal(1 << bits).astype(np.float32)
    return CsrCodebookTensor.pack(rng.integers(0, 1 << bits, shape), centroids, rng.random(shape) < density, bits)


MAKERS = {make.__name__: make for make in (linear, codebook, binary, ternary, block_int8, csr_int8, csr_codebook)}
"""By the format's kind."""
