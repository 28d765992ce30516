"""Convolution without oneDNN is exact."""

import numpy as np
import pytest

from labkit.core.errors import ModelError
from labkit.runtime.kernels import int8_conv
from labkit.runtime.kernels.int8_conv import WindowSums
from labkit.runtime.kernels.int8_onednn import Geometry
from tests.runtime.kernels.integers import conv_int64
from tests.runtime.kernels.test_int8_onednn import GEOMETRIES


@pytest.mark.parametrize("some", [1, 1 << 20])
@pytest.mark.parametrize("zero", [0, 7, 255])
@pytest.mark.parametrize(("geometry", "sizes", "window"), GEOMETRIES)
def test_window_sums_are_exact_and_pad_with_the_zero_point(geometry, sizes, window, zero, some, monkeypatch):
    monkeypatch.setattr(int8_conv, "MOST_BYTES", some)
    out, c, h, w = sizes
    rng = np.random.default_rng(len(sizes) + zero)
    x = rng.integers(0, 256, (3, h, w, c), np.uint8)
    codes = rng.integers(-128, 128, (out, c // geometry.groups, *window)).astype(np.int8)
    assert (WindowSums(codes, zero, geometry)(x) == conv_int64(x, codes, zero, geometry)).all()


def test_a_sum_that_may_not_fit_is_refused():
    with pytest.raises(ModelError, match="must stay below 2\\^31"):
        WindowSums(np.full((1, 7400, 3, 3), -128, np.int8), 0, Geometry())
