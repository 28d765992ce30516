"""What a lab keeps of its settled settings, and what can be done with them: table, plane, comparison, take-away.

Nothing here is drawn while a slider moves: a setting arrives once its accuracy is known on all test images, and again once
its latency is.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Protocol

import anywidget
import ipywidgets
import traitlets

from labkit.core.records import Accuracy
from labkit.panels import _strip
from labkit.panels._compare import Comparison
from labkit.panels._download import Download
from labkit.panels._history import Entry, History, table_csv
from labkit.panels._measured import costs_of
from labkit.panels._panel import View
from labkit.panels._plane import AXES, Dot, Plane
from labkit.panels._takeaway import Takeaway, Taken
from labkit.workbench import Workbench

COLUMNS = ("setting", "accuracy", "zeros", "size", "MACs", "latency", "energy")
NOTHING = "Every setting that settles on all test images becomes a row here."
TOLD = 2  # settings that a sentence names


class HistoryTable(anywidget.AnyWidget):
    """A row for each entry; a row can be pinned and gone back to."""

    _esm = Path(__file__).parent / "_static" / "history.js"
    columns: traitlets.List[Any] = traitlets.List([]).tag(sync=True)
    rows: traitlets.List[Any] = traitlets.List([]).tag(sync=True)
    letters = traitlets.Dict({}).tag(sync=True)
    chosen = traitlets.Unicode("").tag(sync=True)
    caption = traitlets.Unicode("").tag(sync=True)
    enabled = traitlets.Bool(True).tag(sync=True)
    version = traitlets.Int(0).tag(sync=True)


class Owner(Protocol):
    """What the findings need of the lab that they belong to."""

    @property
    def bench(self) -> Workbench: ...

    def bench_of(self, network: str) -> Workbench: ...

    def guard(self, callback: Callable[..., None]) -> Callable[..., None]: ...

    def say(self, sentence: str) -> None: ...

    def go_back(self, entry: Entry) -> None: ...

    def taken(self) -> Taken: ...

    def notice(self) -> None: ...


class Findings:
    """The cards about what has settled.

    Args:
        lab: that they belong to.
        plane: the figure, which the lab has made, since it follows the theme.
    """

    def __init__(self, lab: Owner, plane: Plane) -> None:
        self._lab, self.plane = lab, plane
        self.history, self.download = History(), Download()
        self.axis = ipywidgets.Dropdown(options=list(AXES), description="against")
        self.axis.observe(lab.guard(lambda change: self._choose_axis(change["new"])), names="value")
        self.plane_view = View("Accuracy, measured so far", self.axis, self.plane.widget)
        self.plane_view.widget.add_class("lk-plane")
        self.table = HistoryTable(columns=list(COLUMNS), caption=NOTHING)
        self.table.on_msg(lab.guard(self._asked))
        self.csv_button = ipywidgets.Button(
            description="Save as CSV", tooltip="All rows, with their recipes, for a spreadsheet", disabled=True
        )
        self.csv_button.on_click(lab.guard(lambda _: self.download.save("labkit-history.csv", table_csv(self.history), "text/csv")))
        self.history_view = View("History", self.table, self.csv_button)
        self.history_view.widget.add_class("is-wide")
        self.history_view.say("Times (×): smaller, and faster, than the dense network. A click on a column's name sorts by it.")
        self.comparison = Comparison(lab.guard)
        self.takeaway = Takeaway(lab.taken, lambda made: lab.bench.file(made), lab.guard, self.download, lab.say)
        views = (self.history_view, self.comparison.view, self.takeaway.view)
        self.widget = ipywidgets.VBox([*(view.widget for view in views), self.download.widget])
        self.widget.add_class("lk-findings")
        self._key = ""
        self._now: tuple[Accuracy, dict[str, float | None]] | None = None

    def add(self, entry: Entry) -> None:
        """Take in a setting that has settled."""
        self.history.add(entry)
        self._key = entry.key
        self.draw()

    def enable(self, enabled: bool) -> None:
        """Let people go back to another setting, or not while a job depends on the present one."""
        with self.table.hold_sync():
            self.table.enabled = enabled
            self.table.version += 1

    def show_now(self, accuracy: Accuracy, entry_costs: dict[str, float | None]) -> None:
        """Ring the present setting, whose accuracy may still be an estimate."""
        self._now = accuracy, entry_costs
        self.plane.show_now(entry_costs, accuracy.share, accuracy.low, accuracy.high)

    def choose(self, key: str) -> None:
        """Mark the row of the present setting, if it has one."""
        if key != self._key:
            self._key = key
            with self.table.hold_sync():
                self.table.chosen = key
                self.table.version += 1

    def change_network(self) -> None:
        """Show the settings of another network; none of them is ringed yet."""
        self._now = None
        self.plane.leave()
        self.draw_plane()

    def draw(self) -> None:
        """Draw everything that shows the history."""
        self.draw_plane()
        self._draw_table()
        pinned = self.history.pinned
        self.comparison.show(pinned, tuple(self._lab.bench_of(entry.recipe.network) for entry in pinned))

    def draw_plane(self) -> None:
        """Draw the settings of the present network."""
        bench = self._lab.bench
        entries = [entry for entry in self.history if entry.recipe.network == bench.network]
        timed = [entry.timing.dense for entry in entries if entry.timing is not None]
        batch = timed[-1].batch if timed else 0
        dots = [Dot(entry.key, entry.label, entry.series, entry.accuracy.share, _side_by_side(entry, batch)) for entry in entries]
        here = {"latency here": timed[-1].median_ms if timed else None, "speed here": 1.0}
        costs = costs_of(len(bench.dense_file), bench.dense_cost, None, 0.0) | here
        self.plane.show_past(dots, Dot("", "the dense network", "dense", bench.card.accuracy, costs), self.history.letters())
        self.plane_view.say(front_in_words(self.plane.on_front, len(dots), self.plane.axis))

    def _draw_table(self) -> None:
        entries = list(self.history)
        is_mixed = len({entry.recipe.network for entry in entries}) > 1
        rows = [row(entry, self._lab.bench_of(entry.recipe.network), is_mixed) for entry in entries]
        for each, entry in zip(rows, entries, strict=True):
            each["mark"] = self.plane.mark_of(entry.series)
        s = "" if len(rows) == 1 else "s"
        with self.table.hold_sync():
            self.table.rows, self.table.chosen, self.table.letters = rows, self._key, self.history.letters()
            self.table.caption = f"{len(rows)} setting{s}; pin two to compare them." if rows else NOTHING
            self.table.version += 1
        if self.csv_button.disabled == bool(rows):
            self.csv_button.disabled = not rows

    def _choose_axis(self, axis: str) -> None:
        self.plane.choose(axis)
        self.draw_plane()
        if self._now is not None:
            self.show_now(*self._now)

    def _asked(self, _widget: object, content: dict[str, Any], _buffers: object) -> None:
        if content.get("do") == "pin":
            self.history.pin(str(content["key"]))
            self.draw()
            self._lab.notice()
        elif content.get("do") == "go":
            self.go(str(content["key"]))

    def go(self, key: str) -> None:
        """Go back to an entry, if it is still there."""
        entry = self.history.find(key)
        if entry is not None:
            self._lab.go_back(entry)


def row(entry: Entry, bench: Workbench, with_network: bool) -> dict[str, Any]:
    """Return an entry as the table shows it: each cell a text and what it is sorted by."""
    found, timing = entry.accuracy, entry.timing
    energy, dense = entry.energy_uj, len(bench.dense_file)
    cells = [
        [f"{entry.recipe.network}: {entry.label}" if with_network else entry.label, entry.label],
        [f"{found.share:.2%} ± {50 * (found.high - found.low):.1f}", found.share],
        [f"{entry.zeros:.1%}", entry.zeros],
        [f"{_strip.kilobytes(entry.size)} · {dense / entry.size:.1f}×", entry.size],
        [f"{_strip.millions(entry.cost.effective_macs)}", entry.cost.effective_macs],
        ["…", None] if timing is None else [f"{timing.latency.median_ms:.2f} ms · {timing.ratio:.1f}×", timing.latency.median_ms],
        [f"{energy:.0f} µJ", energy],
    ]
    return {"key": entry.key, "cells": cells}


def _side_by_side(entry: Entry, batch: int) -> dict[str, float | None]:
    """Return an entry's costs; its milliseconds only where they are of the batch that is drawn, since no others compare."""
    same = entry.timing is not None and entry.timing.latency.batch == batch
    return entry.costs if same else entry.costs | {"latency here": None}


def front_in_words(on_front: Sequence[Dot], settings: int, axis: str) -> str:
    """Say how many settings are on the front and which, and what the marks mean."""
    if not settings:
        return "Every setting that settles leaves a dot here. Ring: the present setting with its 95 % interval."
    unit, better = AXES[axis].unit, AXES[axis].better
    told = "; ".join(f"{dot.label} ({dot.accuracy:.1%}{_cost(dot.costs[axis], unit)})" for dot in on_front[::-1][:TOLD])
    more = f" and {len(on_front) - TOLD} more" if len(on_front) > TOLD else ""
    who = f"{told}{more}" if on_front else "only the dense network"
    s = "s" if settings > 1 else ""
    return (
        f"{settings} setting{s} measured. On the front, where nothing else is both {better} and more accurate: {who}. "
        "Ring: the present setting, with its 95 % interval. Click a dot to go back to it."
    )


def _cost(cost: float | None, unit: str) -> str:
    if cost is None:
        return ""
    return f", {cost:.3g} {unit}" if unit else f", {cost:.0%} zeros"
