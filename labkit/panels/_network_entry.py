"""The settings of a compressed network as entries of a history: their figures in the table, side by side, in the CSV and the plane."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any, Self

from labkit.core.params import canonical_json
from labkit.core.recipe import Recipe
from labkit.core.records import Accuracy, Cost
from labkit.execution import RunConfig
from labkit.panels import _strip
from labkit.panels._history import Column, Entry, Sheet
from labkit.panels._measured import Measured, costs_of
from labkit.panels._plane import Axis, Dot
from labkit.workbench import Timing, Workbench

AXES = MappingProxyType(
    {
        "size on disk": Axis("size on disk, kB", lambda cost: f"{cost:.3g} kB", True, False, "smaller"),
        "MACs": Axis("MACs per image with a weight not zero, millions", lambda cost: f"{cost:.3g} M", True, False, "cheaper"),
        "latency here": Axis("latency of a batch here, ms", lambda cost: f"{cost:.3g} ms", True, False, "faster"),
        "speed here": Axis("times as fast as dense here", lambda cost: f"{cost:.3g} × dense", True, True, "faster"),
        "share of zeros": Axis("share of weights that are gone", lambda cost: f"{cost:.0%} zeros", False, True, "sparser"),
    }
)
ACCURACY = Axis("test accuracy", lambda share: f"{share:.1%}", False, True, "more accurate")
INTERVAL = "with its 95 % interval"


@dataclass(frozen=True)
class NetworkEntry(Entry):
    """One setting of a network that has settled; it stands for one recipe and one way to run it.

    Attributes:
        recipe: what makes the network.
        accuracy: on all test images, with its predictions as int8 (n,).
        zeros: share of the dense network's weights that are gone.
        size, dense_size: bytes of the file, and of the dense network's.
        cost: parameters and MACs.
        energy_uj: modelled, of one inference.
        timing: None until it is measured.
        reached: share of the last step's training that was done when it was cancelled; None where nothing was.
        how: it was run while it was timed.
    """

    recipe: Recipe
    accuracy: Accuracy
    zeros: float
    size: int
    dense_size: int
    cost: Cost
    energy_uj: float
    timing: Timing | None = None
    reached: float | None = None
    how: RunConfig = field(default_factory=RunConfig)

    @property
    def key(self) -> str:
        return key_of(self.recipe, self.how)

    @property
    def where(self) -> str:
        return self.recipe.network

    @property
    def y(self) -> float:
        return self.accuracy.share

    @property
    def costs(self) -> dict[str, float | None]:
        return costs_of(self.size, self.cost, self.timing, self.zeros)

    def kept(self, before: Self | None) -> Self:
        """Return it with a byte for each prediction, and with the last timing of the same network until there is a new one."""
        timing = self.timing
        if before is not None and timing is None and before.reached == self.reached:
            timing = before.timing
        return replace(self, accuracy=_compact(self.accuracy), timing=timing)


def entry_of(state: Any, label: str, found: Measured, bench: Workbench) -> NetworkEntry:
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
    return NetworkEntry(
        state=state,
        label=label,
        series=state.series(),
        recipe=recipe,
        accuracy=found.accuracy,
        zeros=found.sketch.zeros,
        size=found.size,
        dense_size=len(bench.dense_file),
        cost=found.cost,
        energy_uj=sum(bench.energy(found.cost, found.size).values()),
        timing=found.own_timing,
        reached=bench.reached(recipe),
        how=state.how(),
    )


def key_of(recipe: Recipe, how: RunConfig) -> str:
    """Return what tells one setting from all others: the recipe, and how it is run where that is not as usual."""
    return recipe.digest if how == RunConfig() else f"{recipe.digest} {how.format} {how.batch}"


def in_plane(entries: Sequence[NetworkEntry], bench: Workbench) -> tuple[list[Dot], Dot]:
    """Return the settings of one network as dots, and the dense network.

    Args:
        entries: of any networks.
        bench: of the network that is drawn.
    """
    own = [entry for entry in entries if entry.recipe.network == bench.network]
    timed = [entry.timing.dense for entry in own if entry.timing is not None]
    batch = timed[-1].batch if timed else 0
    dots = [Dot(entry.key, entry.label, entry.series, entry.y, _side_by_side(entry, batch)) for entry in own]
    here = {"latency here": timed[-1].median_ms if timed else None, "speed here": 1.0}
    costs = costs_of(len(bench.dense_file), bench.dense_cost, None, 0.0) | here
    return dots, Dot("", "the dense network", "dense", bench.card.accuracy, costs)


def _side_by_side(entry: NetworkEntry, batch: int) -> dict[str, float | None]:
    """Return an entry's costs; its milliseconds only where they are of the batch that is drawn, since no others compare."""
    same = entry.timing is not None and entry.timing.latency.batch == batch
    return entry.costs if same else entry.costs | {"latency here": None}


def _compact(accuracy: Accuracy) -> Accuracy:
    """Return the accuracy with its predictions in a byte each: no set here has more than 127 classes."""
    return accuracy if accuracy.predictions is None else replace(accuracy, predictions=accuracy.predictions.char())


def _plus_minus(accuracy: Accuracy, digits: int) -> str:
    return f"{accuracy.share:.2%} ± {50 * (accuracy.high - accuracy.low):.{digits}f}"


def _timed(entry: NetworkEntry) -> str:
    timing = entry.timing
    return "…" if timing is None else f"{timing.latency.median_ms:.2f} ms · {timing.ratio:.1f}×"


def _timed_in_words(entry: NetworkEntry) -> str:
    timing = entry.timing
    return "not measured" if timing is None else f"{timing.latency.median_ms:.2f} ms, {timing.ratio:.1f}× as fast as dense"


def _median_ms(entry: NetworkEntry) -> float | None:
    return None if entry.timing is None else entry.timing.latency.median_ms


SHEET = Sheet[NetworkEntry](
    table=(
        Column("accuracy", lambda entry: _plus_minus(entry.accuracy, 1), lambda entry: entry.accuracy.share),
        Column("zeros", lambda entry: f"{entry.zeros:.1%}", lambda entry: entry.zeros),
        Column(
            "size",
            lambda entry: f"{_strip.kilobytes(entry.size)} · {entry.dense_size / entry.size:.1f}×",
            lambda entry: entry.size,
        ),
        Column("MACs", lambda entry: _strip.millions(entry.cost.effective_macs), lambda entry: entry.cost.effective_macs),
        Column("latency", _timed, _median_ms),
        Column("energy", lambda entry: f"{entry.energy_uj:.0f} µJ", lambda entry: entry.energy_uj),
    ),
    compared=(
        Column("accuracy", lambda entry: _plus_minus(entry.accuracy, 2)),
        Column("zeros", lambda entry: f"{entry.zeros:.1%}"),
        Column("size on disk", lambda entry: _strip.kilobytes(entry.size)),
        Column("MACs", lambda entry: f"{_strip.millions(entry.cost.effective_macs)} of {_strip.millions(entry.cost.macs)}"),
        Column("latency here", _timed_in_words),
        Column("energy, modelled", lambda entry: f"{entry.energy_uj:.1f} µJ"),
    ),
    saved=(
        Column("setting", lambda entry: entry.label),
        Column("network", lambda entry: entry.recipe.network),
        Column("series", lambda entry: entry.series),
        Column("accuracy (share of test images)", lambda entry: f"{entry.accuracy.share:.6f}"),
        Column("accuracy low (95 %)", lambda entry: f"{entry.accuracy.low:.6f}"),
        Column("accuracy high (95 %)", lambda entry: f"{entry.accuracy.high:.6f}"),
        Column("correct (images)", lambda entry: entry.accuracy.correct),
        Column("tested (images)", lambda entry: entry.accuracy.n),
        Column("zeros (share of weights)", lambda entry: f"{entry.zeros:.6f}"),
        Column("size (bytes)", lambda entry: entry.size),
        Column("parameters", lambda entry: entry.cost.parameters),
        Column("MACs", lambda entry: entry.cost.macs),
        Column("MACs with a weight not zero", lambda entry: entry.cost.effective_macs),
        Column("energy, modelled (microjoules)", lambda entry: f"{entry.energy_uj:.3f}"),
        Column("latency median (ms a batch)", lambda entry: "" if entry.timing is None else f"{entry.timing.latency.median_ms:.4f}"),
        Column("formats asked for", lambda entry: entry.how.format),
        Column("latency batch (images)", lambda entry: "" if entry.timing is None else entry.timing.latency.batch),
        Column("times faster than dense", lambda entry: "" if entry.timing is None else f"{entry.timing.ratio:.3f}"),
        Column("training reached (share)", lambda entry: "" if entry.reached is None else f"{entry.reached:.3f}"),
        Column("recipe digest", lambda entry: entry.key),
        Column("recipe (JSON)", lambda entry: canonical_json(entry.recipe.to_dict())),
    ),
    axes=AXES,
    up=ACCURACY,
    plane="Accuracy, measured so far",
    nothing="Every setting that settles on all test images becomes a row here.",
    legend="Times (×): smaller, and faster, than the dense network. A click on a column's name sorts by it.",
    tip="All rows, with their recipes, for a spreadsheet",
)
