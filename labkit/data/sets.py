"""The data sets by name."""

from labkit.core.errors import unknown_name
from labkit.data.images import Splits

_MODULES = {"fashion-mnist": "labkit.data.fashion_mnist", "digits": "labkit.data.digits"}


def names() -> tuple[str, ...]:
    """Return the names of the data sets."""
    return tuple(_MODULES)


def load(name: str, full: bool = False) -> Splits:
    """Load a data set in its three parts.

    Args:
        name: one of `names()`.
        full: use the full training set, not only what is shipped.

    Raises:
        UnknownNameError: there is no such set.
        DataError: its files are missing or damaged.
    """
    import importlib

    if name not in _MODULES:
        raise unknown_name("data set", name, _MODULES)
    splits: Splits = importlib.import_module(_MODULES[name]).load(full)
    return splits
