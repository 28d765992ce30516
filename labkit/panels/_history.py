"""The history of a lab: every setting that has settled, in words and figures, with at most two of them pinned.

An entry stands for one recipe. Measured again, it is replaced where it stands, so that no row jumps; the oldest one goes
when there are too many.
"""

import csv
import io
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from labkit.core.params import Config, canonical_json
from labkit.core.recipe import Recipe, Step
from labkit.core.records import Accuracy, Cost
from labkit.core.registry import method_of
from labkit.execution import RunConfig
from labkit.panels._measured import Measured, costs_of
from labkit.workbench import Timing, Workbench

MOST_ENTRIES = 200  # the predictions of one are 10 kB
MOST_PINS = 2
LETTERS = ("A", "B")
_FORMULA = ("=", "+", "-", "@", "\t", "\r")  # what a spreadsheet takes for the beginning of one


@dataclass(frozen=True)
class Entry:
    """One setting that has settled.

    Attributes:
        state: the lab's state, to go back to.
        recipe: what makes the network.
        label: in words, what differs from the lab's first settings.
        series: the curve that it belongs to.
        accuracy: on all test images, with its predictions as int8 (n,).
        zeros: share of the dense network's weights that are gone.
        size: bytes of the file.
        cost: parameters and MACs.
        energy_uj: modelled, of one inference.
        timing: None until it is measured.
        reached: share of the last step's training that was done when it was cancelled; None where nothing was.
        how: it was run while it was timed.
    """

    state: Any
    recipe: Recipe
    label: str
    series: str
    accuracy: Accuracy
    zeros: float
    size: int
    cost: Cost
    energy_uj: float
    timing: Timing | None = None
    reached: float | None = None
    how: RunConfig = field(default_factory=RunConfig)

    @property
    def key(self) -> str:
        return key_of(self.recipe, self.how)

    @property
    def costs(self) -> dict[str, float | None]:
        """What it costs, by the name of the plane's axis."""
        return costs_of(self.size, self.cost, self.timing, self.zeros)


def entry_of(state: Any, label: str, found: Measured, bench: Workbench) -> Entry:
    """Return the entry of a state whose network was measured on all test images.

    Args:
        state: of the lab, a `NetworkState`.
        label: in words, what it does otherwise than the lab's first state.
        found: what is known of its network.
        bench: of that network.
    """
    if found.accuracy is None:
        raise TypeError("a setting whose accuracy is not known has not settled")
    recipe: Recipe = state.recipe(bench.card.data)
    return Entry(
        state=state,
        recipe=recipe,
        label=label,
        series=state.series(),
        accuracy=found.accuracy,
        zeros=found.sketch.zeros,
        size=found.size,
        cost=found.cost,
        energy_uj=sum(bench.energy(found.cost, found.size).values()),
        timing=found.own_timing,
        reached=bench.reached(recipe),
        how=state.how(),
    )


def key_of(recipe: Recipe, how: RunConfig) -> str:
    """Return what tells one setting from all others: the recipe, and how it is run where that is not as usual."""
    return recipe.digest if how == RunConfig() else f"{recipe.digest} {how.format} {how.batch}"


def how_in_words(how: RunConfig, first: RunConfig) -> list[str]:
    """Say what of the way a network is run differs from the lab's first one."""
    said = ["one image at a time" if how.batch == 1 else f"{how.batch} images"] if how.batch != first.batch else []
    return [*said, *([f"format {_words(how.format)}"] if how.format != first.format else [])]


class History:
    """The entries of a lab, oldest first, and the keys of those that are pinned."""

    def __init__(self) -> None:
        self._entries: dict[str, Entry] = {}
        self.pins: tuple[str, ...] = ()

    def __iter__(self) -> Iterator[Entry]:
        return iter(self._entries.values())

    def __len__(self) -> int:
        return len(self._entries)

    def find(self, key: str) -> Entry | None:
        """Return an entry by its key; None where there is none (any more)."""
        return self._entries.get(key)

    def add(self, entry: Entry) -> None:
        """Put an entry in, in the place of the one with the same recipe if there is one."""
        before = self._entries.get(entry.key)
        if before is not None and entry.timing is None and before.reached == entry.reached:
            entry = replace(entry, timing=before.timing)  # until it is measured again
        self._entries[entry.key] = replace(entry, accuracy=_compact(entry.accuracy))
        if len(self._entries) > MOST_ENTRIES:
            self._entries.pop(next(key for key in self._entries if key not in self.pins))

    def pin(self, key: str) -> None:
        """Pin an entry, or let it go if it is pinned; a third one takes the place of the one pinned first."""
        if key in self.pins:
            self.pins = tuple(each for each in self.pins if each != key)
        elif key in self._entries:
            self.pins = (*self.pins, key)[-MOST_PINS:]

    @property
    def pinned(self) -> tuple[Entry, ...]:
        """The pinned entries, in the order in which they were pinned."""
        return tuple(self._entries[key] for key in self.pins)

    def letters(self) -> dict[str, str]:
        """Return the letter of each pinned entry, by key."""
        return dict(zip(self.pins, LETTERS, strict=False))


def _compact(accuracy: Accuracy) -> Accuracy:
    """Return the accuracy with its predictions in a byte each: no set here has more than 127 classes."""
    return accuracy if accuracy.predictions is None else replace(accuracy, predictions=accuracy.predictions.char())


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


def _words(name: str) -> str:
    return name.replace("_", " ")


def table_csv(history: History) -> bytes:
    """Return the history as CSV (RFC 4180, UTF-8), oldest first, with units in the header.

    A text that a spreadsheet would run as a formula gets an apostrophe in front.
    """
    out = io.StringIO()
    rows = [_csv_row(entry) for entry in history]
    writer = csv.DictWriter(out, list(rows[0]) if rows else ["setting"], lineterminator="\r\n")
    writer.writeheader()
    writer.writerows({name: _harmless(value) for name, value in row.items()} for row in rows)
    return out.getvalue().encode()


def _csv_row(entry: Entry) -> Mapping[str, Any]:
    found, timing = entry.accuracy, entry.timing
    return {
        "setting": entry.label,
        "network": entry.recipe.network,
        "series": entry.series,
        "accuracy (share of test images)": f"{found.share:.6f}",
        "accuracy low (95 %)": f"{found.low:.6f}",
        "accuracy high (95 %)": f"{found.high:.6f}",
        "correct (images)": found.correct,
        "tested (images)": found.n,
        "zeros (share of weights)": f"{entry.zeros:.6f}",
        "size (bytes)": entry.size,
        "parameters": entry.cost.parameters,
        "MACs": entry.cost.macs,
        "MACs with a weight not zero": entry.cost.effective_macs,
        "energy, modelled (microjoules)": f"{entry.energy_uj:.3f}",
        "latency median (ms a batch)": "" if timing is None else f"{timing.latency.median_ms:.4f}",
        "formats asked for": entry.how.format,
        "latency batch (images)": "" if timing is None else timing.latency.batch,
        "times faster than dense": "" if timing is None else f"{timing.ratio:.3f}",
        "training reached (share)": "" if entry.reached is None else f"{entry.reached:.3f}",
        "recipe digest": entry.key,
        "recipe (JSON)": canonical_json(entry.recipe.to_dict()),
    }


def _harmless(value: Any) -> Any:
    return f"'{value}" if isinstance(value, str) and value.startswith(_FORMULA) else value
