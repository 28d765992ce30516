"""Groups of images come in from any layout, go out channel by channel, and stay inside for the whole network."""

import numpy as np
import pytest

from labkit.formats import smallest
from labkit.runtime.kernels import reference
from labkit.runtime.kernels._simd import LANES
from labkit.runtime.kernels.csr_conv import BLOCKS
from labkit.runtime.program import Program
from labkit.runtime.steps import Step


def convolution(c_in, c_out, number=0, kernel=3):
    rng = np.random.default_rng(c_in)
    weight = (rng.standard_normal((c_out, c_in, kernel, kernel)) * (rng.random((c_out, c_in, kernel, kernel)) < 0.2)).astype(np.float32)
    return Step("conv", f"conv{number}", (number,), smallest(weight + np.float32(0), ["csr"]), kernel=(kernel, kernel), padding=(1, 1))


@pytest.mark.parametrize("image", [(1, 28, 28), (3, 5, 7), (LANES, 4, 4), (5 * LANES + 3, 3, 3), (300, 2, 1), (2, 40, 41)])
@pytest.mark.parametrize("count", [LANES // 2 + 1, LANES, 2 * LANES + 3])
def test_every_layout_of_the_input_gives_the_same(image, count):
    program = Program([convolution(image[0], 6)], image)
    x = np.random.default_rng(0).standard_normal((count, *image)).astype(np.float32)
    want = reference.interpret(program.steps, x)
    channels_last = np.ascontiguousarray(x.transpose(0, 2, 3, 1)).transpose(0, 3, 1, 2)
    for each in (x, channels_last, np.asfortranarray(x)):
        got = program(each)
        assert got.flags.c_contiguous
        np.testing.assert_allclose(got, want, rtol=1e-5, atol=1e-5)


def test_lanes_without_an_image_are_zero():
    program = Program([convolution(3, 4)], (3, 6, 6))
    program(np.full((LANES, 3, 6, 6), np.nan, np.float32))
    x = np.ones((LANES - 1, 3, 6, 6), np.float32)
    np.testing.assert_allclose(program(x), reference.interpret(program.steps, x), rtol=1e-5, atol=1e-5)
    assert not np.isnan(program._stages[0]._group.arena).any()


@pytest.mark.parametrize("count", [1, LANES // 2, LANES + 1])
@pytest.mark.parametrize("kind", ["dense", "csr"])
@pytest.mark.parametrize("flat", [False, True])
def test_a_linear_layer_behind_images_runs_beside_them(count, kind, flat):
    rng = np.random.default_rng(1)
    middle = [Step("flatten", "flatten", (1,))] if flat else [Step("average_pool", "mean", (1,)), Step("flatten", "flatten", (2,))]
    width = 6 * 30 if flat else 6
    weight = smallest(rng.standard_normal((10, width)).astype(np.float32), [kind])
    bias = rng.standard_normal(10).astype(np.float32)
    first = len(middle) + 1
    last = smallest(rng.standard_normal((4, 10)).astype(np.float32), ["csr"])
    layers = [Step("linear", "fc1", (first,), weight, bias, low=0.0), Step("linear", "fc2", (first + 1,), last)]
    program = Program([convolution(2, 6), *middle, *layers], (2, 5, 6))
    x = rng.standard_normal((count, 2, 5, 6)).astype(np.float32)
    np.testing.assert_allclose(program(x), reference.interpret(program.steps, x), rtol=1e-5, atol=1e-5)
    assert len(program._stages) == 1


@pytest.mark.parametrize(("channels", "density", "blocks"), [(128, 0.2, "many"), (128, 0.02, 1), (64, 0.07, 2), (3, 0.9, 1)])
def test_inputs_are_split_only_where_a_block_has_weights_enough(channels, density, blocks):
    rng = np.random.default_rng(2)
    weight = np.where(rng.random((9, channels, 3, 3)) < density, rng.standard_normal((9, channels, 3, 3)), 0).astype(np.float32)
    step = Step(
        "conv", "conv", (0,), smallest(weight, ["csr"]), rng.standard_normal(9).astype(np.float32), kernel=(3, 3), padding=(1, 1), low=0.0
    )
    program = Program([step], (channels, 14, 14))
    x = rng.standard_normal((LANES, channels, 14, 14)).astype(np.float32)
    np.testing.assert_allclose(program(x), reference.interpret(program.steps, x), rtol=1e-4, atol=1e-4)
    (row,) = program._stages[0]._group.table
    assert row[BLOCKS] > 2 if blocks == "many" else row[BLOCKS] == blocks
    assert np.count_nonzero(weight) / 9 / row[BLOCKS] >= 16 or row[BLOCKS] == 1
