"""The part of a lab about something that has figures and no accuracy that every such lab has.

History, plane, comparison and program of whatever its settings come to. A lab's own panel says what an entry is, names its
figures in a `Sheet`, and calls `rest` once its controls have come to rest and `keep` once everything is measured.
"""

from typing import Generic, TypeVar

from labkit.panels._compare import Comparison
from labkit.panels._figures import Figure
from labkit.panels._findings import Findings, dot_of
from labkit.panels._history import E, History, Sheet
from labkit.panels._lab import Lab
from labkit.panels._panel import Panel
from labkit.panels._plane import Dot, Plane
from labkit.panels._takeaway import Takeaway

KEEP_S = 0.5
"""How long a setting of which nothing is left to measure must be on show to be kept: a slider's places on the way are none."""
HINT = "The program computes and measures again what is on show: it comes to the figures of this page."
TIP = "A Python program that comes to the figures of this page"

S = TypeVar("S")


class FiguresPanel(Panel[S], Generic[S, E]):
    """Base of the panels without a trained network.

    Args:
        lab: what it declares.
        state: the first one.
        figures: the lab's own Bokeh figures.
        sheet: which figures its entries have.
        comparison: compares two of them.
    """

    def __init__(self, lab: Lab, state: S, figures: tuple[Figure, ...], sheet: Sheet[E], comparison: Comparison[E]) -> None:
        self.plane = Plane(lambda key: self.guard(self.findings.go)(key), sheet.axes, sheet.up)
        super().__init__(lab, state, (*figures, self.plane))
        self.takeaway = Takeaway(self.program, self.guard, HINT, TIP)
        self.findings = Findings(self, self.plane, sheet, comparison, self.takeaway)
        self.plane_view = self.findings.plane_view
        self.below = [self.findings.widget]
        self.findings.draw_plane()

    @property
    def entry(self) -> E:
        """The present setting, with what is known of it so far."""
        raise TypeError(f"{type(self).__name__} must say what its history keeps")

    def program(self) -> str:
        """Return a program that comes to the figures on show."""
        raise TypeError(f"{type(self).__name__} must say which program comes to its figures")

    def rest(self) -> None:
        """Show what need not follow a slider while it moves."""
        self.findings.choose(self.entry.key)
        self.takeaway.draw()
        self._ring()

    def keep(self) -> None:
        """Put the present setting, of which everything is known, into the history."""
        self.findings.add(self.entry)
        self._ring()

    def go_back(self, entry: E) -> None:
        """Show a setting of the history again."""
        self.go(entry.state)

    def in_plane(self, history: History[E]) -> tuple[list[Dot], None]:
        """Return all settings; none is what the others were made from."""
        return [dot_of(entry) for entry in history], None

    def _ring(self) -> None:
        now = self.entry
        self.findings.show_now(now.costs, now.y, now.y, now.y)
