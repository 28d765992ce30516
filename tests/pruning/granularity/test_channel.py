"""Channels as groups: which layers take part, and that a step really shrinks the network."""

import pytest
import torch

from labkit.core.errors import ConfigError
from labkit.core.records import Compressed
from labkit.core.registry import Context
from labkit.core.seeds import generator
from labkit.data import load as load_data
from labkit.models import load
from labkit.models.zoo import build
from labkit.pruning.apply import apply_masks
from labkit.pruning.criterion.magnitude import MagnitudeConfig
from labkit.pruning.criterion.magnitude import run as prune
from labkit.pruning.dependency import dependency_groups
from labkit.pruning.granularity.channel import ChannelConfig, run
from tests.pruning.networks import zoo


def test_each_filter_is_a_channel_and_the_logits_are_left_out() -> None:
    groups = run(load("digits-small"), ChannelConfig(), Context(generator(0), load_data("digits")))
    assert {name: (each.count, each.index.shape, each.keeps_one) for name, each in groups.items()} == {
        "conv1": (8, (8, 1, 1, 1), True),
        "conv2": (16, (16, 1, 1, 1), True),
    }


def test_layers_that_share_channels_share_their_group() -> None:
    model, x = zoo("mobilenet-small")
    plan = dependency_groups(model, x)
    groups = run(model, ChannelConfig(), Context(generator(0)))
    assert groups["block1.expand"].dependency is groups["block1.depthwise"].dependency is plan["block1.expand"]


def test_a_group_that_reaches_beyond_the_layers_asked_for_is_left_whole() -> None:
    model, x = zoo("resnet-small")
    dependency_groups(model, x)
    assert list(run(model, ChannelConfig(), Context(generator(0), layers="block1.conv*"))) == ["block1.conv1"]
    masks = prune(model, MagnitudeConfig(granularity=ChannelConfig()), Context(generator(0), layers="fc"))
    assert masks.keep == masks.channels == {}
    assert masks.notes[-1].startswith("nothing was dropped: no channel of these layers may go")


def test_without_an_image_or_a_trace_it_says_what_it_needs() -> None:
    with pytest.raises(ConfigError, match="needs an example input"):
        run(build("digits-small"), ChannelConfig(), Context(generator(0)))


@pytest.mark.parametrize("scope", ["layer", "global"])
def test_at_any_sparsity_a_layer_keeps_a_channel_and_the_network_runs(scope: str) -> None:
    model = load("digits-small")
    config = MagnitudeConfig.from_dict({"granularity": "channel", "ratio": {"name": "uniform_ratio", "sparsity": 0.99}, "scope": scope})
    masks = prune(model, config, Context(generator(0), load_data("digits")))
    assert [int(keep.sum()) for keep in masks.channels.values()] == [1, 1]
    smaller = apply_masks(Compressed(model, "digits-small"), masks).model
    assert smaller(torch.zeros(2, 1, 8, 8)).shape == (2, 10)
    assert smaller.conv1.weight.shape == (1, 1, 3, 3)
    assert smaller.fc.weight.shape == (10, 4)
    assert model.fc.weight.shape == (10, 64)
