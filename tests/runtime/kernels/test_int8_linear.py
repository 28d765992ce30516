"""Integer layers are exact, and requantization is the card's, bit for bit."""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from labkit.core.errors import ModelError
from labkit.runtime.kernels import reference_int
from labkit.runtime.kernels.int8_linear import MOST_SAMPLES, SAMPLES, BlockInt8Linear, multiplier_of, requantize, requantized


@given(
    count=st.sampled_from([0, 1, 3, SAMPLES - 1, SAMPLES, SAMPLES + 1, MOST_SAMPLES + 1]),
    shape=st.sampled_from([(1, 1), (3, 5), (8, 64), (5, 1027), (2, 512)]),
    density=st.sampled_from([0.0, 0.2, 1.0]),
    extreme=st.booleans(),
    seed=st.integers(0, 99),
)
@settings(max_examples=80, deadline=None)
def test_block_int8_linear_is_exact(count, shape, density, extreme, seed):
    rng = np.random.default_rng(seed)
    low = -128 if extreme else -5
    x = np.full((count, shape[1]), 255, np.uint8) if extreme else rng.integers(0, 256, (count, shape[1]), np.uint8)
    codes = (np.full(shape, low) if extreme else rng.integers(-128, 128, shape)).astype(np.int8)
    codes *= np.repeat(rng.random((shape[0], -(-shape[1] // 4))) < density, 4, axis=1)[:, : shape[1]].astype(np.int8)
    added = rng.integers(-1000, 1000, shape[0]).astype(np.int32)
    got = BlockInt8Linear(codes, added)(x)
    assert got.dtype == np.int32
    assert (got == reference_int.block_int8_linear(x, codes) + added).all()


def test_calls_of_changing_batches_do_not_disturb_each_other():
    rng = np.random.default_rng(3)
    codes = rng.integers(-128, 128, (6, 30)).astype(np.int8)
    layer = BlockInt8Linear(codes)
    for count in (70, 1, 257, 70):
        x = rng.integers(0, 256, (count, 30), np.uint8)
        assert (layer(x) == reference_int.block_int8_linear(x, codes)).all()


def test_a_sum_that_may_not_fit_is_refused():
    with pytest.raises(ModelError, match="must stay below 2\\^31"):
        BlockInt8Linear(np.full((1, 66_000), -128, np.int8))


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
    y = np.zeros(len(sums), np.int8)
    requantize(np.array(sums, np.int32), y, np.array([factor]), np.array([shift]), 0, -128, 127)
    assert y.tolist() == codes


@given(
    sums=st.lists(st.integers(-(2**31), 2**31 - 1), min_size=1, max_size=9),
    scale=st.floats(2.0**-32, 2.0**28),
    zero=st.integers(-128, 127),
    relu=st.booleans(),
)
def test_requantize_is_the_reference_and_rounds_once(sums, scale, zero, relu):
    limits = (max(-128, zero) if relu else -128, 127)
    factor, shift = multiplier_of(scale)
    assert 1 << 30 <= factor < 1 << 31
    assert abs(Fraction(factor, 1 << shift) - Fraction(scale)) <= Fraction(scale) / 2**31
    array = np.array([sums], np.int32)
    y = np.zeros(array.size, np.int8)
    requantize(array[0], y, np.array([factor]), np.array([shift]), zero, *limits)
    assert (y == reference_int.requantize(array, np.array([factor]), np.array([shift]), zero, limits)[0]).all()
    exact = [(Fraction(each * factor, 1 << shift) + Fraction(1, 2)).__floor__() + zero for each in sums]
    assert y.tolist() == [min(max(each, limits[0]), limits[1]) for each in exact]


@pytest.mark.parametrize("scale", [0.0, -1.0, 2.0**-33, 2.0**31, float("nan")])
def test_a_scale_out_of_range_is_refused(scale):
    with pytest.raises(ModelError, match="fc1 cannot be requantized by"):
        multiplier_of(scale, "fc1")


def test_the_cards_integer_layer():
    codes, x = np.array([[3, -1, 2], [-4, 0, 5]], np.int8), np.array([[10, 7, 12]], np.uint8)
    bias, z_x, z_w = np.array([310, -250]), 8, 1
    added = (bias - z_x * codes.sum(1) + 3 * z_w * z_x - z_w * x.sum()).astype(np.int32)
    sums = BlockInt8Linear(codes, added)(x)
    assert sums.tolist() == [[320, -243]]
    scales = np.full(2, 0.02 * 0.05 / 0.1)
    assert requantized(sums.T, scales, -3, (-128, 127)).ravel().tolist() == [0, -5]
    assert requantized(sums.T, scales, -3, (-3, 127)).ravel().tolist() == [0, -3]
