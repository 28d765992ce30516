"""A few images run with their pixels innermost, many with the images innermost, and both give what torch gives."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from labkit.formats import smallest
from labkit.runtime import one, sparse
from labkit.runtime.kernels import csr_conv_one, dense_one, reference
from labkit.runtime.kernels._simd import LANES
from labkit.runtime.kernels.interpret import DENSE_CONV
from labkit.runtime.one import FEW_ALONE, OnePlan
from labkit.runtime.program import Program
from labkit.runtime.steps import Step


def convolution(kernel, stride, padding, channels=(7, 9), kind="csr"):
    rng = np.random.default_rng(kernel)
    weight = rng.standard_normal((channels[1], channels[0], kernel, kernel)).astype(np.float32)
    weight = np.where(rng.random(weight.shape) < 0.2, weight, np.float32(0)).astype(np.float32)
    bias = rng.standard_normal(channels[1]).astype(np.float32)
    pairs = {"kernel": (kernel, kernel), "stride": (stride, stride), "padding": (padding, padding)}
    return Step("conv", "conv", (0,), smallest(weight, [kind]), bias, low=0.0, **pairs)


@pytest.mark.parametrize("size", [3, 7, 14, 28, 33])
@pytest.mark.parametrize(("kernel", "padding"), [(1, 0), (1, 1), (3, 0), (3, 1), (3, 2)])
@pytest.mark.parametrize("stride", [1, 2, 3])
@pytest.mark.parametrize("kind", ["csr", "dense"])
def test_one_image_gives_what_torch_gives(size, kernel, padding, stride, kind):
    step = convolution(kernel, stride, padding, kind=kind)
    x = np.random.default_rng(size).standard_normal((1, 7, size, size)).astype(np.float32)
    want = F.conv2d(torch.from_numpy(x), torch.from_numpy(step.weight.unpack()), torch.from_numpy(step.bias), stride, padding).relu()
    np.testing.assert_allclose(Program([step], (7, size, size))(x), want.numpy(), rtol=1e-5, atol=1e-5)
    for plain in (reference.csr_conv_one, reference.dense_conv_one):
        np.testing.assert_allclose(plain(x, step), want.numpy(), rtol=1e-5, atol=1e-5)


def test_the_form_is_chosen_by_the_batch(monkeypatch):
    seen = []
    monkeypatch.setattr(one, "interpret_one", lambda *rest: seen.append("one"))
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


@pytest.mark.parametrize("vectors", dense_one.TILES)
def test_every_dense_tile_is_chosen_for_its_own_size(vectors):
    program = Program([convolution(1, 1, 0, kind="dense")], (7, vectors, LANES))
    x = np.random.default_rng(0).standard_normal((1, 7, vectors, LANES)).astype(np.float32)
    np.testing.assert_allclose(program(x), reference.dense_conv_one(x, program.steps[0]), rtol=1e-5, atol=1e-5)
    (plan,) = program._stages_for(1)
    assert dense_one.TILES[plan.table[0, 0] - DENSE_CONV] == vectors


@pytest.mark.parametrize("size", [3, 7, 14])
@pytest.mark.parametrize("kind", ["csr", "dense"])
def test_pooling_in_the_store_of_one_image(size, kind):
    pool = Step("max_pool", "pool", (1,), kernel=(2, 2), stride=(2, 2))
    program = Program([convolution(3, 1, 1, kind=kind), pool], (7, size, size))
    x = np.random.default_rng(0).standard_normal((1, 7, size, size)).astype(np.float32)
    np.testing.assert_allclose(program(x), reference.interpret(program.steps, x), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("kind", ["csr", "dense"])
@pytest.mark.parametrize("widths", [(1, 1, 1), (5, 9 * LANES + 3, 2), (784, 300, 100, 10), (3, 8 * LANES, 15 * LANES, LANES + 1)])
def test_linear_layers_of_one_sample(kind, widths):
    rng = np.random.default_rng(len(widths))
    steps = []
    for n, (c_in, c_out) in enumerate(pairwise(widths)):
        kept = rng.random((c_out, c_in)) < (0.1 if kind == "csr" else 1.0)
        weight = smallest((rng.standard_normal((c_out, c_in)) * kept).astype(np.float32) + np.float32(0), [kind])
        steps.append(Step("linear", str(n), (n,), weight, rng.standard_normal(c_out).astype(np.float32), low=0.0))
    program = Program(steps, (widths[0],))
    x = rng.standard_normal((1, widths[0])).astype(np.float32)
    assert len(program._stages_for(1)) == 1
    scale = max(1.0, float(np.abs(reference.interpret(steps, x)).max()))
    np.testing.assert_allclose(program(x), reference.interpret(steps, x), rtol=1e-5, atol=1e-5 * scale)


def test_a_small_program_runs_a_lone_image_in_one_plan_and_a_batch_in_its_stages():
    steps = [convolution(3, 1, 1, kind="dense"), Step("flatten", "flatten", (1,)), linear(9 * 25, 4)]
    program = Program(steps, (7, 5, 5))
    assert isinstance(program._stages_for(1)[0], OnePlan)
    assert program._stages_for(FEW_ALONE + 1) is program._stages
    assert [name for name, _ in program.profile(np.zeros((1, 7, 5, 5), np.float32))] == ["conv", "fc", "in and out"]
    assert [name for name, _ in program.profile(np.zeros((9, 7, 5, 5), np.float32))] == ["conv", "flatten", "fc", "in and out"]


@pytest.mark.parametrize("odd", ["hardswish", "concat", "average_pool", "size"])
def test_what_one_plan_cannot_do_runs_in_stages(odd, monkeypatch):
    steps = [convolution(3, 1, 1, kind="dense")]
    if odd == "size":
        monkeypatch.setattr("labkit.runtime.one.MOST", 100)
    else:
        settings = {"average_pool": {"kernel": (2, 2)}}.get(odd, {})
        steps.append(Step(odd, odd, (1, 1) if odd == "concat" else (1,), **settings))
    program, x = Program(steps, (7, 5, 5)), np.random.default_rng(0).standard_normal((1, 7, 5, 5)).astype(np.float32)
    assert program._stages_for(1) is program._stages
    np.testing.assert_allclose(program(x), reference.interpret(steps, x), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("kind", ["csr", "dense"])
@pytest.mark.parametrize("after", ["add", "clip", "limits"])
@pytest.mark.parametrize("size", [(5, 7), (LANES, LANES)])
def test_a_flattened_image_with_a_border_is_found_by_more_than_linear_layers(kind, after, size):
    """The image has a border, since a convolution reads it as well, and of 256 pixels a gap between its channels."""
    step = convolution(3, 1, 1, (3, 3), kind)
    flat = Step("flatten", "flatten", (1,), low=-1.0 if after == "limits" else -np.inf)
    steps = [step, flat, replace(step, inputs=(1,)), Step("flatten", "other", (3,))]
    tail = {"add": Step("add", "add", (2, 4)), "clip": Step("clip", "clip", (2,), low=0.0), "limits": Step("add", "add", (2, 2))}
    steps.append(tail[after])
    program = Program(steps, (3, *size))
    for count in (1, 3, LANES + 1):
        x = np.random.default_rng(0).standard_normal((count, 3, *size)).astype(np.float32)
        np.testing.assert_allclose(program(x), reference.interpret(steps, x), rtol=1e-5, atol=1e-4)


def linear(c_in, c_out):
    return Step("linear", "fc", (2,), smallest(np.ones((c_out, c_in), np.float32), ["dense"]))
