"""Other engines run beside labkit, each in its own process, and are left out by name where they cannot."""

import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from benchmarks import peers
from labkit.bench import to_onnx
from labkit.runtime import compile  # noqa: A004


def network():
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(4 * 36, 5)).eval()


def test_a_row_holds_every_engine_or_says_why_not():
    row = peers.row("small", 0.0, network(), torch.randn(2, 1, 8, 8), (Path(sys.executable), 2))
    assert row.labkit_ms > 0
    assert row.ratios.keys() == {"torch", "ONNX Runtime"}
    assert row.max_abs_error.keys() == {"labkit", "ONNX Runtime"}
    assert max(row.max_abs_error.values()) < 1e-5
    assert row.left_out.keys() == {"OpenVINO", "DeepSparse"}
    assert "ModuleNotFoundError" in row.left_out["OpenVINO"]
    assert all(low <= middle <= high for low, middle, high in row.ratios.values())
    words = peers.in_words(row)
    assert words[:3] == ["small", "0%", "2"]
    assert words[-2:] == ["left out", "left out"]


def test_an_engine_whose_process_dies_is_left_out(tmp_path):
    with peers.Peer("ONNX Runtime", Path("/bin/false"), tmp_path) as peer:
        assert peer.why == "its process ended with code 1"


def test_an_engine_that_cannot_read_the_network_is_left_out(tmp_path):
    (tmp_path / "model.onnx").write_bytes(b"nothing")
    np.save(tmp_path / "input.npy", np.zeros((1, 4), np.float32))
    with peers.Peer("ONNX Runtime", Path(sys.executable), tmp_path) as peer:
        assert "model.onnx" in peer.why


def test_an_engines_output_is_the_networks(tmp_path):
    model, x = network(), torch.randn(3, 1, 8, 8)
    (tmp_path / "model.onnx").write_bytes(to_onnx(compile(model, x, "dense"), 3))
    np.save(tmp_path / "input.npy", x.numpy())
    with peers.Peer("ONNX Runtime", Path(sys.executable), tmp_path) as peer, torch.inference_mode():
        np.testing.assert_allclose(peer.output, model(x).numpy(), rtol=1e-4, atol=1e-5)
        assert 0 < peer.seconds() < 10
    assert peer._process.returncode == 0


def test_all_take_turns_and_the_first_rounds_do_not_count():
    order = []
    timers = {name: lambda name=name: order.append(name) or float(len(order)) for name in "abc"}
    times = peers.in_turns(timers, 3)
    assert sorted(order[:3]) == ["a", "b", "c"]
    assert order[:3] != order[3:6]
    assert {len(each) for each in times.values()} == {3}
    assert min(times["a"]) > 3 * peers.WARM


def test_a_missing_environment_is_told(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["peers", "--python", "/nowhere/python"])
    with pytest.raises(SystemExit):
        peers.main()
    assert "/nowhere/python is not there: `make bench-peers` makes it" in capsys.readouterr().err
