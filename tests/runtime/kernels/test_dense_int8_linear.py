"""Dense integer linear layers are exact, to the last output and sample of a tile that overhangs."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from labkit.core.errors import ModelError
from labkit.runtime.kernels import reference_int
from labkit.runtime.kernels.dense_int8_linear import OUTPUTS, ROWS, DenseInt8Linear


@given(
    count=st.sampled_from([0, 1, ROWS - 1, ROWS, ROWS + 1, 2 * ROWS, 64]),
    out=st.sampled_from([OUTPUTS, OUTPUTS + 1, 2 * OUTPUTS - 1, 2 * OUTPUTS]),
    inputs=st.sampled_from([1, 4, 7, 300]),
    extreme=st.booleans(),
    seed=st.integers(0, 99),
)
@settings(max_examples=60, deadline=None)
def test_dense_int8_linear_is_exact(count, out, inputs, extreme, seed):
    rng = np.random.default_rng(seed)
    x = np.full((count, inputs), 255, np.uint8) if extreme else rng.integers(0, 256, (count, inputs), np.uint8)
    codes = np.full((out, inputs), -128, np.int8) if extreme else rng.integers(-128, 128, (out, inputs)).astype(np.int8)
    added = rng.integers(-1000, 1000, out).astype(np.int32)
    got = DenseInt8Linear(codes, added)(x)
    assert got.dtype == np.int32
    assert (got == reference_int.block_int8_linear(x, codes) + added).all()


def test_a_sum_that_may_not_fit_is_refused():
    with pytest.raises(ModelError, match="must stay below 2\\^31"):
        DenseInt8Linear(np.full((OUTPUTS, 66_000), -128, np.int8), np.zeros(OUTPUTS, np.int32))
