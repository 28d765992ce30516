"""The ONNX graph computes what the program computes, by another engine's word."""

import numpy as np
import onnx
import pytest
import torch
from torch import nn

from labkit.bench import _onnx, _peers, network_case
from labkit.bench._case import bits
from labkit.core.errors import ModelError
from labkit.runtime import compile  # noqa: A004


class Branches(nn.Module):
    """Every operation that a program has."""

    def __init__(self):
        super().__init__()
        self.first = nn.Conv2d(3, 8, 3, stride=2, padding=2, dilation=2)
        self.left, self.right = nn.Conv2d(8, 8, 3, padding=1, groups=8), nn.Conv2d(8, 8, 1)
        self.pool, self.parts, self.last = nn.MaxPool2d(3, 2, ceil_mode=True), nn.AdaptiveAvgPool2d(2), nn.Linear(64, 5)

    def forward(self, x):
        x = nn.functional.relu6(self.first(x))
        both = torch.cat([nn.functional.hardswish(self.left(x)) + self.right(x), x], 1)
        return torch.relu(self.last(torch.flatten(self.parts(torch.relu(self.pool(both))), 1)))


def test_onnx_runtime_computes_the_same():
    model, x = Branches().eval(), torch.randn(3, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    program = compile(model, x)
    (call,) = _peers.onnx_network(program, x.numpy()).values()
    with torch.no_grad():
        np.testing.assert_allclose(call(), model(x).numpy(), rtol=1e-4, atol=1e-5)


def test_onnx_runtime_computes_about_the_same_in_integers():
    """As far from the floats as labkit's own integers, about, on a network with every operation."""
    model, images = Branches().eval(), torch.randn(16, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    case = network_case("branches", model, images[:5], bits(8), "int8", calibration=images)
    assert list(case.peers) == ["ONNX Runtime", "ONNX Runtime int8"]
    with torch.no_grad():
        want = model(images[:5]).numpy()
    error = np.abs(case.peers["ONNX Runtime int8"]() - want).max()
    assert 0 < error < 0.05 * np.ptp(want)
    assert error / 3 < case.error < 3 * error


@pytest.mark.parametrize(("largest", "least"), [(0, 6), (3, 4), (6, 1)])
def test_all_images_give_the_ranges_also_where_the_batch_does_not_divide_them(largest, least):
    images = np.random.default_rng(0).uniform(-1, 1, (7, 4)).astype(np.float32)
    images[largest, 2], images[least, 0] = 3.0, -2.1
    program = compile(nn.Sequential(nn.Linear(4, 6), nn.ReLU(), nn.Linear(6, 2)), torch.zeros(3, 4), "dense")
    graph = onnx.load_from_string(_onnx.as_int8(_onnx.to_onnx(program, 3), 3, images)).graph
    constants = {each.name: onnx.numpy_helper.to_array(each) for each in graph.initializer}
    (first,) = (node for node in graph.node if node.op_type == "QuantizeLinear" and node.input[0] == "v0")
    scale, zero = (constants[name] for name in first.input[1:])
    assert scale == pytest.approx(5.1 / 255, rel=1e-5)
    assert zero == round(2.1 / 5.1 * 255)
    scales = [constants[node.input[1]] for node in graph.node if node.op_type == "DequantizeLinear" and node.input[0].startswith("w0")]
    assert [each.shape for each in scales] == [(6,)], "a scale for each output"


def test_the_int8_product_is_exact():
    rng = np.random.default_rng(0)
    x, codes = rng.integers(0, 256, (5, 70), np.uint8), rng.integers(-127, 128, (33, 70)).astype(np.int8)
    (call,) = _peers.onnx_int8(x, codes).values()
    np.testing.assert_array_equal(call(), x.astype(np.int64) @ codes.astype(np.int64).T)


def test_parts_of_different_sizes_are_refused_and_the_peer_left_out():
    program = compile(nn.Sequential(nn.AdaptiveAvgPool2d(3)), torch.zeros(1, 2, 8, 8))
    with pytest.raises(ModelError, match=r"0: ONNX cannot pool \(8, 8\) to \(3, 3\) parts"):
        _onnx.to_onnx(program, 1)
    x = np.zeros((1, 2, 8, 8), np.float32)
    assert _peers.onnx_network(program, x) == _peers.onnx_int8_network(program, x, x) == {}


def test_peers_that_are_not_installed_are_left_out(monkeypatch):
    for name in ("onnx", "onnxruntime", "scipy"):
        monkeypatch.setitem(__import__("sys").modules, name, None)
    program = compile(nn.Sequential(nn.Linear(4, 2)), torch.zeros(1, 4))
    assert _peers.onnx_network(program, np.zeros((1, 4), np.float32)) == {}
    assert _peers.onnx_int8_network(program, np.zeros((1, 4), np.float32), np.zeros((2, 4), np.float32)) == {}
    assert _peers.onnx_int8(np.zeros((1, 4), np.uint8), np.zeros((2, 4), np.int8)) == {}
    assert list(_peers.csr(torch.eye(4), torch.ones(2, 4))) == ["torch CSR"]
