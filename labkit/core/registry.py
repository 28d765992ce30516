"""The catalogue: every method registers itself once, at the end of its own file.

README tables, `labkit methods --json`, the labs' menus and the contract tests are derived from here. Adding a method is
adding its file: the family's folder is imported, file by file, the first time somebody looks.
"""

import importlib
import importlib.util
import pkgutil
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import Executor
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from labkit.core.errors import unknown_name
from labkit.core.params import Config
from labkit.core.progress import SILENT, Progress

if TYPE_CHECKING:
    from torch import Generator, nn

    from labkit.core.records import Masks

_TREES = ("labkit.pruning", "labkit.quantization", "labkit.distillation", "labkit.nas")


@dataclass(frozen=True)
class Context:
    """What a method may use besides the model and its config.

    Attributes:
        data: the splits of the data set (`train`, `held_out`, `test`); None for methods that need no data.
        generator: the only source of randomness.
        layers: glob over layer names; the method treats those that match.
        masks: those in force on the model, None where nothing is pruned.
        progress: reported to, and asked whether to go on.
        executor: runs many evaluations; None means in this process, one after another.
        call: named callables from outside the method's reach (`latency`, `evaluate`, a distillation loss).
    """

    generator: "Generator"
    data: Any = None
    layers: str = "*"
    masks: "Masks | None" = None
    progress: Progress = SILENT
    executor: Executor | None = None
    call: Mapping[str, Callable[..., Any]] = field(default_factory=lambda: MappingProxyType({}))


@dataclass(frozen=True)
class Method:
    """A method of the catalogue.

    Attributes:
        name: its identifier, its file's name and its card's name.
        family: dotted folder below labkit ("pruning.criterion").
        topic: chapter of the catalogue ("bench", "pruning", …).
        config: its settings.
        run: `run(model, config, context) → value`, pure: neither model nor data are changed.
        source: paper, year and identifier.
        labs: names of the labs that show it.
        tiny: makes a (model, config, context) on which `run` ends within a second.
    """

    name: str
    family: str
    topic: str
    config: type[Config]
    run: Callable[["nn.Module", Any, Context], Any]
    source: str
    labs: tuple[str, ...]
    tiny: Callable[[], tuple["nn.Module", Config, Context]]

    def describe(self) -> dict[str, Any]:
        """Return the row that `labkit methods --json` prints."""
        keys = ("name", "default", "low", "high", "step", "choices", "unit", "help")
        specs = []
        for spec in self.config.specs():
            row = {key: getattr(spec, key) for key in keys}
            row["choices"] = [m.name for m in methods(spec.family)] if spec.family else list(spec.choices)
            specs.append(row)
        plain = {key: getattr(self, key) for key in ("name", "family", "topic", "source")}
        return plain | {"labs": list(self.labs), "config": specs}


_METHODS: dict[str, Method] = {}
_BY_CONFIG: dict[type[Config], Method] = {}
_imported = False
_importing = threading.RLock()


def register(method: Method) -> Method:
    """Put a method into the catalogue; called once, at the end of its file.

    Raises:
        ValueError: the name is taken, or the config class serves another method already.
    """
    if method.name in _METHODS or method.config in _BY_CONFIG:
        raise ValueError(f"{method.family}.{method.name} is registered twice, or shares its config class with another method")
    _METHODS[method.name] = _BY_CONFIG[method.config] = method
    return method


def methods(family: str = "") -> list[Method]:
    """Return the registered methods, those of one family or all, sorted by family and name."""
    _import_all()
    found = [method for method in _METHODS.values() if not family or method.family == family]
    return sorted(found, key=lambda method: (method.family, method.name))


def find(name: str, family: str = "") -> Method:
    """Return the method called `name`, within `family` if one is given.

    Raises:
        UnknownNameError: there is none; the message names the nearest.
    """
    known = {method.name: method for method in methods(family)}
    if not isinstance(name, str) or name not in known:  # a recipe may hold anything
        raise unknown_name(f"method of {family}" if family else "method", name, known)
    return known[name]


def method_of(config: Config) -> Method:
    """Return the method that `config` configures.

    Raises:
        UnknownNameError: its class belongs to no registered method.
    """
    _import_all()
    if type(config) not in _BY_CONFIG:
        raise unknown_name("config class", type(config).__name__, [cls.__name__ for cls in _BY_CONFIG])
    return _BY_CONFIG[type(config)]


def _import_all() -> None:
    """Import every public module of the method packages; a file in a family's folder is all that a method needs."""
    global _imported
    with _importing:  # another thread waits for the whole catalogue
        if _imported:
            return
        _imported = True  # before importing: a module may look a method up while it is imported
        try:
            _import_trees()
        except BaseException:
            _imported = False  # a catalogue with holes must not pass for the whole
            raise


def _import_trees() -> None:
    for root in _TREES:
        if importlib.util.find_spec(root) is None:
            continue  # a chapter that is not built yet
        package = importlib.import_module(root)
        for module in pkgutil.walk_packages(package.__path__, root + "."):
            if not any(word.startswith("_") for word in module.name.split(".")):
                importlib.import_module(module.name)
