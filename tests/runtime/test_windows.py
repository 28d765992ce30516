"""Windows hold every weight once, and only what a window of inputs can hold."""

import numpy as np
import pytest

from labkit.formats import smallest
from labkit.runtime.kernels._simd import LANES
from labkit.runtime.windows import windows_of


def unpacked(windows, shape):
    """Add up the steps: the weight again, its outputs padded to whole blocks."""
    weight = np.zeros((len(windows.order), shape[1] + LANES), np.float32)
    places = windows.codes[:, 1:].copy().view(np.uint8).reshape(-1, LANES)
    for block, (first, last) in enumerate(zip(windows.pointers[:-1], windows.pointers[1:], strict=True)):
        outputs = windows.order[block * LANES : (block + 1) * LANES]
        for n in range(first, last):
            np.add.at(weight, (outputs, windows.codes[n, 0] + places[n]), windows.values[n])
    return weight


@pytest.mark.parametrize("shape", [(1, 1), (3, 5), (LANES, LANES), (LANES + 1, 3 * LANES - 1), (40, 300)])
@pytest.mark.parametrize("density", [0.0, 0.05, 0.5, 1.0])
def test_the_steps_add_up_to_the_weight(shape, density):
    rng = np.random.default_rng(shape[0])
    weight = (rng.standard_normal(shape) * (rng.random(shape) < density)).astype(np.float32) + np.float32(0)
    windows = windows_of(smallest(weight, ["csr"]))
    found = unpacked(windows, shape)
    assert np.array_equal(found[: shape[0], : shape[1]], weight)
    assert np.count_nonzero(found) == np.count_nonzero(weight) == np.count_nonzero(windows.values)
    assert sorted(windows.order) == list(range(len(windows.order)))
    places = windows.codes[:, 1:].copy().view(np.uint8)
    assert places.size == windows.values.size
    assert (places < LANES).all()


def test_a_step_begins_at_the_first_input_that_is_due():
    weight = np.zeros((2, 4 * LANES), np.float32)
    weight[0, [1, LANES, 3 * LANES]] = 1, 2, 3
    weight[1, 2] = 4
    windows = windows_of(smallest(weight, ["csr"]))
    assert windows.order[:2].tolist() == [0, 1]
    assert windows.codes[:, 0].tolist() == [1, LANES, 3 * LANES]
    assert windows.values[:, :2].tolist() == [[1, 4], [2, 0], [3, 0]]
