"""A lab without a trained network has history, plane, comparison and code once it says what its figures are."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import ipywidgets
import pytest

from labkit.core.progress import Progress
from labkit.panels._compare import SideBySide
from labkit.panels._figures_panel import FiguresPanel
from labkit.panels._history import Column, Entry, Sheet
from labkit.panels._lab import Challenge, Figures, Guess, Lab, Moment, TryThis
from labkit.panels._plane import Axis

LAB = Lab(
    "98_toy",
    "How long is a square around?",
    (
        TryThis("guess", "Guess.", guess=Guess("How long?", lambda first: replace(first, side=2), "bytes")),
        TryThis("kept", "Make it two.", lambda seen: seen.settled == 2),
        TryThis("pinned", "Pin two.", lambda seen: seen.pinned == 2),
    ),
    Challenge("None.", ()),
)


@dataclass(frozen=True)
class State:
    side: int = 1


@dataclass(frozen=True)
class Square(Entry):
    side: int

    @property
    def key(self) -> str:
        return f"side {self.side}"

    @property
    def y(self) -> float:
        return self.side**2

    @property
    def costs(self) -> dict[str, float | None]:
        return {"around": 4.0 * self.side}


SHEET = Sheet[Square](
    table=(Column("area", lambda entry: f"{entry.y} m²", lambda entry: entry.y),),
    compared=(Column("area", lambda entry: f"{entry.y} m²"),),
    saved=(Column("setting", lambda entry: entry.label), Column("area (m²)", lambda entry: entry.side**2)),
    axes={"around": Axis("around, m", lambda value: f"{value:g} m", True, False, "shorter")},
    up=Axis("area, m²", lambda value: f"{value:g} m²", True, True, "larger"),
    plane="Areas",
    nothing="Nothing yet.",
    legend="A legend.",
    tip="A tip",
)


class Toy(FiguresPanel[State, Square]):
    def __init__(self) -> None:
        compared = SideBySide[Square](
            "Figures", SHEET.compared, lambda a, b: [("side", str(a.side), str(b.side))], lambda a, b: f"{a.y:g} to {b.y:g}."
        )
        super().__init__(LAB, State(), (), SHEET, compared)
        self.lay_out(ipywidgets.HBox(), ipywidgets.HTML(), [], [self.plane_view.widget])
        self.draw()

    @property
    def entry(self) -> Square:
        return Square(self.state, f"{self.state.side} m", "squares", self.state.side)

    def program(self) -> str:
        return f"print({self.state.side**2})\n"

    def moment(self) -> Moment:
        return Moment(self.state, "", "", Figures(), len(self.findings.history), len(self.findings.history.pinned))

    def draw_controls(self) -> None: ...

    def _draw(self) -> None: ...

    def _live(self, version: int, progress: Progress) -> None:
        self.if_current(version, self.rest)
        self.if_current(version, self.keep)
        self.if_current(version, self.notice)


class Still(Toy):
    """One that never settles."""

    def _live(self, version: int, progress: Progress) -> None: ...


@pytest.fixture
def two() -> Iterator[Toy]:
    made = Toy()
    assert made.worker.wait(60)
    made.go(State(3))
    assert made.worker.wait(60)
    yield made
    made.close()


def ask(panel: Toy, what: str, n: int) -> None:
    panel.findings.table._handle_custom_msg({"do": what, "key": panel.findings.table.rows[n]["key"]}, [])


def test_its_settings_are_rows_and_dots_with_a_front_and_a_ring(two: Toy) -> None:
    table = two.findings.table
    assert (table.columns, table.chosen) == (["setting", "area"], "side 3")
    assert [each["cells"] for each in table.rows] == [[["1 m", "1 m"], ["1 m²", 1]], [["3 m", "3 m"], ["9 m²", 9]]]
    assert sorted(two.plane.past.data["key"]) == ["side 1", "side 3"]
    assert two.plane.now.data["x"] == [two.plane.axes["around"].place(12.0)]
    assert "both shorter and larger: 3 m (9 m², 12 m); 1 m (1 m², 4 m)." in two.plane_view._summary.value


def test_two_are_pinned_and_compared_and_one_is_gone_back_to(two: Toy) -> None:
    ask(two, "pin", 0)
    ask(two, "pin", 1)
    assert "1 to 9." in two.findings.comparison.view._summary.value
    assert two.guide.kept.steps == {"kept", "pinned"}
    assert two.plane.pinned.data["text"] == ["A", "B"]
    ask(two, "go", 0)
    assert two.worker.wait(60)
    assert two.state == State(1)
    assert (len(two.findings.history), two.findings.table.chosen) == (2, "side 1")


def test_its_code_follows_and_its_history_is_saved(two: Toy) -> None:
    two.takeaway.code_button.value = True
    (code,) = two.takeaway._holder.children
    assert code.text == "print(9)\n"
    two.go(State(2))
    assert two.worker.wait(60)
    assert code.text == "print(4)\n"
    two.findings.csv_button.click()
    (saver,) = two.download.widget.children
    assert saver.content.decode().splitlines() == ["setting,area (m²)", "1 m,1", "3 m,9", "2 m,4"]


def test_an_empty_one_says_how_it_fills() -> None:
    made = Still()
    assert made.findings.table.caption == "Nothing yet."
    assert "Every setting that settles leaves a dot here. Ring: the present setting." in made.plane_view._summary.value
    assert made.findings.csv_button.disabled
    made.close()


@pytest.mark.parametrize("what", ["entry", "program"])
def test_a_panel_that_does_not_say_what_it_must_is_refused(two: Toy, what: str) -> None:
    with pytest.raises(TypeError, match="Toy must say"):
        getattr(super(Toy, two), what)()
