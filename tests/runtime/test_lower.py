"""What the compiler understands, and that it names what it does not."""

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from labkit.core.errors import ConfigError, ModelError
from labkit.core.records import Compressed
from labkit.runtime import Program, compile  # noqa: A004
from labkit.runtime.kernels import reference
from tests.formats import coded
from tests.formats.test_n_m import n_m_weight
from tests.models.networks import lively


class Functional(nn.Module):
    """Everything as functions and methods, with a batch norm that cannot be folded."""

    def __init__(self):
        super().__init__()
        self.norm, self.conv, self.head = nn.BatchNorm2d(3), nn.Conv2d(3, 4, 3, padding="same"), nn.Linear(4, 2)

    def forward(self, x):
        y = self.conv(F.relu(self.norm(x)))
        y = torch.add(F.relu6(y), y.relu())
        y += y
        y = F.dropout(y, 0.5, self.training)
        y = F.adaptive_avg_pool2d(y, (1, 1)) + y.mean([2, 3], keepdim=True)
        return self.head(torch.flatten(y, 1))


class Branches(nn.Module):
    """Two ways that meet in a concatenation, and activations that are no plain limits."""

    def __init__(self):
        super().__init__()
        self.one, self.two, self.last = nn.Conv2d(3, 4, 3, padding=1), nn.Conv2d(3, 2, 1), nn.Conv2d(9, 5, 1)
        self.swish, self.pool = nn.Hardswish(), nn.AdaptiveAvgPool2d((3, 4))

    def forward(self, x):
        y = torch.cat([F.relu(self.one(x)), x, F.hardswish(self.two(x))], 1)
        return F.relu(torch.flatten(self.pool(self.swish(self.last(F.relu(y)))), 1))


MODELS = {
    "branches": Branches(),
    "functional": Functional(),
    "strides": nn.Sequential(
        nn.Conv2d(3, 4, (3, 1), stride=(2, 1), padding=(0, 2)), nn.Hardtanh(-0.5, 0.5), nn.Conv2d(4, 5, 2, dilation=2)
    ),
    "pool": nn.Sequential(nn.MaxPool2d(3, 2, 1), nn.Conv2d(3, 4, 1), nn.ReLU6(), nn.MaxPool2d((2, 1)), nn.Identity(), nn.Dropout(0.5)),
    "relu twice": nn.Sequential(nn.Conv2d(3, 3, 1), nn.ReLU6(), nn.ReLU()),
    "relu first": nn.Sequential(nn.ReLU(), nn.Conv2d(3, 3, 1, bias=False)),
    "groups": nn.Sequential(nn.Conv2d(3, 6, 3, groups=3), nn.BatchNorm2d(6), nn.ReLU(), nn.Conv2d(6, 4, 3, groups=2, padding=1)),
}


@pytest.mark.parametrize("formats", ["dense", "csr"])
@pytest.mark.parametrize("name", MODELS)
def test_what_can_be_lowered_agrees_with_torch(name, formats):
    model = lively(MODELS[name])
    program = compile(model, torch.zeros(1, 3, 11, 10), formats)
    for count in (1, 9):
        x = torch.randn(count, 3, 11, 10, generator=torch.Generator().manual_seed(count))
        with torch.inference_mode():
            want = model(x.clone()).numpy()
        np.testing.assert_allclose(program(x.numpy()), want, rtol=1e-4, atol=1e-4)


def test_relu_and_batch_norm_become_part_of_the_layer():
    model = nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4), nn.ReLU(), nn.Conv2d(4, 4, 1), nn.ReLU6())
    steps = compile(model, torch.zeros(1, 3, 5, 5)).steps
    assert [(step.op, step.low, step.high) for step in steps] == [("conv", 0, float("inf")), ("conv", 0, 6)]


class Residual(nn.Module):
    """The convolution's own output is needed beside its ReLU, so that they must stay apart."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 3, 3, padding=1)

    def forward(self, x):
        y = self.conv(x)
        return F.relu(y) + y


@pytest.mark.parametrize("formats", ["dense", "csr"])
def test_a_relu_is_not_merged_into_what_is_read_elsewhere(formats):
    model, x = Residual().eval(), torch.randn(2, 3, 6, 6)
    program = compile(model, x, formats)
    assert [step.op for step in program.steps] == ["conv", "clip", "add"]
    np.testing.assert_allclose(program(x.numpy()), model(x).detach().numpy(), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("model", "says"),
    [
        (nn.Sequential(nn.Conv2d(3, 3, 1), nn.Sigmoid()), r"operation Sigmoid \(1\) cannot be lowered: the runtime knows .*Conv2d"),
        (nn.Sequential(nn.Conv2d(3, 3, 1, padding_mode="circular")), "pad with zeros"),
        (nn.Sequential(nn.Conv2d(3, 3, 2, padding="same")), "odd size"),
        (nn.Sequential(nn.MaxPool2d(2, dilation=2)), "no dilation"),
        (nn.Sequential(nn.MaxPool2d(2, return_indices=True)), "return no indices"),
        (nn.Sequential(nn.AvgPool2d(2)), r"operation AvgPool2d \(0\) cannot be lowered"),
        (nn.Sequential(nn.AdaptiveAvgPool2d((None, 2))), "to a fixed height and width"),
        (nn.Sequential(nn.AdaptiveAvgPool2d(7)), r"cannot take inputs of shape \(3, 6, 6\).* at most \(6, 6\) parts, got \(7, 7\)"),
        (nn.Sequential(nn.Flatten(0)), "keep the batch"),
        (nn.Sequential(nn.Linear(3, 2)), r"cannot take inputs of shape \(3, 6, 6\)"),
        (nn.Identity(), "made by its last operation"),
    ],
)
def test_what_cannot_be_lowered_is_named(model, says):
    with pytest.raises(ModelError, match=says):
        compile(model, torch.zeros(1, 3, 6, 6))


class Scaled(nn.Module):
    def forward(self, x):
        return x * 2


class TwoInputs(nn.Module):
    def forward(self, x, y):
        return x + y


class PlusOne(nn.Module):
    def forward(self, x):
        return x + 1


@pytest.mark.parametrize(
    ("model", "says"), [(Scaled(), "operation mul"), (TwoInputs(), "must have one input"), (PlusOne(), "operation add")]
)
def test_functions_that_cannot_be_lowered_are_named(model, says):
    with pytest.raises(ModelError, match=says):
        compile(model, torch.zeros(1, 3, 6, 6))


def test_bad_arguments_are_refused():
    model = nn.Sequential(nn.Conv2d(1, 1, 1))
    with pytest.raises(
        ConfigError, match=r"compile\.formats must be one of auto, rule, dense, csr, n_m, vector_sparse, int8, int8_fast, got 'coo'"
    ):
        compile(model, torch.zeros(1, 1, 2, 2), "coo")
    model[0].weight.data.fill_(float("nan"))
    with pytest.raises(ModelError, match=r"'0\.weight' holds NaN"):
        compile(model, torch.zeros(1, 1, 2, 2))


@pytest.mark.parametrize("formats", ["n_m", "vector_sparse"])
def test_any_weight_can_be_forced_into_a_pattern(formats):
    model = lively(MODELS["strides"])
    program, x = compile(model, torch.zeros(1, 3, 11, 10), formats), torch.randn(3, 3, 11, 10)
    assert {layer.format for layer in program.layers if layer.format} == {formats}
    np.testing.assert_allclose(program(x.numpy()), model(x).detach().numpy(), rtol=1e-4, atol=1e-4)


def linear_layer(weight):
    layer = nn.Linear(weight.shape[1], len(weight))
    layer.weight.data = torch.from_numpy(weight)
    return layer


def test_the_rule_takes_the_format_of_a_linear_layers_pattern():
    rng = np.random.default_rng(0)
    dense = rng.standard_normal((32, 64)).astype(np.float32)
    blocks = np.repeat(rng.random((8, 64)) < 0.45, 4, axis=0)
    for weight, kind in (
        (dense, "dense"),
        (dense * (rng.random((32, 64)) < 0.45), "dense"),
        (dense * (rng.random((32, 64)) < 0.1), "csr"),
        (dense * blocks, "vector_sparse"),
        (n_m_weight((32, 64), 2, 4), "n_m"),
    ):
        assert compile(nn.Sequential(linear_layer(weight)), torch.zeros(1, 64), "rule").layers[0].format == kind


def test_coded_values_run_in_their_format():
    rng = np.random.default_rng(0)
    values = {"0.weight": coded.codebook(rng, (6, 3, 3, 3)), "4.weight": coded.linear(rng, (5, 6 * 81), bits=4)}
    model = lively(nn.Sequential(nn.Conv2d(3, 6, 3, padding=1), nn.BatchNorm2d(6), nn.ReLU(), nn.Flatten(), nn.Linear(6 * 81, 5)))
    model[0].weight.data, model[4].weight.data = (torch.from_numpy(value.unpack()) for value in values.values())
    x = torch.randn(3, 3, 9, 9)
    program = compile(Compressed(model=model, network="x", values=values), x, "rule")
    assert [layer.format for layer in program.layers] == ["codebook", "dense", "", "linear"]  # the batch norm stays
    np.testing.assert_allclose(program(x.numpy()), model(x).detach().numpy(), rtol=1e-4, atol=1e-3)
    again = Program.from_bytes(program._file)
    assert np.array_equal(again(x.numpy()), program(x.numpy()))


def test_values_that_the_model_does_not_hold_are_refused():
    value = coded.codebook(np.random.default_rng(0), (5, 4))
    model = nn.Sequential(nn.Linear(4, 5))
    with pytest.raises(ModelError, match=r"'0\.weight' must stand for the weights that the model holds"):
        compile(Compressed(model=model, network="x", values={"0.weight": value}), torch.zeros(1, 4))
    with pytest.raises(ModelError, match=r"'7\.weight' belongs to no convolution or linear layer"):
        compile(Compressed(model=model, network="x", values={"7.weight": value}), torch.zeros(1, 4))


class Pooled(nn.Module):
    """A max pooling as a function, behind a convolution that a 2×2 pooling would be fused into."""

    def __init__(self, *args, **settings):
        super().__init__()
        self.conv, self.args, self.settings = nn.Conv2d(3, 4, 3, padding=1), args, settings

    def forward(self, x):
        return F.max_pool2d(torch.relu(self.conv(x)), *self.args, **self.settings)


@pytest.mark.parametrize("formats", ["dense", "csr"])
@pytest.mark.parametrize("window", [(2, 2, 0), (3, 2, 0), (3, 2, 1), (2, 3, 1), (3, 3, 1), (1, 2, 0)])
@pytest.mark.parametrize("size", [(11, 10), (7, 12), (4, 3)])
def test_max_pooling_may_round_its_size_up(size, window, formats):
    model, x = Pooled(*window, ceil_mode=True).eval(), torch.randn(17, 3, *size, generator=torch.Generator().manual_seed(0))
    program = compile(model, x, formats)
    with torch.inference_mode():
        want = model(x).numpy()
    for count in (1, 17):
        np.testing.assert_allclose(program(x[:count].numpy()), want[:count], rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(reference.interpret(program.steps, x.numpy()), want, rtol=1e-4, atol=1e-5)
    again = Program.from_bytes(program._file)
    assert np.array_equal(again(x.numpy()), program(x.numpy()))


def test_max_pooling_as_a_function_takes_its_defaults():
    assert compile(Pooled(2), torch.zeros(1, 3, 7, 7), "dense").layers[-1].shape == (4, 3, 3)
    assert compile(Pooled(kernel_size=2, stride=1), torch.zeros(1, 3, 7, 7), "dense").layers[-1].shape == (4, 6, 6)
    with pytest.raises(ModelError, match="operation max_pool2d_with_indices"):
        compile(Pooled(2, return_indices=True), torch.zeros(1, 3, 7, 7))
