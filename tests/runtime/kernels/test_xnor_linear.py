"""Products of signs are exact, whatever the number of inputs."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from labkit.core.errors import ModelError
from labkit.formats.binary import BinaryTensor
from labkit.runtime.kernels import reference_int
from labkit.runtime.kernels._simd import LANES
from labkit.runtime.kernels.xnor_linear import WIDE, XnorLinear


def test_the_cards_example():
    weight = BinaryTensor.pack(np.array([[True, False, True, False]]), 1.0)
    assert XnorLinear(weight).dots(np.array([[1, 1, -1, 1]], np.float32)).tolist() == [[-2]]


@given(
    count=st.sampled_from([1, 2, LANES + 3, 257]),
    shape=st.sampled_from([(1, 1), (3, 63), (WIDE, 64), (WIDE + 1, 65), (3 * WIDE - 1, 192), (2, 1990), (3, 4500)]),
    seed=st.integers(0, 99),
)
@settings(max_examples=60, deadline=None)
def test_xnor_linear_is_exact(count, shape, seed):
    rng = np.random.default_rng(seed)
    weight = BinaryTensor.pack(rng.random(shape) < rng.choice([0, 0.5, 1]), rng.uniform(0.1, 1, shape[0]))
    x = rng.standard_normal((count, shape[1])).astype(np.float32)
    layer = XnorLinear(weight)
    dots = reference_int.xnor_linear(x, weight.signs)
    assert (layer.dots(x) == dots).all()
    assert (layer(x) == (dots * weight.scales).astype(np.float32)).all()


def test_minus_zero_and_nan_count_as_plus_one():
    weight = BinaryTensor.pack(np.ones((1, 3), bool), 1.0)
    assert XnorLinear(weight).dots(np.array([[-0.0, np.nan, -1e-45]], np.float32)).tolist() == [[1]]


def test_more_inputs_than_float32_can_count_are_refused():
    with pytest.raises(ModelError, match="fewer than 2\\^24 inputs, got 16777216"):
        XnorLinear(BinaryTensor.pack(np.ones((1, 1 << 24), bool), 1.0))
