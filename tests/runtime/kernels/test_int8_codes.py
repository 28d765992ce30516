"""What stands between integer layers equals its reference bit for bit, and the card's examples."""

from fractions import Fraction

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from labkit.core.errors import ModelError
from labkit.runtime.kernels import int8_codes, reference_int
from labkit.runtime.kernels._simd import LANES
from labkit.runtime.kernels.int8_codes import multiplier_of


def requantized(sums, factors, shifts, zero, limits, added=0):
    """Run the kernel on (positions, channels)."""
    channels = sums.shape[1]
    repeats = int(np.lcm(channels, LANES)) // channels
    columns = [np.tile(np.broadcast_to(np.asarray(each, np.int32), (channels,)), repeats) for each in (added, factors, shifts)]
    y = np.full(sums.size, 99, np.uint8)
    int8_codes.requantize(np.ascontiguousarray(sums).reshape(-1), *columns, zero, *limits, y)
    return y.reshape(sums.shape)


@pytest.mark.parametrize(
    ("scale", "factor", "shift"),
    [(0.0072474273418460, 1992157647, 38), (0.5, 1 << 30, 31), (1.0, 1 << 30, 30), (1 - 2.0**-40, 1 << 30, 30)],
)
def test_the_cards_multipliers(scale, factor, shift):
    assert multiplier_of(scale)[1] == shift
    assert abs(multiplier_of(scale)[0] - factor) <= 200  # the card's scale is written with eight digits


@pytest.mark.parametrize(
    ("sums", "factor", "shift", "codes"),
    [
        ([1000, -1000, 17456], 1992157647, 38, [7, -7, 127]),
        ([7984], 1583594044, 40, [11]),
        ([1, -1, 3, -3], 1 << 30, 31, [1, 0, 2, -1]),
        ([5, -7], 1 << 30, 30, [5, -7]),
    ],
)
def test_the_cards_examples(sums, factor, shift, codes):
    got = requantized(np.array([sums], np.int32).T, factor, shift, 100, (0, 255))  # the card's codes are signed, ours bytes
    assert (got.ravel().astype(int) - 100).tolist() == codes


@given(
    sums=st.lists(st.integers(-(2**31), 2**31 - 1), min_size=1, max_size=3 * LANES),
    scale=st.floats(2.0**-32, 2.0**28),
    zero=st.integers(0, 255),
    relu=st.booleans(),
)
@settings(deadline=None)  # the first call compiles
def test_requantize_is_the_reference_and_rounds_once(sums, scale, zero, relu):
    limits = (zero if relu else 0, 255)
    factor, shift = multiplier_of(scale)
    assert 1 << 30 <= factor < 1 << 31
    assert abs(Fraction(factor, 1 << shift) - Fraction(scale)) <= Fraction(scale) / 2**31
    got = requantized(np.array([sums], np.int32).T, factor, shift, zero, limits).ravel().tolist()
    assert got == reference_int.requantize(np.array([sums]).T, np.array([factor]), np.array([shift]), zero, limits).ravel().tolist()
    exact = [(Fraction(each * factor, 1 << shift) + Fraction(1, 2)).__floor__() + zero for each in sums]
    assert got == [min(max(each, limits[0]), limits[1]) for each in exact]


@given(
    channels=st.sampled_from([1, 3, 10, LANES, LANES + 1, 40]),
    positions=st.integers(1, 70),
    floats=st.booleans(),
    seed=st.integers(0, 99),
)
@settings(deadline=None)
def test_each_channel_has_its_own_multiplier_and_bias(channels, positions, floats, seed):
    rng = np.random.default_rng(seed)
    sums, added = rng.integers(-(2**22), 2**22, (positions, channels)), rng.integers(-(2**20), 2**20, channels)
    pairs = np.array([multiplier_of(float(each)) for each in rng.uniform(1e-6, 1e-4, channels)])
    want = reference_int.requantize(sums + added, pairs[:, 0], pairs[:, 1], 17, (3, 250))
    got = requantized(sums.astype(np.float32 if floats else np.int32), pairs[:, 0], pairs[:, 1], 17, (3, 250), added)
    assert (got == want).all()


@pytest.mark.parametrize("scale", [0.0, -1.0, 2.0**-33, 2.0**31, float("nan")])
def test_a_scale_out_of_range_is_refused(scale):
    with pytest.raises(ModelError, match="fc1 cannot be requantized by"):
        multiplier_of(scale, "fc1")


def test_floats_become_codes_with_halves_to_even_and_nan_as_0():
    x = np.array([0.5, 1.5, 2.5, -0.5, -3.0, 1e30, -1e30, np.nan, np.inf, -np.inf], np.float32)
    y = np.zeros(x.size, np.uint8)
    int8_codes.quantize(x, y, 1, x.size, np.float32(1), np.float32(3))
    assert y.tolist() == [3, 5, 5, 3, 0, 255, 0, 0, 255, 0]


def test_images_become_pixels_of_channels():
    x = np.arange(2 * 3 * 4, dtype=np.float32).reshape(2, 3, 2, 2)
    y = np.zeros(x.size, np.uint8)
    int8_codes.quantize(x.reshape(-1), y, 3, 4, np.float32(0.5), np.float32(0))
    assert (y.reshape(2, 2, 2, 3) == 2 * x.transpose(0, 2, 3, 1)).all()


@pytest.mark.parametrize("dtype", [np.float32, np.int32, np.uint8])
@pytest.mark.parametrize(("window", "stride", "padding"), [((2, 2), (2, 2), (0, 0)), ((3, 2), (2, 1), (1, 1)), ((1, 1), (1, 1), (0, 0))])
@pytest.mark.parametrize("channels", [1, LANES, LANES + 3])
def test_max_pool_is_torchs(dtype, window, stride, padding, channels):
    rng = np.random.default_rng(channels)
    x = rng.integers(0 if dtype == np.uint8 else -128, 128, (3, 7, 6, channels)).astype(dtype)
    want = torch.nn.functional.max_pool2d(torch.from_numpy(x.astype(np.float32)).permute(0, 3, 1, 2), window, stride, padding)
    y = np.zeros(want.permute(0, 2, 3, 1).shape, dtype)
    int8_codes.max_pool(x, y, window, stride, padding)
    assert (y == want.permute(0, 2, 3, 1).numpy()).all()


@pytest.mark.parametrize("parts", [(1, 1), (2, 3), (7, 6), (3, 4)])
def test_window_sums_divide_the_image_as_torch_does(parts):
    x = np.random.default_rng(1).integers(0, 256, (2, 7, 6, 5), np.uint8)
    y = np.zeros((2, *parts, 5), np.int32)
    int8_codes.window_sums(x, y, 9)
    counts = torch.zeros(1, 1, 7, 6).double()
    for i in range(parts[0]):
        for j in range(parts[1]):
            rows, columns = (slice(n * s // p, -(-(n + 1) * s // p)) for n, s, p in ((i, 7, parts[0]), (j, 6, parts[1])))
            counts[0, 0, rows, columns] += 1
            assert (y[:, i, j] == (x[:, rows, columns].astype(int) - 9).sum(axis=(1, 2))).all()
    means = torch.nn.functional.adaptive_avg_pool2d(torch.from_numpy(x.astype(np.float64)).permute(0, 3, 1, 2), parts)
    size = -(-7 // parts[0]) * -(-6 // parts[1])
    if 7 % parts[0] == 0 and 6 % parts[1] == 0:
        np.testing.assert_allclose(y.transpose(0, 3, 1, 2) / size, means - 9)


@pytest.mark.parametrize("scales", [(0.7, 0.31), (3.99, 0.001), (2.0**20, 4.0), (0.5, 2.0**19)])
@pytest.mark.parametrize(("zeros", "limits"), [((3, 128), (40, 200)), ((0, 255), (0, 255)), ((255, 0), (0, 255))])
@pytest.mark.parametrize("size", [1, LANES, 500])
def test_residual_addition_is_the_cards(size, zeros, limits, scales):
    rng = np.random.default_rng(2)
    a, b = rng.integers(0, 256, (2, size), np.uint8)
    factors = np.array([round(2.0**30 * each) for each in scales])
    y = np.zeros(size, np.uint8)
    int8_codes.add(a, b, y, np.array(zeros), factors, 40, *limits)
    exact = [
        (Fraction(int(p - zeros[0]) * int(factors[0]) + int(q - zeros[1]) * int(factors[1]), 1 << 30) + Fraction(1, 2)).__floor__() + 40
        for p, q in zip(a.astype(int), b.astype(int), strict=True)
    ]
    assert y.tolist() == [min(max(each, limits[0]), limits[1]) for each in exact]
