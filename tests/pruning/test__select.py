"""Counting, ties, scope and edges: the law that holds for every criterion."""

import dataclasses
import statistics
import time

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from labkit.core.errors import ModelError, UnknownNameError
from labkit.core.records import Masks, Ratios
from labkit.core.registry import Context
from labkit.core.seeds import generator
from labkit.pruning._select import Selection, drop_count, drop_lowest, select
from labkit.pruning.criterion.magnitude import MagnitudeConfig
from labkit.pruning.criterion.magnitude import run as prune
from labkit.pruning.dependency import dependency_groups
from labkit.pruning.granularity.channel import ChannelConfig
from labkit.pruning.granularity.weight import WeightConfig, weight_groups
from labkit.pruning.groups import Groups
from labkit.pruning.ratio.uniform_ratio import UniformRatioConfig
from tests.pruning.networks import zoo


def config(sparsity: float, scope: str = "layer") -> MagnitudeConfig:
    return MagnitudeConfig(granularity=WeightConfig(), ratio=UniformRatioConfig(sparsity=sparsity), scope=scope)


def context(layers: str = "*", masks: Masks | None = None) -> Context:
    return Context(generator(0), layers=layers, masks=masks)


def two_layers() -> nn.Module:
    model = nn.Sequential(nn.Linear(4, 1, bias=False), nn.Linear(1, 6, bias=False))
    with torch.no_grad():
        model[0].weight.copy_(torch.tensor([[0.1, -0.2, 0.3, -0.4]]))
        model[1].weight.copy_(torch.tensor([[-5.0], [6.0], [7.0], [8.0], [9.0], [0.15]]))
    return model


def choose(model: nn.Module, settings: MagnitudeConfig, where: Context) -> Masks:
    return select(model, settings, where, lambda layer, _: model.get_parameter(f"{layer}.weight").detach().abs().flatten())


@pytest.mark.parametrize(
    ("sparsity", "groups", "dropped"),
    [(0.29, 100, 29), (0.145, 100, 15), (0.5, 3, 2), (0.1, 4, 0), (0.125, 4, 1), (0.0, 7, 0), (0.9, 266200, 239580), (0.99, 1, 1)],
)
def test_the_count_is_the_nearest_to_the_decimal_number_halves_up(sparsity: float, groups: int, dropped: int) -> None:
    assert drop_count(sparsity, groups) == dropped


@given(st.lists(st.sampled_from([-2.0, -0.0, 0.0, 0.5, 1.0, 3.0]), min_size=1, max_size=40), st.data())
def test_dropping_is_that_of_a_stable_sort(values: list[float], data: st.DataObject) -> None:
    count = data.draw(st.integers(0, len(values)))
    expected = torch.ones(len(values), dtype=torch.bool)
    for n in sorted(range(len(values)), key=lambda n: (values[n], n))[:count]:
        expected[n] = False
    assert torch.equal(drop_lowest(torch.tensor(values), count), expected)


@given(st.lists(st.sampled_from([0.0, 1.0, 2.0, 3.0]), min_size=1, max_size=30), st.floats(0, 0.99), st.floats(0, 0.99))
def test_masks_nest(values: list[float], one: float, other: float) -> None:
    low, high = sorted((one, other))
    fewer, more = (drop_lowest(torch.tensor(values), drop_count(s, len(values))) for s in (low, high))
    assert bool((more <= fewer).all())


def test_each_layer_loses_its_own_share() -> None:
    masks = choose(two_layers(), config(0.5), context())
    assert masks.keep["0.weight"].tolist() == [[False, False, True, True]]
    assert masks.keep["1.weight"].flatten().tolist() == [False, False, True, True, True, False]
    assert masks.notes == ("5 of 10 groups dropped: 5 of 10 weights, a share of 0.5000",)


def test_global_scope_pools_all_groups_and_may_empty_a_layer() -> None:
    masks = choose(two_layers(), config(0.5, "global"), context())
    assert not masks.keep["0.weight"].any()
    assert masks.keep["1.weight"].flatten().tolist() == [True, True, True, True, True, False]
    assert masks.notes[0] == "layer 0 collapsed: every weight is zero"


def test_equal_scores_go_by_position_also_across_layers_and_layouts() -> None:
    model = nn.Sequential(nn.Conv2d(2, 1, 2, bias=False), nn.Conv2d(1, 2, 1, bias=False)).to(memory_format=torch.channels_last)
    for parameter in model.parameters():
        nn.init.ones_(parameter)
    masks = choose(model, config(0.5, "global"), context())
    assert masks.keep["0.weight"].flatten().tolist() == [False] * 5 + [True] * 3
    assert masks.keep["1.weight"].all()


def test_nothing_dropped_is_said() -> None:
    masks = choose(two_layers(), config(0.0), context())
    assert all(mask.all() for mask in masks.keep.values())
    assert masks.notes == ("nothing was dropped: the sparsity is too low for the number of groups",)


def test_only_the_layers_asked_for_are_touched_and_unknown_ones_are_refused() -> None:
    assert list(choose(two_layers(), config(0.5), context("1")).keep) == ["1.weight"]
    with pytest.raises(UnknownNameError, match=r"unknown layer 'conv\*'.*0, 1"):
        choose(two_layers(), config(0.5), context("conv*"))


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_a_damaged_weight_or_score_is_refused_by_name(bad: float) -> None:
    model = two_layers()
    with pytest.raises(ModelError, match=r"scores of '0\.weight'"):
        select(model, config(0.5), context(), lambda layer, groups: torch.full((groups.count,), bad))
    model[1].weight.data[2] = bad
    with pytest.raises(ModelError, match=r"'1\.weight'"):
        choose(model, config(0.5), context())


def test_what_is_masked_already_goes_first_whatever_its_score() -> None:
    model = two_layers()
    before = Masks({"1.weight": torch.tensor([[True], [True], [True], [True], [False], [True]])})
    masks = choose(model, config(0.5), context("1", before))
    assert masks.keep["1.weight"].flatten().tolist() == [False, True, True, True, False, False]


def test_a_structured_layer_keeps_its_best_group_and_the_next_lowest_elsewhere_goes() -> None:
    model = two_layers()
    groups = {
        "0": Groups((1, 4), 2, torch.tensor([[0, 0, 1, 1]])),
        "1": Groups((6, 1), 6, torch.arange(6)[:, None]),
    }
    saliency = {"0": torch.tensor([1.0, 1.0]), "1": torch.tensor([2.0, 3.0, 4.0, 5.0, 6.0, 7.0])}
    selection = Selection(model, groups, "global", lambda layer, _: saliency[layer], context())
    masks = selection.masks(Ratios({"0": 0.375, "1": 0.375}))  # 3 of 8
    assert masks.keep["0.weight"].tolist() == [[False, False, True, True]]
    assert masks.keep["1.weight"].flatten().tolist() == [False, False, True, True, True, True]
    most = selection.masks(Ratios({"0": 0.99, "1": 0.99}))
    assert [int(mask.sum()) for mask in most.keep.values()] == [2, 1]
    layerwise = dataclasses.replace(selection, scope="layer").masks(Ratios({"0": 0.99, "1": 0.99}))
    assert [int(mask.sum()) for mask in layerwise.keep.values()] == [2, 1]


def test_a_granularity_that_chooses_itself_never_asks_the_ratio() -> None:
    model = two_layers()

    def best_of_each_pair(scores: torch.Tensor) -> torch.Tensor:
        pairs = scores.view(-1, 2)
        return (pairs == pairs.max(1, keepdim=True).values).flatten()

    groups = {
        name: dataclasses.replace(weight_groups(model.get_parameter(f"{name}.weight")), choose=best_of_each_pair, note="by pairs")
        for name in "01"
    }
    selection = Selection(model, groups, "layer", lambda layer, _: model.get_parameter(f"{layer}.weight").abs().flatten(), context())
    masks = selection.masks(Ratios({"0": 0.9}))
    assert masks.keep["0.weight"].tolist() == [[False, True, False, True]]
    assert masks.notes == ("0: by pairs", "1: by pairs", "5 of 10 groups dropped: 5 of 10 weights, a share of 0.5000")


def test_the_model_is_left_as_it_is() -> None:
    model = two_layers()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    choose(model, config(0.5), context())
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())


@pytest.mark.serial
@pytest.mark.parametrize("granularity", ["weight", "channel"])
@pytest.mark.parametrize("scope", ["layer", "global"])
def test_a_slider_step_takes_less_than_10_ms(granularity: str, scope: str) -> None:
    model, x = zoo("vgg-small-bn")
    dependency_groups(model, x)
    settings = MagnitudeConfig.from_dict({"granularity": granularity, "ratio": {"name": "uniform_ratio", "sparsity": 0.9}, "scope": scope})
    seconds = []
    for _ in range(21):
        begin = time.process_time()
        prune(model, settings, context())
        seconds.append(time.process_time() - begin)
    assert statistics.median(seconds) < 0.010


def test_batch_norm_is_measured_anew_only_where_there_is_some_and_something_was_dropped() -> None:
    normed, plain = zoo("vgg-small-bn")[0], zoo("lenet-300-100")[0]
    assert prune(normed, config(0.5), context()).recalibrate == config(0.5).recalibrate > 0
    assert prune(normed, config(0.5), context(layers="conv1")).recalibrate > 0  # one layer of many is enough
    assert prune(normed, config(0.0), context()).recalibrate == 0
    assert prune(plain, config(0.5), context()).recalibrate == 0


def test_a_layer_of_one_channel_is_told() -> None:
    model = nn.Sequential(nn.Conv2d(1, 1, 3), nn.Conv2d(1, 4, 3), nn.Conv2d(4, 2, 3)).eval()
    dependency_groups(model, torch.zeros(1, 1, 9, 9))  # traces it
    notes = prune(model, config(0.5).replace(granularity=ChannelConfig()), context()).notes
    assert "0 has one channel: there is nothing to drop" in notes
