"""Random small networks as steps: every operation, any geometry, values that are read twice or not at all."""

import numpy as np
from hypothesis import strategies as st

from labkit.runtime.steps import Step, value_shapes
from tests.runtime.test_edges import LIMITS, weights

FREE = (-float("inf"), float("inf"))


@st.composite
def networks(draw, kinds, makers=()):
    """Steps, and the shape of their input.

    Args:
        draw: as hypothesis hands it in.
        kinds: formats that a weight may have.
        makers: of the steps on images; none means all.
    """
    makers = makers or (conv, conv, max_pool, average_pool, clip, hardswish, concat, add)
    image = draw(st.tuples(st.integers(1, 5), st.integers(1, 13), st.integers(1, 13)), label="image")
    steps = []
    for number in range(draw(st.integers(1, 5), label="steps on images")):
        shapes = value_shapes(steps, image)
        source = draw(st.one_of(st.just(number), st.integers(0, number)), label="source")
        steps.append(draw(st.sampled_from(makers))(draw, shapes, source, kinds))
    for number in range(len(steps), len(steps) + draw(st.integers(0, 3), label="steps on vectors")):
        shapes = value_shapes(steps, image)
        make = flatten if len(shapes[-1]) == 3 else draw(st.sampled_from((linear, linear, clip, add)))
        steps.append(make(draw, shapes, number, kinds))
    return [named(step, number) for number, step in enumerate(steps)], image


def named(step, number):
    return Step(**{**vars(step), "name": f"{number} {step.op}"})


def conv(draw, shapes, source, kinds):
    channels, *size = shapes[source]
    groups = draw(st.sampled_from([n for n in (1, 1, 2, 3, channels) if channels % n == 0]))
    dilation = draw(st.tuples(st.integers(1, 2), st.integers(1, 2)))
    padding = draw(st.tuples(st.integers(0, 2), st.integers(0, 2)))
    most = [min(3, (n + 2 * p - 1) // d + 1) for n, p, d in zip(size, padding, dilation, strict=True)]
    kernel, stride = (tuple(draw(st.integers(1, n)) for n in limits) for limits in (most, (3, 3)))
    out = groups * draw(st.integers(1, 5))
    weight = draw(weights(draw(st.sampled_from(kinds)), (out, channels // groups, *kernel)))
    geometry = {"kernel": kernel, "stride": stride, "padding": padding, "dilation": dilation, "groups": groups}
    return Step("conv", "", (source,), weight, bias(draw, out), **geometry, **limits(draw))


def linear(draw, shapes, source, kinds):
    out = draw(st.sampled_from([1, 2, 3, 7, 16, 17, 33]))
    weight = draw(weights(draw(st.sampled_from(kinds)), (out, shapes[source][0])))
    return Step("linear", "", (source,), weight, bias(draw, out), **limits(draw))


def max_pool(draw, shapes, source, kinds):
    size = shapes[source][1:]
    kernel = draw(st.one_of(st.just((2, 2)), st.tuples(st.integers(1, 3), st.integers(1, 3))))
    kernel = tuple(min(each) for each in zip(kernel, size, strict=True))
    stride = draw(st.one_of(st.just(kernel), st.tuples(st.integers(1, 3), st.integers(1, 3))))
    padding = draw(st.one_of(st.just((0, 0)), st.tuples(*(st.integers(0, k // 2) for k in kernel))))
    geometry = {"kernel": kernel, "stride": stride, "padding": padding, "rounds_up": draw(st.booleans())}
    return Step("max_pool", "", (source,), **geometry, **limits(draw))


def average_pool(draw, shapes, source, kinds):
    parts = draw(st.one_of(st.just((1, 1)), st.tuples(*(st.integers(1, n) for n in shapes[source][1:]))))
    return Step("average_pool", "", (source,), kernel=parts, **limits(draw))


def clip(draw, shapes, source, kinds):
    return Step("clip", "", (source,), low=0.0, high=draw(st.sampled_from([1.0, 6.0, float("inf")])))


def hardswish(draw, shapes, source, kinds):
    return Step("hardswish", "", (source,), **limits(draw))


def concat(draw, shapes, source, kinds):
    alike = [n for n, shape in enumerate(shapes) if shape[1:] == shapes[source][1:]]
    others = draw(st.lists(st.sampled_from(alike), min_size=1, max_size=2))
    return Step("concat", "", (source, *others), **limits(draw))


def add(draw, shapes, source, kinds):
    alike = [n for n, shape in enumerate(shapes) if shape == shapes[source]]
    return Step("add", "", (source, draw(st.sampled_from(alike))), **limits(draw))


def flatten(draw, shapes, source, kinds):
    return Step("flatten", "", (source,), **limits(draw))


def bias(draw, out):
    return draw(st.sampled_from([None, np.random.default_rng(out).standard_normal(out).astype(np.float32)]))


def limits(draw):
    low, high = draw(st.one_of(st.just(FREE), LIMITS))
    return {"low": low, "high": high}
