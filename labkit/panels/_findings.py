"""What a lab keeps of its settled settings, and what can be done with them: table, plane, comparison, take-away.

Nothing here is drawn while a slider moves: a setting arrives once it has settled, and again once more is measured of it.
"""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Generic, Protocol

import anywidget
import ipywidgets
import traitlets

from labkit.panels._compare import Comparison
from labkit.panels._download import Download
from labkit.panels._history import E, Entry, History, Sheet, row, table_csv
from labkit.panels._panel import View
from labkit.panels._plane import Dot, Plane
from labkit.panels._takeaway import Takeaway


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


class Owner(Protocol[E]):
    """What the findings need of the lab that they belong to."""

    @property
    def download(self) -> Download: ...

    def guard(self, callback: Callable[..., None]) -> Callable[..., None]: ...

    def go_back(self, entry: E) -> None:
        """Show the setting of an entry again."""

    def in_plane(self, history: History[E]) -> tuple[Sequence[Dot], Dot | None]:
        """Return what the plane draws now: the settings, and that from which they were made, if there is such a thing."""

    def notice(self) -> None: ...


class Findings(Generic[E]):
    """The cards about what has settled.

    Args:
        lab: that they belong to.
        plane: the figure, which the lab has made, since it follows the theme.
        sheet: which figures its entries have.
        comparison: the card that compares two of them.
        takeaway: the card with what people take home.
    """

    def __init__(self, lab: Owner[E], plane: Plane, sheet: Sheet[E], comparison: Comparison[E], takeaway: Takeaway) -> None:
        self._lab, self.plane, self._sheet, self.comparison, self.takeaway = lab, plane, sheet, comparison, takeaway
        self.history = History[E]()
        self.axis = ipywidgets.Dropdown(options=list(plane.axes), description="against")
        self.axis.observe(lab.guard(lambda change: self._choose_axis(change["new"])), names="value")
        self.plane_view = View(sheet.plane, self.axis, self.plane.widget)
        self.plane_view.widget.add_class("lk-plane")
        self.table = HistoryTable(columns=["setting", *(each.name for each in sheet.table)], caption=sheet.nothing)
        self.table.on_msg(lab.guard(self._asked))
        self.csv_button = ipywidgets.Button(description="Save as CSV", tooltip=sheet.tip, disabled=True)
        self.csv_button.on_click(lab.guard(lambda _: self._save()))
        self.history_view = View("History", self.table, self.csv_button)
        self.history_view.widget.add_class("is-wide")
        self.history_view.say(sheet.legend)
        views = (self.history_view, self.comparison.view, self.takeaway.view)
        self.widget = ipywidgets.VBox([*(view.widget for view in views), lab.download.widget])
        self.widget.add_class("lk-findings")
        self._key = ""
        self._now: tuple[Mapping[str, float | None], float, float, float] | None = None

    def add(self, entry: E) -> None:
        """Take in a setting that has settled."""
        self.history.add(entry)
        self._key = entry.key
        self.draw()

    def enable(self, enabled: bool) -> None:
        """Let people go back to another setting, or not while a job depends on the present one."""
        with self.table.hold_sync():
            self.table.enabled = enabled
            self.table.version += 1

    def show_now(self, costs: Mapping[str, float | None], y: float, low: float, high: float) -> None:
        """Ring the present setting, which may still be an estimate between `low` and `high`."""
        self._now = costs, y, low, high
        self.plane.show_now(*self._now)

    def choose(self, key: str) -> None:
        """Mark the row of the present setting, if it has one."""
        if key != self._key:
            self._key = key
            with self.table.hold_sync():
                self.table.chosen = key
                self.table.version += 1

    def change_plane(self) -> None:
        """Draw the plane of something else; none of its settings is ringed yet."""
        self._now = None
        self.plane.leave()
        self.draw_plane()

    def draw(self) -> None:
        """Draw everything that shows the history."""
        self.draw_plane()
        self._draw_table()
        self.comparison.show(self.history.pinned)

    def draw_plane(self) -> None:
        """Draw the settings that are of the plane's present subject."""
        dots, whole = self._lab.in_plane(self.history)
        self.plane.show_past(dots, whole, self.history.letters())
        self.plane_view.say(self.plane.in_words())

    def _draw_table(self) -> None:
        entries = list(self.history)
        is_mixed = len({entry.where for entry in entries}) > 1
        rows = [row(entry, self._sheet.table, with_place=is_mixed) for entry in entries]
        for each, entry in zip(rows, entries, strict=True):
            each["mark"] = self.plane.mark_of(entry.series)
        s = "" if len(rows) == 1 else "s"
        with self.table.hold_sync():
            self.table.rows, self.table.chosen, self.table.letters = rows, self._key, self.history.letters()
            self.table.caption = f"{len(rows)} setting{s}; pin two to compare them." if rows else self._sheet.nothing
            self.table.version += 1
        if self.csv_button.disabled == bool(rows):
            self.csv_button.disabled = not rows

    def _save(self) -> None:
        self._lab.download.save("labkit-history.csv", table_csv(self.history, self._sheet.saved), "text/csv")

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


def dot_of(entry: Entry) -> Dot:
    """Return an entry as the plane draws it."""
    return Dot(entry.key, entry.label, entry.series, entry.y, entry.costs)
