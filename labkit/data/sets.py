"""The data sets by name."""

from typing import NamedTuple

from labkit.core.errors import DataError, unknown_name
from labkit.data.images import Splits

_MODULES = {"fashion-mnist": "labkit.data.fashion_mnist", "digits": "labkit.data.digits"}


class Description(NamedTuple):
    """What is known of a set without loading it.

    Attributes:
        name: its name.
        train, held_out, test: images that come with labkit, by part.
        full: a sentence: whether there is more, and where it was found.
    """

    name: str
    train: int
    held_out: int
    test: int
    full: str


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


def describe() -> tuple[Description, ...]:
    """Return a row for each set: what comes with labkit, and where more was found. A wrong LABKIT_DATA is told in its row."""
    from labkit.data import digits, fashion_mnist

    shipped = (fashion_mnist.SHIPPED - fashion_mnist.HELD_OUT, fashion_mnist.HELD_OUT, fashion_mnist.COUNTS["test"])
    return (
        Description("fashion-mnist", *shipped, _where_full()),
        Description("digits", *digits.SIZES, "all of it comes with scikit-learn"),
    )


def _where_full() -> str:
    from labkit.data.fashion_mnist import find_full

    try:
        folder = find_full()
    except DataError as error:
        return str(error)
    return f"56,000 to train on in {folder}" if folder else "not found; `labkit data fetch fashion-mnist` brings 56,000 to train on"
