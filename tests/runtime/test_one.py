"""A few images run with their pixels innermost, many with the images innermost, and both give what torch gives."""

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from labkit.formats import smallest
from labkit.runtime import sparse
from labkit.runtime.kernels import csr_conv_one, reference
from labkit.runtime.kernels._simd import LANES
from labkit.runtime.program import Program
from labkit.runtime.steps import Step


def convolution(kernel, stride, padding, channels=(7, 9)):
    rng = np.random.default_rng(kernel)
    weight = rng.standard_normal((channels[1], channels[0], kernel, kernel)).astype(np.float32)
    weight = np.where(rng.random(weight.shape) < 0.2, weight, np.float32(0)).astype(np.float32)
    bias = rng.standard_normal(channels[1]).astype(np.float32)
    pairs = {"kernel": (kernel, kernel), "stride": (stride, stride), "padding": (padding, padding)}
    return Step("conv", "conv", (0,), smallest(weight, ["csr"]), bias, low=0.0, **pairs)


@pytest.mark.parametrize("size", [3, 7, 14, 28, 33])
@pytest.mark.parametrize(("kernel", "padding"), [(1, 0), (1, 1), (3, 0), (3, 1), (3, 2)])
@pytest.mark.parametrize("stride", [1, 2, 3])
def test_one_image_gives_what_torch_gives(size, kernel, padding, stride):
    step = convolution(kernel, stride, padding)
    x = np.random.default_rng(size).standard_normal((1, 7, size, size)).astype(np.float32)
    want = F.conv2d(torch.from_numpy(x), torch.from_numpy(step.weight.unpack()), torch.from_numpy(step.bias), stride, padding).relu()
    np.testing.assert_allclose(Program([step], (7, size, size))(x), want.numpy(), rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(reference.csr_conv_one(x, step), want.numpy(), rtol=1e-5, atol=1e-5)


def test_the_form_is_chosen_by_the_batch(monkeypatch):
    seen = []
    monkeypatch.setattr(sparse.OnePlan, "_compute", lambda plan, spent: seen.append("one"))
    monkeypatch.setattr(sparse.GroupPlan, "_compute", lambda plan, spent: seen.append("group"))
    program = Program([convolution(3, 1, 1)], (7, 5, 5))
    for count in (1, sparse.FEW, sparse.FEW + 1, LANES + 1):
        seen.clear()
        program(np.zeros((count, 7, 5, 5), np.float32))
        assert seen == (["one"] * count if count <= sparse.FEW else ["group"] * -(-count // LANES))


def test_both_forms_have_the_same_rows_in_a_profile():
    pool = Step("max_pool", "pool", (1,), kernel=(2, 2), stride=(2, 2))
    program = Program([convolution(3, 1, 1), pool], (7, 9, 9))
    few, many = (program.profile(np.ones((count, 7, 9, 9), np.float32)) for count in (1, LANES))
    assert [name for name, _ in few] == [name for name, _ in many] == ["conv + pool", "in and out"]
    assert all(milliseconds > 0 for _, milliseconds in few)


@pytest.mark.parametrize("vectors", csr_conv_one.TILES)
def test_every_tile_is_chosen_for_its_own_size(vectors):
    program = Program([convolution(1, 1, 0)], (7, vectors, LANES))
    x = np.random.default_rng(0).standard_normal((1, 7, vectors, LANES)).astype(np.float32)
    np.testing.assert_allclose(program(x), reference.csr_conv_one(x, program.steps[0]), rtol=1e-5, atol=1e-5)
    assert csr_conv_one.TILES[program._stages[0]._one.table[0, 0]] == vectors
