"""Products of signs are exact, whatever the number of inputs."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from labkit.formats.binary import BinaryTensor
from labkit.runtime.kernels import reference_int
from labkit.runtime.kernels._simd import LANES
from labkit.runtime.kernels.xnor_linear import XnorLinear


def test_the_cards_example():
    weight = BinaryTensor.pack(np.array([[True, False, True, False]]), 1.0)
    assert XnorLinear(weight).dots(np.array([[1, 1, -1, 1]], np.float32)).tolist() == [[-2]]


@given(
    count=st.sampled_from([1, 2, LANES, LANES + 3]),
    shape=st.sampled_from([(1, 1), (3, 63), (5, 64), (4, 65), (2, 1990), (3, 4500)]),
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
