"""Sparse execution of a network: the bytes of a layer, and what each layer took and did."""

import numpy as np
import pytest
import torch
from torch import nn

from labkit import execution
from labkit.core.records import Compressed
from labkit.crossover import pruned
from labkit.execution import stored_bytes
from labkit.formats.csr import CsrTensor
from labkit.formats.n_m import NMTensor


def test_bytes_are_those_of_the_packed_formats() -> None:
    weight = pruned(np.random.default_rng(1).standard_normal((16, 32)).astype(np.float32), "n_m", 0.5)
    found = stored_bytes(weight != 0)
    assert found["dense"] == weight.nbytes
    assert found["csr"] == CsrTensor.pack(weight).packed_bytes
    assert found["n_m"] == NMTensor.pack(weight).packed_bytes == 16 * 32 * 17 // 8
    assert found["bitmap"] == 16 * 32 * 17 // 8


def test_a_profile_has_the_layers_in_order_and_what_they_did() -> None:
    model = nn.Sequential(nn.Conv2d(1, 8, 3, bias=False), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(8 * 9, 10)).eval()
    with torch.no_grad():
        model[0].weight.view(-1)[::2] = 0
    rows = execution.profile(Compressed(model, "toy"), Compressed(model, "toy"), torch.randn(4, 1, 8, 8), "csr")
    assert [row.name for row in rows] == ["0", "4", "the rest", "in and out"]
    conv, linear = rows[:2]
    assert (conv.format, linear.format) == ("csr", "csr")
    operations = 2 * 36 * 36 * 4
    moved = CsrTensor.pack(model[0].weight.detach().numpy()).packed_bytes + 4 * 4 * (64 + 8 * 36)
    assert conv.intensity == pytest.approx(operations / moved)
    assert conv.gflops == pytest.approx(operations / conv.ms / 1e6)
    assert min(row.ms for row in rows[:2]) > 1e-6, "a layer that was fused with the next still has its time"
    assert min(row.dense_ms for row in rows[:2]) > 0
