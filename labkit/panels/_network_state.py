"""What a person chooses in any lab about a network: which one, which of its layers, and what the lab itself adds."""

from dataclasses import dataclass, replace
from typing import TypeVar

from labkit.core.recipe import Recipe
from labkit.execution import RunConfig
from labkit.workbench import Workbench

NETWORKS = ("vgg-small-bn", "resnet-small", "mobilenet-small", "lenet-5", "lenet-300-100")


@dataclass(frozen=True)
class NetworkState:
    """What a person chooses in any lab about a network; a lab's own state adds its settings.

    Attributes:
        network: name in the zoo.
        layer: the one that the views show.
        is_tuned: whether the network on show has had the job that the lab offers; the recipe then has that step too.
    """

    network: str = NETWORKS[0]
    layer: str = ""
    is_tuned: bool = False

    def recipe(self, data: str) -> Recipe:
        """Return the recipe that makes the network on show."""
        raise TypeError(f"{type(self).__name__} must say which recipe it stands for")

    def series(self) -> str:
        """Return the name of the curve that the configuration belongs to in the plane of accuracies."""
        raise TypeError(f"{type(self).__name__} must say which series it belongs to")

    def how(self) -> RunConfig:
        """Return how the network on show is run while it is timed; a lab that is about running says it itself."""
        return RunConfig()


S = TypeVar("S", bound=NetworkState)


def layers_of(bench: Workbench) -> tuple[str, ...]:
    """Return the names of a network's convolutions and linear layers, in order."""
    return tuple(layer.name for layer in bench.layers)


def on_network(state: S, network: str, layers: tuple[str, ...]) -> S:
    """Return the state on a network; the layer stays if that network has it, else one in the middle is chosen."""
    layer = state.layer if state.layer in layers and state.network == network else layers[len(layers) // 2]
    return replace(state, network=network, layer=layer)
