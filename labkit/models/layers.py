"""What in a network can be compressed: the weights of its convolutions and linear layers."""

from fnmatch import fnmatchcase

from torch import nn

from labkit.core.errors import unknown_name

Layer = nn.Conv2d | nn.Linear


def compressible(model: nn.Module, pattern: str = "*") -> dict[str, Layer]:
    """Return the convolutions and linear layers of `model` by name, in the order of its modules.

    Args:
        model: any torch module.
        pattern: glob over the names ("*", "features.*", "classifier").

    Raises:
        UnknownNameError: the pattern matches no layer; the message lists the names.
    """
    layers = {name: module for name, module in model.named_modules() if isinstance(module, nn.Conv2d | nn.Linear)}
    found = {name: module for name, module in layers.items() if fnmatchcase(name, pattern)}
    if not found:
        raise unknown_name("layer", pattern, layers)
    return found
