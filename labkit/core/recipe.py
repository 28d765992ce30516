"""A recipe: everything that decides a compressed network, as a file that a person can read and a machine can replay.

    version: 1
    network: vgg-small-bn
    data: fashion-mnist
    seed: 0
    steps:
      - method: magnitude
        granularity: {name: weight}
        ratio: {name: uniform_ratio, sparsity: 0.9}
        scope: global
      - method: masked_finetune
        epochs: 1

A step names a registered method; every other key but `layers` (a glob over layer names) is a field of its config. What
is left out takes its default, and `to_dict` writes every field, so that a saved recipe does not change when a default does.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from labkit.core import _yaml
from labkit.core.errors import ConfigError, LabkitError, shown, unknown_name
from labkit.core.files import read_limited, write_atomic
from labkit.core.params import Config, canonical_json
from labkit.core.registry import find, method_of

VERSION = 1
MOST_BYTES = 1 << 18
_KEYS = ("version", "network", "data", "seed", "steps")


@dataclass(frozen=True)
class Step:
    """One method with its settings, on the layers that match a glob."""

    config: Config
    layers: str = "*"

    @property
    def method(self) -> str:
        return method_of(self.config).name

    def to_dict(self) -> dict[str, Any]:
        """Return the step as plain values, every field written out."""
        return {"method": self.method, "layers": self.layers, **self.config.to_dict()}


@dataclass(frozen=True)
class Recipe:
    """A network, a data set, a seed and the steps that compress it, in order.

    Attributes:
        network: name in the zoo.
        data: name of the data set.
        steps: carried out one after the other.
        seed: of everything random.
    """

    network: str
    data: str
    steps: tuple[Step, ...]
    seed: int = 0

    @property
    def digest(self) -> str:
        """Name of the run: 12 hexadecimal digits of the hash of all fields."""
        return hashlib.sha256(canonical_json(self.to_dict()).encode()).hexdigest()[:12]

    def to_dict(self) -> dict[str, Any]:
        """Return the recipe as plain values, every field written out."""
        steps = [step.to_dict() for step in self.steps]
        return {"version": VERSION, "network": self.network, "data": self.data, "seed": self.seed, "steps": steps}

    def to_yaml(self) -> str:
        """Return the recipe as YAML."""
        return _yaml.dump(self.to_dict())

    def write(self, path: Path) -> None:
        """Write the recipe to a YAML file."""
        write_atomic(path, self.to_yaml().encode())


def from_dict(values: Any) -> Recipe:
    """Make a recipe from plain values.

    Raises:
        ConfigError: something is missing, of the wrong type, out of range or of another version.
        UnknownNameError: a method or a setting does not exist.
    """
    if not isinstance(values, Mapping):
        raise ConfigError(f"a recipe must be a mapping with {', '.join(_KEYS)}, got {_kind(values)}")
    for key in values:
        if key not in _KEYS:
            raise unknown_name("key of a recipe", key, _KEYS)
    if type(values.get("version")) is not int or values["version"] != VERSION:
        raise ConfigError(f"the recipe's version must be {VERSION}, got {_kind(values.get('version'))}: this labkit reads no other")
    for key in ("network", "data"):
        if not isinstance(values.get(key), str):
            raise ConfigError(f"the recipe's {key} must be a name, got {_kind(values.get(key))}")
    seed, steps = values.get("seed", 0), values.get("steps")
    if isinstance(seed, bool) or not isinstance(seed, int) or not 0 <= seed < 2**63:
        raise ConfigError(f"the recipe's seed must be a whole number from 0 to 2^63 - 1, got {shown(seed)}")
    if not isinstance(steps, list) or not steps:
        raise ConfigError(f"the recipe's steps must be a list of at least one step, got {_kind(steps)}")
    made = tuple(_step(n, step) for n, step in enumerate(steps, start=1))
    return Recipe(values["network"], values["data"], made, seed)


def from_yaml(text: str) -> Recipe:
    """Read a recipe from YAML (or JSON, which is YAML); see `from_dict` for what is refused.

    Raises:
        ConfigError: the text is empty, is not YAML, says something twice, is nested deeply or uses aliases or tags.
    """
    values = _yaml.load(text, "recipe")
    if values is None:
        raise ConfigError("the recipe is empty: it needs version, network, data and steps")
    return from_dict(values)


def read(path: Path) -> Recipe:
    """Read a recipe from a file; errors name it.

    Raises:
        FileFormatError: the file cannot be read.
        ConfigError: its text is not a recipe.
    """
    raw = read_limited(path, MOST_BYTES)
    try:
        return from_yaml(raw.decode())
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: a recipe must be UTF-8 text") from error
    except LabkitError as error:
        raise type(error)(f"{path}: {error}") from error


def _step(n: int, values: Any) -> Step:
    if not isinstance(values, Mapping) or not isinstance(values.get("method"), str):
        raise ConfigError(f"step {n} must be a mapping with a method, got {_kind(values)}")
    layers = values.get("layers", "*")
    if not isinstance(layers, str):
        raise ConfigError(f"step {n}: layers must be a glob over layer names, got {shown(layers)}")
    fields = {key: value for key, value in values.items() if key not in ("method", "layers")}
    try:
        return Step(find(values["method"]).config.from_dict(fields), layers)
    except LabkitError as error:
        raise type(error)(f"step {n}: {error}") from error


def _kind(value: Any) -> str:
    """Return the type of a value that is wrong, and the value: `1` may be a number or a text."""
    return "nothing" if value is None else f"{type(value).__name__} {shown(value)}"
