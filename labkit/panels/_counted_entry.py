"""Lab 01's settings as entries of its history: their figures in the table, side by side, in the CSV and in the plane."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from labkit import blueprint
from labkit.blueprint import Ran
from labkit.core.records import Cost, Latency
from labkit.measure.energy import dram_bytes
from labkit.panels._counted import difference_in_words, in_millions, phrases
from labkit.panels._counted_state import State
from labkit.panels._energy_figures import PARTS
from labkit.panels._history import Column, Entry, Sheet
from labkit.panels._plane import Axis
from labkit.panels._strip import images, kilobytes

AXES = MappingProxyType(
    {
        "MACs": Axis("MACs per image without zeros, millions", lambda count: f"{count:.3g} M MACs", True, True, "richer in products"),
        "weights": Axis("weights as stored, kB", lambda size: f"{size:.4g} kB", True, False, "smaller"),
        "latency here": Axis("latency of an image here, ms", lambda ms: f"{ms:.3g} ms", True, False, "faster"),
    }
)
ENERGY = Axis("energy per image, modelled, µJ", lambda energy: f"{energy:.3g} µJ", True, False, "more frugal")


@dataclass(frozen=True)
class CountedEntry(Entry):
    """One setting of lab 01: a network that nobody trained, and the modelled chip that it runs on.

    Attributes:
        link: brings it back.
        phrases: every setting in words, by its name.
        energy: modelled microjoules an image, by part.
        moved: modelled bytes an image between chip and DRAM.
        weight_bytes: of its weights as stored.
        cost: its products.
        latency: of a batch of its float32 program, in which zeros are multiplied; None until it is measured.
    """

    link: str
    phrases: Mapping[str, str]
    energy: Mapping[str, float]
    moved: float
    weight_bytes: int
    cost: Cost
    latency: Latency | None = None

    @property
    def key(self) -> str:
        return f"#{self.link}"

    @property
    def y(self) -> float:
        return sum(self.energy.values())

    @property
    def image_ms(self) -> float | None:
        """Milliseconds an image, the batch's time over its images."""
        return None if self.latency is None else self.latency.median_ms / self.latency.batch

    @property
    def costs(self) -> dict[str, float | None]:
        return {"MACs": self.cost.effective_macs / 1e6, "weights": self.weight_bytes / 1e3, "latency here": self.image_ms}


def entry_of(state: State, first: State, link: str, ran: Ran | None) -> CountedEntry:
    """Return the entry of a state.

    Args:
        state: of the lab.
        first: as the lab opens.
        link: names what is measured at the state.
        ran: what was measured of its program, None until it is.
    """
    found, chip = blueprint.counted(state.network, state.chip.bits), state.chip
    said, opening = (phrases(each.network, each.chip) for each in (state, first))
    return CountedEntry(
        state=state,
        label=difference_in_words(said, opening),
        series=state.network.kind,
        link=link,
        phrases=said,
        energy=found.energy(chip),
        moved=dram_bytes(found.cost, found.weight_bytes, chip),
        weight_bytes=found.weight_bytes,
        cost=found.cost,
        latency=None if ran is None else ran.latency,
    )


def setting_rows(first: CountedEntry, second: CountedEntry) -> list[tuple[str, str, str]]:
    """Return (setting, in the first, in the second) of every setting in which two entries differ."""

    def said(entry: CountedEntry, name: str) -> str:
        return entry.phrases[name].removeprefix(f"{name} ").removesuffix(f" {name}")

    rows = [(name, said(first, name), said(second, name)) for name in first.phrases]
    return [row for row in rows if row[1] != row[2]]


def compared_in_words(first: CountedEntry, second: CountedEntry) -> str:
    """Say what the comparison of two entries comes to."""
    apart = {part: second.energy[part] - first.energy[part] for part in PARTS}
    largest = max(apart, key=lambda part: abs(apart[part]))
    most = f" Most of the difference in energy is {PARTS[largest]}: {_signed(apart[largest])} µJ." if apart[largest] else ""
    timed = ""
    if first.image_ms is not None and second.image_ms is not None:
        timed = f" Measured here, it takes {times(first.image_ms, second.image_ms, 'time')}."
    energy, macs = times(first.y, second.y, "energy"), times(first.cost.effective_macs, second.cost.effective_macs, "products")
    return f"From A to B an image takes {energy}, modelled, and {macs}.{most}{timed}"


def times(before: float, after: float, what: str) -> str:
    """Say how much of something there is after, by what there was before; both above 0."""
    ratio = after / before
    if abs(ratio - 1) < 0.005:
        return f"the same {what}"
    return f"{ratio:.3g} times the {what}" if ratio > 1 else f"1/{1 / ratio:.3g} of the {what}"


def _signed(value: float) -> str:
    return f"{'+' if value > 0 else '−'}{abs(value):.3g}"


def _latency(entry: CountedEntry) -> str:
    found = entry.latency
    return "…" if found is None else f"{found.median_ms:.3g} ms, {images(found.batch)}"


def _macs(cost: Cost) -> str:
    used = in_millions(cost.effective_macs)
    return used if cost.effective_macs == cost.macs else f"{used} of {in_millions(cost.macs)}"


def _image_ms(entry: CountedEntry) -> str:
    return "…" if entry.image_ms is None else f"{entry.image_ms:.3g} ms"


def _part(part: str) -> Column[CountedEntry]:
    return Column(PARTS[part], lambda entry: f"{entry.energy[part]:.3g} µJ")


SHEET = Sheet[CountedEntry](
    table=(
        Column("energy", lambda entry: f"{entry.y:.3g} µJ", lambda entry: entry.y),
        Column("in DRAM", lambda entry: f"{entry.energy['dram'] / entry.y:.0%}", lambda entry: entry.energy["dram"] / entry.y),
        Column("moved", lambda entry: kilobytes(round(entry.moved)), lambda entry: entry.moved),
        Column("weights", lambda entry: kilobytes(entry.weight_bytes), lambda entry: entry.weight_bytes),
        Column("MACs", lambda entry: in_millions(entry.cost.effective_macs), lambda entry: entry.cost.effective_macs),
        Column("latency", _image_ms, lambda entry: entry.image_ms),
    ),
    compared=(
        Column("energy", lambda entry: f"{entry.y:.3g} µJ"),
        *(_part(part) for part in PARTS),
        Column("moved", lambda entry: kilobytes(round(entry.moved))),
        Column("weights", lambda entry: kilobytes(entry.weight_bytes)),
        Column("MACs", lambda entry: _macs(entry.cost)),
        Column("latency", _image_ms),
        Column("of a batch", _latency),
    ),
    saved=(
        Column("setting", lambda entry: entry.label),
        Column("link", lambda entry: entry.key),
        Column("energy, modelled (microjoules an image)", lambda entry: f"{entry.y:.6g}"),
        Column("arithmetic (microjoules an image)", lambda entry: f"{entry.energy['compute']:.6g}"),
        Column("on-chip memory (microjoules an image)", lambda entry: f"{entry.energy['on_chip']:.6g}"),
        Column("DRAM (microjoules an image)", lambda entry: f"{entry.energy['dram']:.6g}"),
        Column("moved, modelled (bytes an image)", lambda entry: f"{entry.moved:.6g}"),
        Column("weights (bytes)", lambda entry: entry.weight_bytes),
        Column("MACs", lambda entry: entry.cost.macs),
        Column("MACs with a weight not zero", lambda entry: entry.cost.effective_macs),
        Column("latency median (ms a batch)", lambda entry: "" if entry.latency is None else f"{entry.latency.median_ms:.6g}"),
        Column("latency batch (images)", lambda entry: "" if entry.latency is None else entry.latency.batch),
    ),
    axes=AXES,
    up=ENERGY,
    plane="Energy per image, modelled so far",
    nothing="Every setting that comes to rest and is timed becomes a row here.",
    legend="Of one image: energy and what is moved are modelled, latency is measured here, in float32 without zeros. A click on a column's name sorts by it.",
    tip="All rows, with links that bring them back, for a spreadsheet",
)
