"""The Lp norm as a score: the card's cases, the laws of scope, and what channels add up to."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from labkit.core.errors import ModelError
from labkit.core.records import Masks
from labkit.core.registry import Context
from labkit.core.seeds import generator
from labkit.data import load as load_data
from labkit.models import load
from labkit.pruning.criterion.magnitude import MagnitudeConfig, magnitude_saliency, run
from labkit.pruning.dependency import dependency_groups
from labkit.pruning.granularity.weight import weight_groups
from labkit.pruning.groups import Groups
from tests.pruning.networks import zoo

ROWS = Groups((2, 2), 2, torch.tensor([[0], [1]]))


def settings(sparsity: float, **more: object) -> MagnitudeConfig:
    return MagnitudeConfig.from_dict({"ratio": {"name": "uniform_ratio", "sparsity": sparsity}, **more})


def masks(model: nn.Module, config: MagnitudeConfig) -> Masks:
    return run(model, config, Context(generator(0), load_data("digits")))


@pytest.mark.parametrize(("p", "scores", "first"), [(1.0, [3.0, 4.0], 0), (2.0, [3.0, 8**0.5], 1)])
def test_l1_drops_the_first_and_l2_the_second(p: float, scores: list[float], first: int) -> None:
    found = magnitude_saliency(torch.tensor([[3.0, 0.0], [2.0, -2.0]]), ROWS, MagnitudeConfig(p=p))
    assert found.tolist() == pytest.approx(scores)
    assert int(found.argmin()) == first


@given(st.lists(st.floats(-3, 3, width=32), min_size=4, max_size=4), st.sampled_from([0.5, 1.0, 2.0, 3.5]))
def test_groups_score_as_the_vector_norm_of_torch(values: list[float], p: float) -> None:
    weight = torch.tensor(values).view(2, 2)
    want = torch.linalg.vector_norm(weight.double(), p, dim=1)
    torch.testing.assert_close(magnitude_saliency(weight, ROWS, MagnitudeConfig(p=p)), want, rtol=1e-6, atol=1e-30)


@pytest.mark.parametrize("p", [0.5, 1.0, 2.0, 4.0])
def test_for_single_weights_every_p_scores_alike(p: float) -> None:
    weight = torch.randn(3, 4, generator=torch.Generator().manual_seed(0)) * 1e-20
    assert torch.equal(magnitude_saliency(weight, weight_groups(weight), MagnitudeConfig(p=p)), weight.abs().flatten())


def test_the_count_is_exact_in_each_layer() -> None:
    model = load("digits-small")
    kept = {name: int(mask.sum()) for name, mask in masks(model, settings(0.29)).keep.items()}
    assert kept == {"conv1.weight": 72 - 21, "conv2.weight": 1152 - 334, "fc.weight": 640 - 186}


@pytest.mark.parametrize(("scope", "alike"), [("layer", True), ("global", False)])
def test_only_within_layers_the_scale_of_a_layer_does_not_matter(scope: str, alike: bool) -> None:
    model, scaled = load("digits-small"), load("digits-small")
    with torch.no_grad():
        scaled.conv2.weight.mul_(-8.0)
    one, other = (masks(each, settings(0.6, scope=scope)).keep for each in (model, scaled))
    assert all(torch.equal(one[name], other[name]) for name in one) == alike


def test_a_channel_scores_the_sum_over_all_filters_that_make_it() -> None:
    model, x = zoo("resnet-small")
    dependency_groups(model, x)
    found = masks(model, settings(0.5, granularity="channel"))
    layers = ("block1.conv2", "block1.shortcut.conv", "block2.conv2")
    scores = sum(model.get_parameter(f"{layer}.weight").detach().double().abs().sum((1, 2, 3)) for layer in layers)
    lowest = scores.argsort(stable=True)[:12]
    want = torch.ones(24, dtype=torch.bool)
    want[lowest] = False
    assert torch.equal(found.channels["block1.conv2"], want)
    for layer in layers:
        assert torch.equal(found.keep[f"{layer}.weight"].flatten(1).any(1), want)
    assert "fc" not in found.channels


def test_the_magnitude_mask_is_the_projection_onto_the_count() -> None:
    weight = torch.tensor([[0.5, -2.0, 1.0, -0.1]])
    layer = nn.Linear(4, 1, bias=False)
    layer.weight.data = weight
    keep = run(nn.Sequential(layer), settings(0.5), Context(generator(0))).keep["0.weight"]
    assert (weight * keep).tolist() == [[0.0, -2.0, 1.0, 0.0]]
    assert float((weight - weight * keep).square().sum()) == pytest.approx(0.26)


def test_nan_is_refused_by_name() -> None:
    model = load("digits-small")
    model.conv2.weight.data[0, 0, 0, 0] = float("nan")
    with pytest.raises(ModelError, match=r"the tensor 'conv2\.weight' holds NaN"):
        masks(model, settings(0.5))
