"""Which convolutions run by Winograd's algorithm, what their weights become, and that a program says and keeps it."""

from dataclasses import replace

import numpy as np
import pytest

from labkit.formats import smallest
from labkit.formats.dense import DenseTensor
from labkit.runtime.kernels import reference
from labkit.runtime.kernels._simd import LANES
from labkit.runtime.program import Program
from labkit.runtime.steps import Step
from labkit.runtime.winograd import fits, pays, transformed


def convolution(c_in, c_out, share=1.0, kind="dense"):
    rng = np.random.default_rng(0)
    weight = (rng.standard_normal((c_out, c_in, 3, 3)) * (rng.random((c_out, c_in, 3, 3)) < share)).astype(np.float32) + np.float32(0)
    return Step("conv", "conv", (0,), smallest(weight, [kind]), rng.standard_normal(c_out).astype(np.float32), (3, 3), padding=(1, 1))


@pytest.mark.parametrize(
    ("change", "size", "want"),
    [
        ({}, (7, 7), True),
        ({}, (2, 2), True),
        ({}, (1, 7), False),
        ({"padding": (0, 2)}, (7, 7), True),
        ({"stride": (1, 2)}, (7, 7), False),
        ({"dilation": (2, 1)}, (7, 7), False),
        ({"groups": 2}, (7, 7), False),
        ({"kernel": (3, 1)}, (7, 7), False),
        ({"op": "max_pool"}, (7, 7), False),
    ],
)
def test_it_fits_whole_convolutions_of_3_by_3(change, size, want):
    assert fits(replace(convolution(16, 16), **change), size) == want


def test_it_pays_from_the_measured_share_of_weights_on():
    found = {(c, share): pays(convolution(c, 2 * c, share, "csr"), (14, 14)) for c in (1, 4, 16, 64) for share in (0.2, 0.4, 0.6, 1.0)}
    least = {c: min((share for (each, share), yes in found.items() if each == c and yes), default=None) for c in (1, 4, 16, 64)}
    assert least == {1: None, 4: 1.0, 16: 0.6, 64: 0.4}
    assert not pays(convolution(64, 64), (1, 14))


def test_filters_are_transformed_and_filled_up():
    weight = np.zeros((3, 2, 3, 3), np.float32)
    weight[2, 1, 0, 1] = 8  # above the middle: G g Gᵀ is 8 times the outer product of G's first and second column
    places = transformed(DenseTensor.pack(weight), 2)
    assert places.shape == (16, 2, 2, 2)
    np.testing.assert_array_equal(places[:, 1, 1, 0].reshape(4, 4), np.outer([8, 4, 4, 0], [0, 0.5, -0.5, 0]))
    places[:, 1, 1, 0] = 0
    assert not places.any()


@pytest.mark.parametrize(
    ("share", "kind", "want"), [(1.0, "csr", "winograd"), (0.6, "csr", "winograd"), (0.1, "csr", "direct"), (1.0, "dense", "")]
)
def test_a_program_says_by_which_algorithm_a_convolution_runs(share, kind, want):
    step = convolution(32, 32, share, kind)
    assert [layer.algorithm for layer in Program([step], (32, 8, 8)).layers] == [want]


@pytest.mark.parametrize("count", [1, LANES // 2, LANES // 2 + 1, LANES + 1])
def test_a_dense_convolution_asks_for_groups_of_images_and_its_file_keeps_plain_weights(count):
    plain, pool = convolution(16, 12), Step("max_pool", "pool", (1,), kernel=(2, 2), stride=(2, 2))
    program = Program([replace(plain, images_innermost=True), pool], (16, 7, 9))
    assert len(program._stages) == 1
    assert program.layers[0].algorithm == "winograd"
    x = np.random.default_rng(1).standard_normal((count, 16, 7, 9)).astype(np.float32)
    want = reference.interpret(program.steps, x)
    np.testing.assert_allclose(program(x), want, rtol=0, atol=1e-5 * float(np.abs(want).max()))
    assert program.layers[0].packed_bytes == Program([plain, pool], (16, 7, 9)).layers[0].packed_bytes == 4 * (16 * 12 * 9 + 12)
    again = Program.from_bytes(program._file)
    assert again.layers == program.layers
    assert np.array_equal(again(x), program(x))
    assert [name for name, _ in program.profile(x)] == ["conv + pool", "in and out"]
