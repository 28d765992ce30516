"""Weights as bytes: 0 is pruned and nothing else is; sign and size survive."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from labkit.panels._raster import Raster, encode


def test_by_hand():
    weight = np.array([[0.5, -1.0], [0.0, 1.0]], np.float32)
    keep = np.array([[True, True], [True, False]])
    assert encode(weight, keep, 1.0).tolist() == [[192, 1], [128, 0]]


@given(arrays.arrays(np.float32, (3, 2, 2, 2), elements=st.floats(-2, 2, width=32)), arrays.arrays(bool, (3, 2, 2, 2)))
def test_zero_means_pruned_and_only_that(weight, keep):
    cells = encode(weight, keep, float(np.abs(weight).max()))
    assert cells.shape == (3, 8)
    assert cells.dtype == np.uint8
    assert ((cells == 0) == ~keep.reshape(3, 8)).all()


def test_an_all_zero_layer_is_in_the_middle():
    assert (encode(np.zeros((2, 2), np.float32), None, 0.0) == 128).all()


def test_show_sends_matrix_size_and_words_together():
    raster = Raster()
    raster.show(np.zeros((2, 3), np.uint8), "two by three")
    assert (raster.rows, raster.columns, len(raster.cells), raster.label, raster.version) == (2, 3, 6, "two by three", 1)
