"""What a lab shows as a short Python program: the library's face, generated from settings."""

from collections.abc import Mapping, Set
from pathlib import Path
from typing import Any

import anywidget
import traitlets

from labkit.core.params import Config
from labkit.core.recipe import Recipe, Step

WIDTH = 88  # columns, as formatters have it


class Code(anywidget.AnyWidget):
    """A program with a button that copies it."""

    _esm = Path(__file__).parent / "_static" / "code.js"
    text = traitlets.Unicode("").tag(sync=True)


def script(used: Mapping[str, Set[str]], values: Mapping[str, Config | Recipe], end: str, standard: str = "") -> str:
    """Return a program: what it imports, every value spelled out under its name, and what it does with them.

    Args:
        used: module → names that `end` needs of it, beside the types of the values.
        values: name → settings.
        end: the lines that use them, each with its line end.
        standard: import of the standard library, if any.
    """
    head = [standard, ""] if standard else []
    spelled = [f"{name} = {_written(value, 0, len(name) + 2)}" for name, value in values.items()]  # " = ", but no comma behind it
    return "\n".join([*head, *_imports(used, tuple(values.values())), "", *spelled, "", end])


def _imports(used: Mapping[str, Set[str]], values: tuple[Config | Step | Recipe, ...]) -> list[str]:
    found = {module: set(names) for module, names in used.items()}
    for value in _with_parts(values):
        if not isinstance(value, Step):
            found.setdefault(type(value).__module__, set()).add(type(value).__name__)
    return [f"from {module} import {', '.join(sorted(names))}" for module, names in sorted(found.items())]


def _with_parts(values: tuple[Any, ...]) -> list[Config | Step | Recipe]:
    out: list[Config | Step | Recipe] = []
    for value in values:
        if isinstance(value, tuple):
            out += _with_parts(value)
        elif isinstance(value, Config | Step | Recipe):
            out += [value, *_with_parts(tuple(each for _, each in _arguments(value)))]
    return out


def _arguments(value: Config | Step | Recipe) -> list[tuple[str, Any]]:
    if isinstance(value, Recipe):
        seed = [("seed", value.seed)] if value.seed else []
        return [("network", value.network), ("data", value.data), ("steps", value.steps), *seed]
    if isinstance(value, Step):
        return [("", value.config), *([("layers", value.layers)] if value.layers != "*" else [])]
    return [(spec.name, getattr(value, spec.name)) for spec in value.specs()]


def _written(value: Any, indent: int, before: int) -> str:
    """Return a value as Python, in one line if it fits after `before` columns, else with a line for each of its parts."""
    if isinstance(value, Config | Step | Recipe):
        return _call(type(value).__name__, _arguments(value), indent, before)
    if isinstance(value, tuple):
        return _call("", [("", each) for each in value], indent, before)
    return text(value) if isinstance(value, str) else repr(value)


def _call(name: str, arguments: list[tuple[str, Any]], indent: int, before: int = 0) -> str:
    """Return `name(arguments)`, a tuple where the name is empty."""
    short = ", ".join(f"{key}={_written(value, 0, -10_000)}" if key else _written(value, 0, -10_000) for key, value in arguments)
    comma = "," if not name and len(arguments) == 1 else ""
    if "\n" not in short and indent + before + len(f"{name}({short}{comma}),") <= WIDTH:
        return f"{name}({short}{comma})"
    deeper = indent + 4
    lines = []
    for key, value in arguments:
        start = f"{key}=" if key else ""
        lines.append(f"{' ' * deeper}{start}{_written(value, deeper, len(start))},\n")
    return f"{name}(\n{''.join(lines)}{' ' * indent})"


def text(value: str) -> str:
    """Return a text as formatters write it, in double quotes where that needs no escape."""
    plain = repr(value)
    return f'"{plain[1:-1]}"' if plain.startswith("'") and '"' not in value and "\\" not in plain else plain
