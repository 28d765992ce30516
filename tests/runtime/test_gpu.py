"""The door to GPUs: what can be said without one, and on one that it computes what the network computes."""

import numpy as np
import pytest
import torch
from torch import nn

from labkit.core.errors import ConfigError, ModelError
from labkit.core.records import Compressed
from labkit.runtime import gpu
from tests.formats.test_n_m import n_m_weight


def network(pattern=(2, 4), width=64):
    """Return a network with one 2:4 layer between two that are dense."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(10, 64), nn.BatchNorm1d(64), nn.ReLU(), nn.Linear(64, width), nn.ReLU(), nn.Linear(width, 3)).eval()
    weight = n_m_weight((width, 64), *pattern)
    model[3].weight.data = torch.from_numpy(weight / 8)
    return model


def no_device():
    try:
        gpu.sparse_device()
    except ConfigError as error:
        return str(error)
    return ""


@pytest.mark.parametrize(("pattern", "width", "says"), [((2, 4), 64, ""), ((1, 4), 32, ""), ((2, 4), 48, "multiples of 32×64, got 48×64")])
def test_what_can_run_two_of_four(pattern, width, says):
    assert says in gpu.refusal(network(pattern, width)[3].weight)
    assert bool(says) == bool(gpu.refusal(network(pattern, width)[3].weight))


def test_the_first_group_that_is_too_full_is_named():
    weight = torch.from_numpy(n_m_weight((32, 64), 2, 4))
    weight[5, 8:12] = torch.tensor([1.0, 2.0, 0.0, 3.0])
    assert gpu.refusal(weight) == "must have two zeros in every four weights, got 3 that are not zero at output 5, inputs 8–11"
    weight[5, 8:12] = torch.tensor([1.0, -0.0, 0.0, 3.0])
    assert gpu.refusal(weight) == ""


def test_without_a_gpu_it_says_so(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(ConfigError, match=r"must be a CUDA device with sparse tensor cores .* sees none: labkit\.runtime\.compile runs"):
        gpu.on_gpu(network())


def test_an_older_gpu_is_named(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda: (7, 5))
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda: "Tesla T4")
    with pytest.raises(ConfigError, match=r"got Tesla T4 with 7\.5"):
        gpu.on_gpu(network())


@pytest.fixture
def stand_in(monkeypatch):
    """Let the CPU stand for the device and dense weights for semi-structured ones; what is converted is returned."""
    converted = []
    monkeypatch.setattr(gpu, "sparse_device", lambda: torch.device("cpu"))
    monkeypatch.setattr(torch.sparse, "to_sparse_semi_structured", lambda weight: (converted.append(weight), weight)[1])
    return converted


@pytest.mark.usefixtures("stand_in")
def test_what_is_not_two_of_four_is_refused_or_left_dense():
    made = gpu.on_gpu(network())
    assert made.layers == ("3",)
    assert made.left.keys() == {"0", "5"}
    assert "multiples of 32×64, got 64×10" in made.left["0"]
    with pytest.raises(ModelError, match=r"no layer can run 2:4 \('0' must have a weight in multiples of 32×64, got 64×10\): prune with"):
        gpu.on_gpu(network((3, 4)))
    with pytest.raises(ModelError, match="it has no linear layer"):
        gpu.on_gpu(nn.Sequential(nn.ReLU()))
    model = network()
    model[5].bias.data[0] = 1e6
    with pytest.raises(ModelError, match=r"'5\.bias' must be within ±65504 to be float16, got 1e\+06"):
        gpu.on_gpu(model)


def test_the_weights_that_are_converted_are_half_and_the_model_is_left_alone(stand_in):
    model = network()
    x = torch.randn(7, 10, generator=torch.Generator().manual_seed(0))
    made = gpu.on_gpu(Compressed(model, "small"))
    assert [(each.dtype, tuple(each.shape)) for each in stand_in] == [(torch.float16, (64, 64))]
    assert model[3].weight.dtype == torch.float32
    with torch.inference_mode():
        want = model(x).numpy()
    got = made(x.numpy())
    assert got.dtype == np.float32
    np.testing.assert_allclose(got, want, rtol=1e-2, atol=1e-2)


@pytest.mark.skipif(bool(no_device()), reason=no_device())
@pytest.mark.parametrize("batch", [1, 8, 65])
def test_on_a_gpu_it_computes_the_network(batch):
    model, x = network(width=256), torch.randn(batch, 10, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        want = model(x).numpy()
    made = gpu.on_gpu(model)
    assert isinstance(made.model.get_submodule("3").weight.data, torch.sparse.SparseSemiStructuredTensor)
    np.testing.assert_allclose(made(x.numpy()), want, rtol=1e-2, atol=1e-2)
