"""Transposition writes exactly the transpose, and nothing beside it."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from labkit.runtime.kernels.transpose import transpose


@given(rows=st.integers(0, 40), columns=st.integers(0, 40), x_more=st.integers(0, 3), y_more=st.integers(0, 3))
@settings(deadline=None)
def test_transpose(rows, columns, x_more, y_more):
    x = np.arange(rows * (columns + x_more), dtype=np.float32).reshape(rows, columns + x_more)
    y = np.full((columns, rows + y_more), -1, np.float32)
    transpose(x.reshape(-1), y.reshape(-1), rows, columns, columns + x_more, rows + y_more)
    assert (y[:, :rows] == x[:, :columns].T).all()
    assert (y[:, rows:] == -1).all()
