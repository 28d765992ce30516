"""Every format at the edges: one row, one column, empty rows, all zeros, widths beside a multiple of a tile, batches of 1 to 257."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from labkit.formats import formats, smallest
from labkit.runtime.kernels import reference
from labkit.runtime.kernels._simd import LANES
from labkit.runtime.program import Program
from labkit.runtime.steps import Step
from tests.formats import coded

INF = float("inf")
SIZES = sorted({1, 2, 3, 4, 5, 7, 8, 9, 31, 33, 64, 65, LANES - 1, LANES, LANES + 1, 4 * LANES, 4 * LANES + 1})
BATCHES = st.one_of(st.integers(1, 9), st.integers(1, 257), st.sampled_from([LANES - 1, LANES, LANES + 1, 64, 256, 257]))
LIMITS = st.sampled_from([(-INF, INF), (0.0, INF), (0.0, 6.0)])
DENSITIES = st.sampled_from([0.0, 0.05, 0.3, 1.0])


@st.composite
def weights(draw, kind, shape):
    """A weight of a kind, some of its rows empty where the kind knows zeros."""
    rng, density = np.random.default_rng(draw(st.integers(0, 1 << 30))), draw(DENSITIES)
    if kind in coded.MAKERS:
        settings = {"codebook": {"bits": draw(st.integers(1, 8))}, "csr_codebook": {"bits": draw(st.integers(1, 8))}}
        settings["linear"] = {"bits": draw(st.sampled_from([2, 3, 4, 8])), "group": draw(st.sampled_from([0, 0, 3, LANES]))}
        settings["linear"] |= {"signed": draw(st.booleans()), "with_zero": draw(st.booleans()), "by_row": draw(st.booleans())}
        return coded.MAKERS[kind](rng, shape, density, **settings.get(kind, {}))
    weight = rng.standard_normal(shape) * (rng.random(shape) < density)
    weight[rng.random(shape[0]) < draw(st.sampled_from([0.0, 0.5]))] = 0
    return smallest(weight.astype(np.float32) + np.float32(0), [kind])


def check(step, image, batch, seed):
    """A program of one step gives what the reference gives, to 1e-5 of the largest output."""
    x = np.random.default_rng(seed).standard_normal((batch, *image)).astype(np.float32)
    want, got = reference.interpret([step], x), Program([step], image)(x)
    assert got.dtype == np.float32
    np.testing.assert_allclose(got, want, rtol=1e-5, atol=1e-5 * max(1e-3, float(np.abs(want).max(initial=0))))


def check_linear(kind, data):
    shape = data.draw(st.tuples(st.sampled_from(SIZES), st.sampled_from([*SIZES, 257])), label="shape")
    weight, limits, batch = data.draw(weights(kind, shape)), data.draw(LIMITS), data.draw(BATCHES, label="batch")
    bias = np.random.default_rng(1).standard_normal(shape[0]).astype(np.float32) if data.draw(st.booleans()) else None
    check(Step("linear", "l", (0,), weight, bias, low=limits[0], high=limits[1]), (shape[1],), batch, seed=2)


def check_conv(kind, data):
    groups = data.draw(st.sampled_from([1, 1, 2, 3]), label="groups")
    c_in, c_out = (groups * data.draw(st.integers(1, 5)) for _ in range(2))
    kernel, stride, dilation = (data.draw(st.tuples(st.integers(1, n), st.integers(1, n))) for n in (3, 3, 2))
    padding = data.draw(st.tuples(*(st.integers(0, k) for k in kernel)), label="padding")
    height, width = (data.draw(st.integers(max(1, d * (k - 1) + 1 - 2 * p), 17)) for k, d, p in zip(kernel, dilation, padding, strict=True))
    weight, limits = data.draw(weights(kind, (c_out, c_in // groups, *kernel))), data.draw(LIMITS)
    geometry = {"kernel": kernel, "stride": stride, "padding": padding, "dilation": dilation, "groups": groups}
    step = Step("conv", "c", (0,), weight, None, low=limits[0], high=limits[1], **geometry)
    check(step, (c_in, height, width), data.draw(st.one_of(st.integers(1, 20), st.sampled_from([33, 64, 65])), label="batch"), seed=3)


@pytest.mark.parametrize("kind", formats())
@given(data=st.data())
@settings(max_examples=20, deadline=None)
def test_linear_layers(kind, data):
    check_linear(kind, data)


@pytest.mark.parametrize("kind", formats())
@given(data=st.data())
@settings(max_examples=20, deadline=None)
def test_convolutions(kind, data):
    check_conv(kind, data)


@pytest.mark.long
@pytest.mark.parametrize("kind", formats())
@given(data=st.data())
@settings(max_examples=400, deadline=None)
def test_thousands_of_linear_layers(kind, data):
    check_linear(kind, data)


@pytest.mark.long
@pytest.mark.parametrize("kind", formats())
@given(data=st.data())
@settings(max_examples=400, deadline=None)
def test_thousands_of_convolutions(kind, data):
    check_conv(kind, data)
