"""The ONNX graph computes what the program computes, by another engine's word."""

import numpy as np
import pytest
import torch
from torch import nn

from labkit.bench import _onnx, _peers
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


def test_the_int8_product_is_exact():
    rng = np.random.default_rng(0)
    x, codes = rng.integers(0, 256, (5, 70), np.uint8), rng.integers(-127, 128, (33, 70)).astype(np.int8)
    (call,) = _peers.onnx_int8(x, codes).values()
    np.testing.assert_array_equal(call(), x.astype(np.int64) @ codes.astype(np.int64).T)


def test_parts_of_different_sizes_are_refused_and_the_peer_left_out():
    program = compile(nn.Sequential(nn.AdaptiveAvgPool2d(3)), torch.zeros(1, 2, 8, 8))
    with pytest.raises(ModelError, match=r"0: ONNX cannot pool \(8, 8\) to \(3, 3\) parts"):
        _onnx.to_onnx(program, 1)
    assert _peers.onnx_network(program, np.zeros((1, 2, 8, 8), np.float32)) == {}


def test_peers_that_are_not_installed_are_left_out(monkeypatch):
    for name in ("onnx", "onnxruntime", "scipy"):
        monkeypatch.setitem(__import__("sys").modules, name, None)
    program = compile(nn.Sequential(nn.Linear(4, 2)), torch.zeros(1, 4))
    assert _peers.onnx_network(program, np.zeros((1, 4), np.float32)) == {}
    assert _peers.onnx_int8(np.zeros((1, 4), np.uint8), np.zeros((2, 4), np.int8)) == {}
    assert list(_peers.csr(torch.eye(4), torch.ones(2, 4))) == ["torch CSR"]
