"""A lab's present network as a short Python program: the library's face, generated from the recipe."""

from pathlib import Path
from typing import Any

import anywidget
import traitlets

from labkit.core.params import Config
from labkit.core.recipe import Recipe, Step
from labkit.execution import RunConfig

AS_USUAL = RunConfig()
WIDTH = 88  # columns, as formatters have it
_END = """\
result = flow.run(recipe)  # data → model → compress → pack → compile → measure
found = result.measurement
print(f"accuracy  {{found.accuracy.share:.2%}} of {{found.accuracy.n:,}} test images")
print(f"size      {{found.packed_bytes:,}} bytes")

images = flow.load_data(recipe).test{cut}
latency = flow.with_latency(found, result.compressed, images{formats}).latency
print(f"latency   {{latency.median_ms:.2f}} ms for {{latency.batch}} images, one thread")
"""


class Code(anywidget.AnyWidget):
    """A program with a button that copies it."""

    _esm = Path(__file__).parent / "_static" / "code.js"
    text = traitlets.Unicode("").tag(sync=True)


def program(recipe: Recipe, how: RunConfig = AS_USUAL) -> str:
    """Return a program that carries a recipe out, measures the network and saves it; with every setting spelled out.

    Args:
        recipe: to be carried out.
        how: the network is run while it is timed.
    """
    cut = "" if how.batch == AS_USUAL.batch else f"[:{how.batch}]"
    formats = "" if how.format == "auto" else f", formats={_text(how.format)}"
    steps = tuple(step.config for step in recipe.steps)
    name = f"{recipe.network}-{recipe.digest}.labkit"
    return "\n".join(
        (
            "from pathlib import Path",
            "",
            *_imports(steps),
            "",
            f"recipe = {_call('Recipe', _recipe_arguments(recipe), 0)}",
            "",
            f"{_END.format(cut=cut, formats=formats)}Path({_text(name)}).write_bytes(result.file)",
            "",
        )
    )


def _imports(configs: tuple[Config, ...]) -> list[str]:
    found: dict[str, set[str]] = {"labkit": {"flow"}, "labkit.core.recipe": {"Recipe", "Step"}}
    for config in _with_parts(configs):
        found.setdefault(type(config).__module__, set()).add(type(config).__name__)
    return [f"from {module} import {', '.join(sorted(names))}" for module, names in sorted(found.items())]


def _with_parts(configs: tuple[Config, ...]) -> list[Config]:
    out: list[Config] = []
    for config in configs:
        parts = tuple(value for spec in config.specs() if isinstance(value := getattr(config, spec.name), Config))
        out += [config, *_with_parts(parts)]
    return out


def _recipe_arguments(recipe: Recipe) -> list[tuple[str, Any]]:
    seed = [("seed", recipe.seed)] if recipe.seed else []
    return [("network", recipe.network), ("data", recipe.data), ("steps", recipe.steps), *seed]


def _arguments(value: Config | Step) -> list[tuple[str, Any]]:
    if isinstance(value, Step):
        return [("", value.config), *([("layers", value.layers)] if value.layers != "*" else [])]
    return [(spec.name, getattr(value, spec.name)) for spec in value.specs()]


def _written(value: Any, indent: int, before: int) -> str:
    """Return a value as Python, in one line if it fits after `before` columns, else with a line for each of its parts."""
    if isinstance(value, Config | Step):
        return _call(type(value).__name__, _arguments(value), indent, before)
    if isinstance(value, tuple):
        return _call("", [("", each) for each in value], indent, before)
    return _text(value) if isinstance(value, str) else repr(value)


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


def _text(value: str) -> str:
    """Return a text as formatters write it, in double quotes where that needs no escape."""
    plain = repr(value)
    return f'"{plain[1:-1]}"' if plain.startswith("'") and '"' not in value and "\\" not in plain else plain
