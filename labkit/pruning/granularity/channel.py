"""Channels: a filter goes together with everything that depends on it, and the layers really shrink.

A group is one channel of a dependency group; its score is the sum of the scores of all filters that make the channel.
Source     Li et al. 2016, arXiv:1608.08710; groups: Fang et al. 2023, arXiv:2301.12900.
Deviation  The network's input and its logits never shrink; a group is left whole where `layers` matches only a part of it.
"""

from collections.abc import Container
from dataclasses import dataclass

from torch import nn

from labkit.core.params import Config
from labkit.core.registry import Context, Method, register
from labkit.core.seeds import generator
from labkit.data import load as load_data
from labkit.models import load
from labkit.models.layers import compressible
from labkit.pruning.dependency import DependencyGroup, DependencyGroups, dependency_groups, example_of
from labkit.pruning.groups import Groups


@dataclass(frozen=True, kw_only=True)
class ChannelConfig(Config):
    """Has nothing to set."""


def channel_groups(model: nn.Module, plan: DependencyGroups, layers: Container[str]) -> dict[str, Groups]:
    """Make the filters of each layer groups, channel by channel of its dependency group.

    Args:
        model: the network.
        plan: its dependency groups.
        layers: names of the layers that may be pruned.

    Returns:
        Layer → its groups, for the layers whose dependency group may shrink and lies within `layers`.
    """
    free = [group for group in plan if not group.fixed and all(layer in layers for layer in group.producers)]
    return {layer: _filters(model, layer, group) for group in free for layer in group.producers}


def run(model: nn.Module, config: ChannelConfig, context: Context) -> dict[str, Groups]:
    """Return the groups of each layer that `context.layers` matches; shapes come from the context's data."""
    return channel_groups(model, dependency_groups(model, example_of(context)), compressible(model, context.layers))


def _filters(model: nn.Module, layer: str, group: DependencyGroup) -> Groups:
    shape = tuple(model.get_parameter(f"{layer}.weight").shape)
    index = group.producers[layer].index.view(-1, *[1] * (len(shape) - 1))  # (c_o, 1, 1, 1)
    return Groups(shape, group.channels, index, dependency=group)


def _tiny() -> tuple[nn.Module, ChannelConfig, Context]:
    return load("digits-small"), ChannelConfig(), Context(generator(0), load_data("digits"))


register(
    Method(
        name="channel",
        family="pruning.granularity",
        topic="bench",
        config=ChannelConfig,
        run=run,
        source="Li et al. 2016, arXiv:1608.08710; Fang et al. 2023, arXiv:2301.12900",
        labs=("02_pruning_granularity", "05_finetuning_and_iteration"),
        tiny=_tiny,
    )
)
