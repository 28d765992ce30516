"""What is said of a network that is executed: the fewest bytes, the time besides the layers, and the limit of a layer."""

import numpy as np

from labkit.execution import Spent, stored_bytes
from labkit.measure.roof import Roof
from labkit.panels._executed import formats_in_words, times_in_words, what_is_left, why_slow

ROWS = (Spent("conv1", 1.0, 2.0, "csr", 5.0, 20.0), Spent("fc", 0.5, 1.0, "dense", 50.0, 90.0), Spent("the rest", 0.5, 1.0))
ROOF = Roof(100.0, 10.0, 5)


def test_whole_channels_leave_a_smaller_layer_and_single_weights_the_same() -> None:
    keep = np.zeros((4, 3, 2, 2), bool)
    keep[1:3, 0] = True
    assert what_is_left(keep, is_smaller=True).shape == (2, 1, 2, 2)
    assert what_is_left(keep, is_smaller=True).all()
    assert what_is_left(keep, is_smaller=False) is keep


def test_the_fewest_bytes_are_named() -> None:
    keep = np.zeros((8, 64), bool)
    keep[0, 0] = True
    said = formats_in_words("fc", stored_bytes(keep), keep, keep)
    assert "fc, 100% zeros" in said
    assert "Fewest: CSR." in said
    assert "dense 2.0 kB" in said
    assert "What is left" not in said


def test_the_limit_of_the_layer_in_view_is_memory_left_of_the_ridge_and_arithmetic_right_of_it() -> None:
    said = times_in_words(ROWS, ROOF, "conv1", is_current=True)
    assert said.startswith("2 ms a call, dense 4 ms")
    assert "25% goes to what has no weights" in said
    assert "reading memory permits 50." in said
    assert "arithmetic permits 100." in times_in_words(ROWS, ROOF, "fc", is_current=True)
    assert times_in_words(ROWS, ROOF, "fc", is_current=False).startswith("Of the setting before")


def test_before_anything_is_measured_it_says_so() -> None:
    for rows, here in ((ROWS, None), ((Spent("conv1", 0.0, 0.0),), ROOF)):
        assert times_in_words(rows, here, "conv1", is_current=False).startswith("Each layer is timed once")


def test_a_dense_program_is_not_faster_for_another_reason_than_a_sparse_one() -> None:
    assert "multiplies by every zero" in why_slow("dense")
    assert "finding what stays" in why_slow("auto")
