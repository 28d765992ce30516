"""Winograd's algorithm computes what its NumPy reference does, over random shapes; the reference does what torch does."""

from dataclasses import replace
from unittest.mock import patch

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional as F

from labkit.formats.dense import DenseTensor
from labkit.runtime import group, winograd
from labkit.runtime.kernels import reference, winograd_conv
from labkit.runtime.kernels._simd import LANES
from labkit.runtime.kernels.interpret import WINOGRAD
from labkit.runtime.sparse import SparseStage
from labkit.runtime.steps import Step, value_shapes
from tests.runtime.kernels.test_kernels import INF, LIMITS

POOL = Step("max_pool", "pool", (1,), kernel=(2, 2), stride=(2, 2))


def convolution(c_in, c_out, padding=(1, 1), limits=(-INF, INF), seed=0):
    rng = np.random.default_rng(seed)
    weight = DenseTensor.pack(rng.standard_normal((c_out, c_in, 3, 3)).astype(np.float32))
    bias = rng.standard_normal(c_out).astype(np.float32)
    return Step("conv", "conv", (0,), weight, bias, (3, 3), padding=padding, low=limits[0], high=limits[1], images_innermost=True)


def planned(steps, image):
    """The plan of the steps for groups of images, in which every convolution that fits runs by Winograd's algorithm."""
    with patch.object(group, "pays", winograd.fits):
        plan = SparseStage(list(enumerate(steps, 1)), value_shapes(steps, image), {len(steps)})._group
    assert WINOGRAD <= plan.table[0, 0] < WINOGRAD + len(winograd_conv.TILES)
    return plan


def check(steps, image, count):
    """The plan gives what the reference gives, to 1e-5 of the largest sum before any limit."""
    x = np.random.default_rng(count).standard_normal((count, *image)).astype(np.float32)
    free = reference.winograd_conv(x, replace(steps[0], low=-INF, high=INF))
    want = np.clip(free, steps[0].low, steps[0].high)
    for step in steps[1:]:
        want = reference.max_pool(want, step)
    values = {0: x}
    planned(steps, image).run(values)
    np.testing.assert_allclose(values[len(steps)], want, rtol=0, atol=1e-5 * float(np.abs(free).max()))


@given(
    channels=st.tuples(st.sampled_from([1, 2, 3, 7, 16, 40]), st.sampled_from([1, 3, 6, 8, 9, 17])),
    size=st.tuples(st.integers(1, 13), st.integers(1, 13)),
    padding=st.tuples(st.integers(0, 2), st.integers(0, 2)),
    count=st.sampled_from([1, LANES - 1, LANES, 2 * LANES + 3, 257]),
    limits=LIMITS,
    pooled=st.booleans(),
)
@settings(max_examples=80, deadline=None)
def test_winograd_conv(channels, size, padding, count, limits, pooled):
    sizes = [n + 2 * p - 2 for n, p in zip(size, padding, strict=True)]
    if min(sizes) >= 2:
        step = convolution(*channels, padding, limits)
        check([step, POOL] if pooled else [step], (channels[0], *size), count)


@pytest.mark.parametrize("tile", range(len(winograd_conv.TILES)))
@pytest.mark.parametrize("pooled", [False, True])
def test_every_block_is_chosen_for_its_own_size(tile, pooled):
    outputs, vectors = winograd_conv.TILES[tile]
    steps, image = [convolution(5, 2 * outputs), *([POOL] if pooled else [])], (5, 2, 2 * vectors)
    assert planned(steps, image).table[0, 0] == WINOGRAD + tile
    check(steps, image, LANES + 1)


def test_layers_that_follow_each_other_share_their_scratch_as_far_as_it_is_large_enough():
    steps = [convolution(4, 20), replace(convolution(20, 20), inputs=(1,)), replace(convolution(20, 4), inputs=(2,))]
    plan, x = planned(steps, (4, 6, 6)), np.random.default_rng(0).standard_normal((LANES, 4, 6, 6)).astype(np.float32)
    first, second, third = plan.table[:, winograd_conv.INPUTS]
    assert first < second == third
    values, want = {0: x}, x
    plan.run(values)
    for step in steps:
        want = reference.winograd_conv(want, step)
    np.testing.assert_allclose(values[3], want, rtol=0, atol=1e-5 * float(np.abs(want).max()))


@given(
    channels=st.tuples(st.integers(1, 5), st.integers(1, 5)),
    size=st.tuples(st.integers(2, 9), st.integers(2, 9)),
    padding=st.tuples(st.integers(1, 2), st.integers(1, 2)),
    limits=LIMITS,
)
@settings(max_examples=40, deadline=None)
def test_the_reference_does_what_torch_does(channels, size, padding, limits):
    step = convolution(*channels, padding, limits)
    x = np.random.default_rng(0).standard_normal((2, channels[0], *size)).astype(np.float32)
    x64, weight, bias = (torch.from_numpy(each).double() for each in (x, step.weight.unpack(), step.bias))
    want = F.conv2d(x64, weight, bias, padding=padding).clamp(*limits).float().numpy()
    np.testing.assert_allclose(reference.winograd_conv(x, step), want, rtol=1e-6, atol=1e-6)
