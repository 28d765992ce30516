"""How a network becomes integers: weights, biases, activations, and what cannot be."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from labkit.core.errors import ConfigError, ModelError
from labkit.core.records import Compressed
from labkit.formats.codebook import CodebookTensor
from labkit.formats.linear import LinearTensor
from labkit.runtime import compile  # noqa: A004
from labkit.runtime.simulation import simulate


def linear(weight, bias=None):
    layer = nn.Linear(len(weight[0]), len(weight), bias=bias is not None)
    with torch.no_grad():
        layer.weight.copy_(torch.tensor(weight))
        if bias is not None:
            layer.bias.copy_(torch.tensor(bias))
    return nn.Sequential(layer, nn.ReLU(), nn.Linear(len(weight), 1))


def test_weights_are_symmetric_by_channel_and_biases_whole():
    program = compile(
        linear([[1.27, -0.5], [0.0, 0.0]], [0.3, -0.1]), torch.zeros(1, 2), "int8", calibration=np.array([[0.0, 2.55]], np.float32)
    )
    first = program.steps[1]
    assert first.weight.codes.tolist() == [[127, -50], [0, 0]]
    np.testing.assert_allclose(first.weight.scales, [0.01, 1])
    assert first.bias.tolist() == [round(0.3 / (0.01 * 0.01)), round(-0.1 / 0.01)]
    assert program.steps[0].op == "quantize"
    assert program.steps[-1].codes is None


def test_weights_and_biases_go_to_the_nearest_code():
    model = linear([[1.27, 0.016, -0.016, 0.004]], [0.00016])
    first = compile(model, torch.zeros(1, 4), "int8", calibration=np.array([[0.0, 2.55, 0, 0]], np.float32)).steps[1]
    assert first.weight.codes.tolist() == [[127, 2, -2, 0]]
    assert first.bias.tolist() == [2]


def test_a_channel_of_tiny_weights_without_a_bias_takes_a_scale_that_can_be_requantized():
    model = linear([[1e-14, 1e-14], [1.0, 1.0]])
    x = np.random.default_rng(0).random((64, 2), np.float32)
    program = compile(model, torch.zeros(1, 2), "int8", calibration=x)
    with torch.no_grad():
        np.testing.assert_allclose(program(x), model(torch.from_numpy(x)), atol=0.02)


class Joined(nn.Module):
    """Two ways whose values differ in size by far meet in a concatenation."""

    def __init__(self):
        super().__init__()
        self.small, self.large, self.last = nn.Conv2d(1, 1, 1), nn.Conv2d(1, 1, 1), nn.Conv2d(2, 1, 1)

    def forward(self, x):
        return self.last(torch.cat([self.small(x), self.large(x)], 1))


def test_a_concatenation_has_codes_that_hold_all_its_parts():
    model = Joined()
    with torch.no_grad():
        for layer, factor in ((model.small, 0.1), (model.large, 10.0), (model.last, 1.0)):
            layer.weight.fill_(factor)
            layer.bias.zero_()
    x = np.linspace(-1, 1, 50, dtype=np.float32).reshape(2, 1, 5, 5)
    program = compile(model, torch.zeros(1, 1, 5, 5), "int8", calibration=x)
    with torch.no_grad():
        np.testing.assert_allclose(program(x), model(torch.from_numpy(x)), atol=0.2)


def test_the_fast_formats_codes_say_that_they_are_not_exact():
    x = np.ones((1, 2), np.float32)
    for formats, exact in (("int8", True), ("int8_fast", False)):
        steps = compile(linear([[1.0, 1.0]]), x, formats, calibration=x).steps
        assert {step.codes.exact for step in steps if step.codes is not None} == {exact}


def test_a_channel_of_tiny_weights_takes_a_scale_that_its_bias_fits():
    model = linear([[1e-20, 1e-20], [1.0, 1.0]], [5.0, 0.0])
    x = np.random.default_rng(0).random((64, 2), np.float32)
    program = compile(model, torch.zeros(1, 2), "int8", calibration=x)
    assert np.abs(program.steps[1].bias).max() <= 1.001 * 2**30
    with torch.no_grad():
        np.testing.assert_allclose(program(x), model(torch.from_numpy(x)), atol=0.1)
    assert (program(x) == simulate(program.steps, x)).all()


def test_activations_of_the_network_win_over_calibration():
    model, x = linear([[1.0, 2.0]], [0.0]), np.ones((3, 2), np.float32)
    known = Compressed(model, "net", activations={"input": (0.5, 7)})
    assert (
        compile(known, x, "int8", calibration=x).steps[0].codes.scale,
        compile(known, x, "int8", calibration=x).steps[0].codes.zero,
    ) == (0.5, 7)
    with pytest.raises(ModelError, match="'0' has no scale: hand calibration images"):
        compile(known, x, "int8")
    whole = replace(known, activations={"input": (0.5, 7), "0": (0.25, 0), "2": (0.25, 128)})
    assert compile(whole, x, "int8").steps[1].codes.scale == 0.25


def test_linear_codes_of_the_network_stay():
    model, x = linear([[0.3, -0.2], [0.1, 0.5]]), np.random.default_rng(1).random((9, 2), np.float32)
    value = LinearTensor.pack(np.array([[4, 0], [2, 6]]), 0.1, 1, bits=4, signed=False)
    with torch.no_grad():
        model[0].weight.copy_(torch.from_numpy(value.unpack()))
    program = compile(Compressed(model, "net", values={"0.weight": value}), x, "int8", calibration=x)
    assert program.steps[1].weight is value
    assert (program(x) == simulate(program.steps, x)).all()
    with torch.no_grad():
        np.testing.assert_allclose(program(x), model(torch.from_numpy(x)), atol=0.02)


def test_other_codes_are_refused():
    model, x = linear([[0.5, -0.5]]), np.ones((1, 2), np.float32)
    value = CodebookTensor.pack(np.array([[1, 0]], np.uint8), np.array([-0.5, 0.5], np.float32), 1)
    with pytest.raises(ModelError, match="0 has codebook weights: integer layers take plain ones"):
        compile(Compressed(model, "net", values={"0.weight": value}), x, "int8", calibration=x)


@pytest.mark.parametrize("scale", [1e-9, 1.6e-8, 2.2e-8])
def test_a_bias_that_does_not_fit_is_refused(scale):
    """Among them 3.1e9 and 2.3e9 units, which an unsigned int32 would hold."""
    model, x = linear([[0.1, 0.1]], [5.0]), np.ones((1, 2), np.float32)
    value = LinearTensor.pack(np.array([[1, 1]]), 0.1)
    tiny = Compressed(model, "net", values={"0.weight": value}, activations={"input": (scale, 0)})
    with pytest.raises(ModelError, match="a bias of 0 does not fit 32 bits"):
        compile(tiny, x, "int8", calibration=x)


def test_calibration_is_for_integer_formats():
    with pytest.raises(ConfigError, match="calibration is for the formats int8 and int8_fast, not for 'dense'"):
        compile(linear([[1.0, 1.0]]), np.ones((1, 2)), "dense", calibration=np.ones((1, 2), np.float32))
    with pytest.raises(ConfigError, match="inputs is for formats of floats"):
        compile(linear([[1.0, 1.0]]), np.ones((1, 2)), "int8", "int8", np.ones((1, 2), np.float32))
