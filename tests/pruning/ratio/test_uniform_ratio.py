"""One sparsity for all, and the least one that meets a budget."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from labkit.core.errors import ConfigError, UnknownNameError
from labkit.core.records import Compressed
from labkit.core.registry import Context
from labkit.core.seeds import generator
from labkit.models import load
from labkit.pruning._select import drop_count
from labkit.pruning.apply import apply_masks
from labkit.pruning.criterion.magnitude import MagnitudeConfig
from labkit.pruning.criterion.magnitude import run as prune
from labkit.pruning.dependency import dependency_groups
from labkit.pruning.ratio.uniform_ratio import UniformRatioConfig, run, sparsity_for_budget
from tests.pruning.networks import zoo


def test_each_layer_that_matches_gets_the_sparsity() -> None:
    ratios = run(load("digits-small"), UniformRatioConfig(sparsity=0.8), Context(generator(0), layers="conv?"))
    assert ratios.zeros == {"conv1": 0.8, "conv2": 0.8}
    with pytest.raises(UnknownNameError):
        run(load("digits-small"), UniformRatioConfig(), Context(generator(0), layers="convolution"))


def test_the_worked_example_keeps_five_of_ten_each() -> None:
    def cost(sparsity: float) -> float:
        a = b = 10 - drop_count(sparsity, 10)
        return 20 * a + a * b + 5 * b

    assert cost(0.0) == 350
    sparsity = sparsity_for_budget(cost, 175)
    assert (sparsity, cost(sparsity)) == (0.45, 150)
    assert cost(0.44) == 186


@given(st.floats(0.02, 1.0), st.floats(0.0, 0.9))
def test_the_grid_value_before_would_cost_too_much(budget: float, least: float) -> None:
    sparsity = sparsity_for_budget(lambda s: (1 - s) ** 2, budget, least)
    assert least <= sparsity <= 0.99
    assert (1 - sparsity) ** 2 <= budget
    assert sparsity == least or (1 - sparsity + 0.01) ** 2 > budget - 1e-9


def test_a_budget_out_of_reach_or_without_a_criterion_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"must be at least the cost 10 at a sparsity of 0\.99, got 5"):
        sparsity_for_budget(lambda _: 10, 5)
    with pytest.raises(ConfigError, match="budget must be 1 where no criterion asks"):
        run(load("digits-small"), UniformRatioConfig(budget=0.5), Context(generator(0)))


@pytest.mark.parametrize("scope", ["layer", "global"])
@pytest.mark.parametrize("granularity", ["channel", "weight"])
def test_half_the_macs_are_met_on_a_network_and_not_by_much(scope: str, granularity: str) -> None:
    model, x = zoo("resnet-small")
    groups = dependency_groups(model, x)
    ratio = {"name": "uniform_ratio", "sparsity": 0.1, "budget": 0.5}
    config = MagnitudeConfig.from_dict({"granularity": granularity, "ratio": ratio, "scope": scope})
    masks = prune(model, config, Context(generator(0)))
    smaller = apply_masks(Compressed(model, "resnet-small"), masks).model
    if granularity == "channel":
        left = dependency_groups(smaller, x).macs()
    else:
        left = groups.macs(weights={name: float((smaller.get_parameter(f"{name}.weight") != 0).float().mean()) for name in groups.layers})
    assert 0.45 < left / groups.macs() <= 0.5
    assert masks.notes[0].startswith("a budget of 0.5 of the MACs asks for a sparsity of ")


def test_a_looser_budget_leaves_the_sparsity_alone() -> None:
    model, x = zoo("digits-small")
    dependency_groups(model, x)
    config = MagnitudeConfig.from_dict({"granularity": "channel", "ratio": {"name": "uniform_ratio", "sparsity": 0.5, "budget": 0.99}})
    masks = prune(model, config, Context(generator(0)))
    assert {name: int(keep.sum()) for name, keep in masks.channels.items()} == {"conv1": 4, "conv2": 8}
    assert torch.is_tensor(masks.keep["fc.weight"])
