"""What in a model can be compressed: its convolutions and linear layers, by name."""

from collections.abc import Iterable
from fnmatch import fnmatchcase

from torch import nn

from labkit.core.errors import ConfigError


def weight_layers(model: nn.Module) -> dict[str, nn.Conv2d | nn.Linear]:
    """Return the layers whose weight can be pruned or quantized, name → module, in the order in which they are defined."""
    return {name: module for name, module in model.named_modules() if isinstance(module, nn.Conv2d | nn.Linear)}


def matching(names: Iterable[str], glob: str) -> list[str]:
    """Return the names that match a shell pattern (`*`, `?`, `[…]`), in their order.

    Raises:
        ConfigError: none does; the message lists the names.
    """
    known = list(names)
    found = [name for name in known if fnmatchcase(name, glob)]
    if not found:
        raise ConfigError(f"layers must match a layer of the network, got {glob!r}: its layers are {', '.join(known) or 'none'}")
    return found
