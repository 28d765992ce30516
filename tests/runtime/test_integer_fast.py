"""Fast codes, which the delegate rounds in float, are within one of the exact ones, layer by layer."""

from dataclasses import replace

import numpy as np
import pytest

from labkit.formats.linear import LinearTensor
from labkit.models import zoo
from labkit.runtime import Program, compile  # noqa: A004
from labkit.runtime.affine import value_codes
from labkit.runtime.integer import lower
from labkit.runtime.kernels import int8_direct_conv, int8_onednn
from labkit.runtime.simulation import simulate, simulated_step, simulated_values
from labkit.runtime.steps import Step, value_shapes
from tests.models.networks import lively
from tests.runtime.integers import calibrated
from tests.runtime.test_integer import MODELS, layer_program, pictures, step_of


@pytest.mark.parametrize(("low", "high"), [(-float("inf"), float("inf")), (0.0, float("inf")), (0.0, 0.5), (-0.5, 0.5), (-0.25, 0.0)])
@pytest.mark.parametrize("op", ["conv", "linear"])
def test_fast_codes_keep_every_limit(op, low, high):
    rng, shape = np.random.default_rng(0), (5, 12, 1, 1) if op == "conv" else (5, 12)
    weight, image = LinearTensor.pack(rng.integers(-127, 128, shape), 0.002), (12, 4, 3) if op == "conv" else (12,)
    step = Step(op, op, (0,), weight, rng.integers(-500, 500, 5).astype(np.int32), low=low, high=high)
    exact, x = layer_program(rng, step, image), pictures(20, image)
    fast = [each if each.codes is None else replace(each, codes=replace(each.codes, exact=False)) for each in exact.steps]
    want = simulate(exact.steps, x)
    assert np.ptp(want) > 3 * step_of(exact)
    assert np.abs(Program(fast, image)(x) - want).max() <= 1.01 * step_of(exact)


@pytest.mark.parametrize("name", MODELS)
def test_a_fast_program_is_about_the_exact_one(name):
    model = lively(MODELS[name])
    exact, fast = (compile(model, pictures(1), formats, calibration=pictures(40)) for formats in ("int8", "int8_fast"))
    x = pictures(9, seed=1)
    assert np.abs(fast(x) - exact(x)).max() < 0.1 * np.ptp(exact(x))


@pytest.mark.parametrize("name", zoo.names())
def test_fast_codes_are_within_one_of_the_exact_ones_layer_by_layer(name, monkeypatch):
    exact, test = calibrated(name)
    monkeypatch.setattr(int8_direct_conv, "FASTER", False)
    delegated = []
    for way in ("conv_codes", "linear_codes"):
        make = getattr(int8_onednn, way)
        monkeypatch.setattr(int8_onednn, way, lambda *args, make=make: delegated.append(args) or make(*args))
    check_fast_codes(exact, test[:50].tensor().numpy())
    if int8_onednn.is_there():
        assert len(delegated) == sum(step.weight is not None for step in exact.steps[:-1]), "every layer but the last has a fast way"


def test_fast_codes_are_the_exact_ones_where_our_kernel_is_faster(monkeypatch):
    monkeypatch.setattr(int8_direct_conv, "FASTER", True)
    (exact, test), (fast, _) = (calibrated("mobilenet-small", formats) for formats in ("int8", "int8_fast"))
    x = test[:300].tensor().numpy()
    assert (fast(x) == exact(x)).all()


@pytest.mark.long
@pytest.mark.parametrize("name", zoo.names())
def test_fast_codes_of_all_test_images(name):
    exact, test = calibrated(name)
    for x, _ in test.batches(200):
        check_fast_codes(exact, x.numpy())


def check_fast_codes(exact, x):
    """Each step gets the exact network's codes; what makes codes by a table or keeps them has no other way and is equal."""
    values, codes, shapes = simulated_values(exact.steps, x), value_codes(exact.steps), value_shapes(exact.steps, exact.image)
    for number, step in enumerate(exact.steps[:-1], start=1):
        fast = replace(step, codes=replace(step.codes, exact=False))
        inputs = [values[n] if codes[n] is None else as_stage(values[n]) for n in step.inputs]
        call = lower(fast, [shapes[n] for n in (*step.inputs, number)], [codes[n] for n in step.inputs])
        difference = np.abs(call(*inputs).astype(int) - as_stage(values[number]))
        assert difference.max() <= 1, step.name
        if step.weight is None:
            assert not difference.any(), step.name
        assert (simulated_step(step, [values[n] for n in step.inputs], [codes[n] for n in step.inputs]) == values[number]).all()


def as_stage(codes):
    """Return codes (n, c, h, w) as a stage has them."""
    return np.ascontiguousarray(codes.transpose(0, 2, 3, 1) if codes.ndim == 4 else codes).astype(np.uint8)
