"""Each kernel computes what its NumPy reference does, over random shapes; the reference does what torch does."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional as F

from labkit.formats import smallest
from labkit.runtime.kernels import csr_conv, reference
from labkit.runtime.kernels._simd import LANES, aligned
from labkit.runtime.program import Program
from labkit.runtime.sparse import SparseStage
from labkit.runtime.steps import Step, value_shapes

INF = float("inf")
COUNTS = st.sampled_from([1, 2, 3, LANES - 1, LANES, LANES + 1, 3 * LANES + 5])
LIMITS = st.sampled_from([(-INF, INF), (0.0, INF), (0.0, 6.0), (-0.5, 0.25)])


def random_weight(rng, shape, density):
    """Random entries, with an empty row where there is more than one."""
    weight = rng.standard_normal(shape).astype(np.float32) * (rng.random(shape) < density)
    weight[rng.integers(shape[0])] *= shape[0] == 1
    return weight + np.float32(0)


@st.composite
def convolutions(draw):
    """A convolution of any geometry with a sparse weight, and an image size that it fits."""
    groups = draw(st.sampled_from([1, 1, 1, 2, 5]))
    c_out, c_in = groups * draw(st.integers(1, 6)), draw(st.sampled_from([1, 2, 7, 40]) if groups == 1 else st.integers(1, 3))
    pairs = {
        name: (draw(st.integers(low, high)), draw(st.integers(low, high))) for name, low, high in (("kernel", 1, 4), ("dilation", 1, 2))
    }
    stride = draw(st.sampled_from([(1, 1), (1, 1), (2, 2), (2, 1), (1, 2), (3, 3)]))
    padding = (draw(st.integers(0, 3)), draw(st.integers(0, 3)))
    least = [max(1, pairs["dilation"][n] * (pairs["kernel"][n] - 1) + 1 - 2 * padding[n]) for n in (0, 1)]
    image = (c_in * groups, least[0] + draw(st.integers(0, 12)), least[1] + draw(st.integers(0, 12)))
    rng = np.random.default_rng(draw(st.integers(0, 10**6)))
    weight = random_weight(rng, (c_out, c_in, *pairs["kernel"]), draw(st.sampled_from([0.0, 0.1, 0.5, 1.0])))
    bias = draw(st.sampled_from([None, rng.standard_normal(c_out).astype(np.float32)]))
    low, high = draw(LIMITS)
    packed = smallest(weight, ["csr"])
    return Step("conv", "conv", (0,), packed, bias, stride=stride, padding=padding, groups=groups, low=low, high=high, **pairs), image


def check(steps, image, count, seed=0):
    """The program of the steps gives what the reference gives, to 1e-5 of the largest sum before any limit."""
    x = np.random.default_rng(seed).standard_normal((count, *image)).astype(np.float32)
    want = reference.interpret(steps, x)
    got = Program(steps, image)(x)
    assert got.shape == want.shape
    free = reference.interpret([replace(step, low=-INF, high=INF) for step in steps], x)
    np.testing.assert_allclose(got, want, rtol=1e-5, atol=1e-5 * max(1.0, float(np.abs(free).max())))


@given(case=convolutions(), count=COUNTS)
@settings(max_examples=150, deadline=None)
def test_csr_conv(case, count):
    step, image = case
    check([step], image, count)


@given(case=convolutions(), count=COUNTS, after=LIMITS)
@settings(max_examples=100, deadline=None)
def test_csr_conv_with_pooling(case, count, after):
    step, image = case
    shape = value_shapes([step], image)[1]
    if min(shape[1:]) >= 2:
        pool = Step("max_pool", "pool", (1,), kernel=(2, 2), stride=(2, 2), low=after[0], high=after[1])
        check([step, pool], image, count)


@pytest.mark.parametrize("tile", range(len(csr_conv.TILES)))
def test_every_tile_is_chosen_for_its_own_size(tile):
    rows, pixels, step = csr_conv.TILES[tile]
    weight = random_weight(np.random.default_rng(tile), (5, 20, 3, 3), 0.3)
    h, w = ((size - 1) * step + 1 for size in (max(rows, 2 if pixels == 1 else 0), pixels))  # one pixel alone is a linear layer
    conv = Step("conv", "conv", (0,), smallest(weight, ["csr"]), kernel=(3, 3), stride=(step, step), padding=(1, 1))
    stage = SparseStage([(1, conv)], value_shapes([conv], (20, h, w)), {1})
    assert csr_conv.TILES[stage._group.table[0, 0]][:2] == (rows, pixels)
    check([conv], (20, h, w), LANES + 1)


@given(count=COUNTS, widths=st.lists(st.sampled_from([1, 3, 10, 300, 700]), min_size=2, max_size=4), seed=st.integers(0, 99), limits=LIMITS)
@settings(max_examples=60, deadline=None)
def test_linear_layers(count, widths, seed, limits):
    rng = np.random.default_rng(seed)
    steps = []
    for n, (c_in, c_out) in enumerate(pairwise(widths)):
        weight = smallest(random_weight(rng, (c_out, c_in), 0.2), ["csr"])
        steps.append(Step("linear", str(n), (n,), weight, rng.standard_normal(c_out).astype(np.float32), low=limits[0], high=limits[1]))
    check(steps, (widths[0],), count)


def after_identity(steps, channels):
    """Put a sparse 1×1 convolution that changes nothing before steps, so that they run in its layout."""
    weight = smallest(np.eye(channels, dtype=np.float32)[:, :, None, None], ["csr"])
    return [Step("conv", "identity", (0,), weight), *steps]


@given(
    count=COUNTS,
    image=st.tuples(st.integers(1, 5), st.integers(1, 11), st.integers(1, 11)),
    window=st.tuples(st.integers(1, 4), st.integers(1, 4)),
    stride=st.tuples(st.integers(1, 3), st.integers(1, 3)),
    data=st.data(),
    limits=LIMITS,
)
@settings(max_examples=60, deadline=None)
def test_max_pool(count, image, window, stride, data, limits):
    padding = tuple(data.draw(st.integers(0, k // 2)) for k in window)
    if all(size + 2 * p >= k for size, p, k in zip(image[1:], padding, window, strict=True)):
        pool = Step("max_pool", "pool", (1,), kernel=window, stride=stride, padding=padding, low=limits[0], high=limits[1])
        check(after_identity([pool], image[0]), image, count)


@given(count=COUNTS, image=st.tuples(st.integers(1, 9), st.integers(1, 9), st.integers(1, 9)), limits=LIMITS)
@settings(max_examples=40, deadline=None)
def test_add_average_pool_clip_values_and_flatten(count, image, limits):
    bounds = dict(zip(("low", "high"), limits, strict=True))
    check(after_identity([Step("add", "add", (1, 0), **bounds)], image[0]), image, count)
    check(after_identity([Step("average_pool", "mean", (1,), **bounds)], image[0]), image, count)
    check(after_identity([Step("clip", "clip", (1,), **bounds), Step("flatten", "flatten", (2,))], image[0]), image, count)


def test_nan_stays_nan():
    x = np.full((1, 1, 2, 2), np.nan, np.float32)
    for limits in ((-INF, INF), (0.0, INF), (0.0, 6.0)):
        bounds = dict(zip(("low", "high"), limits, strict=True))
        assert np.isnan(Program(after_identity([Step("clip", "clip", (1,), **bounds)], 1), (1, 2, 2))(x)).all()


@given(case=convolutions())
@settings(max_examples=40, deadline=None)
def test_the_reference_does_what_torch_does(case):
    step, image = case
    x = np.random.default_rng(0).standard_normal((2, *image)).astype(np.float32)
    bias = None if step.bias is None else torch.from_numpy(step.bias)
    want = F.conv2d(
        torch.from_numpy(x), torch.from_numpy(step.weight.unpack()), bias, step.stride, step.padding, step.dilation, step.groups
    )
    np.testing.assert_allclose(reference.csr_conv(x, step), want.clamp(step.low, step.high).numpy(), rtol=1e-4, atol=1e-4)


def test_the_references_pools_do_what_torch_does():
    x = np.random.default_rng(0).standard_normal((2, 3, 9, 8)).astype(np.float32)
    pool = Step("max_pool", "", (0,), kernel=(3, 2), stride=(2, 3), padding=(1, 1))
    want = F.max_pool2d(torch.from_numpy(x), (3, 2), (2, 3), (1, 1)).numpy()
    np.testing.assert_array_equal(reference.max_pool(x, pool), want)
    for size in ((1, 1), (4, 5), (9, 8)):
        mean = reference.average_pool(x, Step("average_pool", "", (0,), kernel=size))
        np.testing.assert_allclose(mean, F.adaptive_avg_pool2d(torch.from_numpy(x), size).numpy(), rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("count", [1, 15, 16, 1000, 100_001])
def test_aligned_arrays_are_aligned(count):
    array = aligned(count)
    assert (array.size, array.dtype, array.ctypes.data % 64) == (count, np.float32, 0)
    assert not array.any()
