"""Recipes in words: what one does otherwise than another, setting by setting."""

from labkit.core.params import Config
from labkit.core.recipe import Recipe, Step
from labkit.core.registry import method_of
from labkit.execution import RunConfig


def label(recipe: Recipe, first: Recipe, reached: float | None = None) -> str:
    """Say in words what a recipe does otherwise than the lab's first one.

    Args:
        recipe: to be described.
        first: of the lab as it opens.
        reached: share of the last step's training that was done when it was cancelled; None where nothing was.
    """
    said: list[str] = []
    for n, step in enumerate(recipe.steps):
        was = first.steps[n] if n < len(first.steps) and first.steps[n].method == step.method else None
        if reached is not None and n == len(recipe.steps) - 1:
            said.append(f"tuned, {reached * getattr(step.config, 'epochs', 1):.1f} epochs")
            continue
        if was is None:
            said.append("tuned" if hasattr(step.config, "epochs") else _words(step.method))
        said += differences(step, was or Step(type(step.config)()))
    return ", ".join(said) or "as the lab opens"


def how_in_words(how: RunConfig, first: RunConfig) -> list[str]:
    """Say what of the way a network is run differs from the lab's first one."""
    said = ["one image at a time" if how.batch == 1 else f"{how.batch} images"] if how.batch != first.batch else []
    return [*said, *([f"format {_words(how.format)}"] if how.format != first.format else [])]


def differences(step: Step, other: Step) -> list[str]:
    """Say each setting of a step that the other one has not, in words and in order."""
    theirs = settings(other.config)
    said = [text for path, text in settings(step.config).items() if theirs.get(path) != text]
    return said if step.layers == other.layers else [*said, f"layers {step.layers}"]


def settings(config: Config, path: tuple[str, ...] = ()) -> dict[tuple[str, ...], str]:
    """Say every setting of a config in words, by its path; a part is said by its method's name."""
    out: dict[tuple[str, ...], str] = {}
    for spec in config.specs():
        value, place = getattr(config, spec.name), (*path, spec.name)
        if isinstance(value, Config):
            out[place] = _words(method_of(value).name)
            out |= settings(value, place)
        elif isinstance(value, bool):
            out[place] = f"{'' if value else 'no '}{_words(spec.name)}"
        elif isinstance(value, str):
            out[place] = f"{_words(spec.name)} {value}"
        else:
            out[place] = f"{_words(spec.name)} " + (f"{100 * value:g}%" if spec.unit == "share" else f"{value:g} {spec.unit}".strip())
    return out


def setting_rows(first: Recipe, second: Recipe) -> list[tuple[str, str, str]]:
    """Return (setting, in the first, in the second) of every setting in which two recipes differ."""
    rows = [("network", first.network, second.network), ("seed", str(first.seed), str(second.seed))]
    for n in range(max(len(first.steps), len(second.steps))):
        one, other = (recipe.steps[n] if n < len(recipe.steps) else None for recipe in (first, second))
        rows.append((f"step {n + 1}", one.method if one else "–", other.method if other else "–"))
        rows.append(("layers", one.layers if one else "–", other.layers if other else "–"))
        said = [_said(step.config) if step else {} for step in (one, other)]
        rows += [(name, said[0].get(name, "–"), said[1].get(name, "–")) for name in said[0] | said[1]]
    return [row for row in rows if row[1] != row[2]]


def _said(config: Config) -> dict[str, str]:
    """Return each setting of a config in words, by its name in words."""
    out = {}
    for path, text in settings(config).items():
        name = path[-1].replace("_", " ")
        out[name] = text.removeprefix(f"{name} ")
    return out


def _words(name: str) -> str:
    return name.replace("_", " ")
