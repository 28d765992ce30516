"""Integer linear layers are exact."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from labkit.core.errors import ModelError
from labkit.runtime.kernels import reference_int
from labkit.runtime.kernels.int8_codes import multiplier_of
from labkit.runtime.kernels.int8_linear import QUADS, SAMPLES, BlockInt8Linear


@given(
    count=st.sampled_from([0, 1, 3, SAMPLES // 2, SAMPLES // 2 + 1, SAMPLES - 1, SAMPLES, SAMPLES + 1, 4 * SAMPLES + 1]),
    shape=st.sampled_from([(1, 1), (3, 5), (8, 64), (5, 1027), (2, 4 * QUADS), (2, 4 * QUADS + 1)]),
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


def test_the_cards_integer_layer():
    codes, x = np.array([[3, -1, 2], [-4, 0, 5]], np.int8), np.array([[10, 7, 12]], np.uint8)
    bias, z_x, z_w = np.array([310, -250]), 8, 1
    added = (bias - z_x * codes.sum(1) + 3 * z_w * z_x - z_w * x.sum()).astype(np.int32)
    sums = BlockInt8Linear(codes, added)(x)
    assert sums.tolist() == [[320, -243]]
    factor, shift = (np.full(2, each) for each in multiplier_of(0.02 * 0.05 / 0.1))
    assert reference_int.requantize(sums, factor, shift, -3, (-128, 127)).tolist() == [[0, -5]]
    assert reference_int.requantize(sums, factor, shift, -3, (-3, 127)).tolist() == [[0, -3]]
