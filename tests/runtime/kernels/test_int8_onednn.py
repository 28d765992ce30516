"""What is delegated to oneDNN is exact where it says so, and within one code where it rounds in float."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from labkit.runtime.kernels import int8_onednn
from labkit.runtime.kernels.int8_onednn import Geometry, Scales, conv_codes, conv_sums, is_exact, linear_codes, linear_sums
from tests.runtime.kernels.integers import conv_int64

pytestmark = pytest.mark.skipif(not int8_onednn.is_there(), reason="this torch has no oneDNN operations on bytes")


@given(
    count=st.sampled_from([1, 2, 17, 64]),
    shape=st.sampled_from([(1, 1), (3, 5), (16, 64), (10, 511)]),
    zero=st.sampled_from([0, 3, 128, 255]),
    extreme=st.booleans(),
    seed=st.integers(0, 99),
)
@settings(max_examples=60, deadline=None)
def test_linear_sums_are_exact(count, shape, zero, extreme, seed):
    rng = np.random.default_rng(seed)
    x = rng.integers(0, 256, (count, shape[1]), np.uint8)
    codes = rng.choice(np.array([-128, 127]), shape).astype(np.int8) if extreme else rng.integers(-128, 128, shape).astype(np.int8)
    assert is_exact(codes)
    assert (linear_sums(codes, zero)(x) == (x.astype(np.int64) - zero) @ codes.astype(np.int64).T).all()


@pytest.mark.parametrize("zero", [0, 128, 255])
def test_sums_next_to_the_bound_are_exact(zero):
    """Weights of both signs, and inputs that meet only one of them: each sum is as far from 0 as the bound allows."""
    codes = np.full((2, 1036), 127, np.int8)
    codes[:, 518:] = -127
    assert is_exact(codes)
    x = np.zeros((32, 1036), np.uint8)
    x[::2, :518] = 255
    x[1::2, 518:] = 255
    x[::4] -= np.random.default_rng(0).integers(0, 2, x[::4].shape, np.uint8) * (x[::4] > 0)
    assert (linear_sums(codes, zero)(x) == (x.astype(np.int64) - zero) @ codes.astype(np.int64).T).all()


GEOMETRIES = [
    (Geometry(), (4, 3, 5, 5), (3, 3)),
    (Geometry((2, 1), (1, 2), (1, 1)), (4, 8, 6, 5), (3, 3)),
    (Geometry((1, 1), (2, 2), (2, 2)), (5, 3, 7, 7), (3, 2)),
    (Geometry((1, 1), (1, 1), (1, 1), 6), (6, 6, 5, 4), (3, 3)),
    (Geometry((2, 2), (1, 1), (1, 1), 2), (4, 6, 5, 4), (3, 3)),
    (Geometry(), (8, 16, 4, 4), (1, 1)),
    (Geometry((1, 3), (0, 1), (1, 1), 5), (10, 5, 1, 1), (1, 1)),  # from here on a window may lie wholly in what is padded
    (Geometry((2, 2), (3, 1), (2, 2), 1), (4, 6, 5, 1), (3, 1)),
    (Geometry((2, 2), (1, 1), (2, 2), 3), (6, 3, 2, 1), (1, 1)),
]


@pytest.mark.parametrize("zero", [0, 7, 255])
@pytest.mark.parametrize(("geometry", "sizes", "window"), GEOMETRIES)
def test_conv_sums_are_exact_and_pad_with_the_zero_point(geometry, sizes, window, zero):
    out, c, h, w = sizes
    rng = np.random.default_rng(len(sizes) + zero)
    x = rng.integers(0, 256, (3, h, w, c), np.uint8)
    codes = rng.integers(-128, 128, (out, c // geometry.groups, *window)).astype(np.int8)
    got = conv_sums(codes, zero, geometry, (c, h, w))(x)
    assert (got == conv_int64(x, codes, zero, geometry)).all()


@pytest.mark.parametrize("zero", [0, 100])
def test_codes_are_within_one_of_the_exact_ones(zero):
    rng = np.random.default_rng(5)
    x, codes = rng.integers(0, 256, (64, 6, 6, 8), np.uint8), rng.integers(-127, 128, (16, 8, 3, 3)).astype(np.int8)
    weight, bias = rng.uniform(0.001, 0.01, 16).astype(np.float32), rng.standard_normal(16).astype(np.float32)
    for relu, high, z in ((False, None, 90), (True, None, 0), (True, 6.0, 0), (True, 6.0, 17)):
        scales = Scales(weight, bias, 0.02, 0.1, z, relu, high)
        real = conv_int64(x, codes, zero, Geometry()) * (weight.astype(np.float64) * 0.02) + bias
        real = np.clip(real, 0.0 if relu else -np.inf, np.inf if high is None else high)
        want = np.clip(np.floor(real / 0.1 + 0.5) + z, 0, 255)
        got = conv_codes(codes, zero, scales, Geometry(), (8, 6, 6))(x)
        assert got.dtype == np.uint8
        assert np.abs(got.astype(int) - want).max() <= 1
        flat = linear_codes(codes.reshape(16, -1), zero, scales)(x.reshape(64, -1)[:, :72])
        real = (x.reshape(64, -1)[:, :72].astype(np.int64) - zero) @ codes.reshape(16, -1).astype(np.int64).T
        real = np.clip(real * (weight.astype(np.float64) * 0.02) + bias, 0.0 if relu else -np.inf, np.inf if high is None else high)
        assert np.abs(flat.astype(int) - np.clip(np.floor(real / 0.1 + 0.5) + z, 0, 255)).max() <= 1


def test_what_may_not_come_back_exact_is_not_claimed(monkeypatch):
    assert is_exact(np.full((1, 518), 127, np.int8))
    assert not is_exact(np.full((1, 519), 127, np.int8)), "255 · 127 · 519 is above 2^24"
    assert not is_exact(np.full((1, 519), -127, np.int8))
    monkeypatch.setattr(int8_onednn, "_keeps_pairs", lambda: False)
    assert is_exact(np.full((1, 100), -64, np.int8))
    assert not is_exact(np.full((1, 100), 65, np.int8)), "two products may not fit 16 bits"


def test_a_torch_without_the_operations_is_noticed(monkeypatch):
    monkeypatch.setattr(int8_onednn, "_OPERATIONS", ("qlinear_prepack", "no_such_operation"))
    assert not int8_onednn.is_there()
    assert not is_exact(np.ones((1, 1), np.int8))
    monkeypatch.undo()
    monkeypatch.setattr(torch.backends.mkldnn, "is_available", lambda: False)
    assert not int8_onednn.is_there()
