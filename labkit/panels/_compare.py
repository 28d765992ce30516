"""Two settings side by side: what differs between them, and the figures of both."""

import html
from collections.abc import Callable, Sequence
from typing import Generic

import ipywidgets

from labkit.panels._history import LETTERS, Column, E
from labkit.panels._panel import View

Rows = Sequence[tuple[str, str, str]]  # what it is, of the first, of the second


class Comparison(Generic[E]):
    """The card that compares the two pinned entries; empty but for a hint while there are fewer.

    Args:
        hint: what to do, and what is seen then.
    """

    def __init__(self, hint: str) -> None:
        self._hint = hint
        self._body = ipywidgets.VBox()
        self._body.add_class("lk-compare")
        self.view = View("The two that are pinned, compared", self._body)
        self.view.widget.add_class("is-wide")
        self.view.say(hint)
        self._tables: ipywidgets.HTML | None = None
        self._shown: tuple[E, ...] = ()

    def show(self, pinned: tuple[E, ...]) -> None:
        """Compare two entries, if these two are not on show already; fewer are a hint.

        Args:
            pinned: none, one or two entries.
        """
        if pinned == self._shown:
            return
        before, self._shown = self._shown, pinned
        if len(pinned) < 2:
            self.leave(self._hint if not pinned else f"A is {pinned[0].label}. Pin another row to compare it with.")
            return
        self.fill(pinned[0], pinned[1], before)

    def leave(self, why: str) -> None:
        """Show nothing but a sentence."""
        self._body.children = []
        self.view.say(why)

    def fill(self, first: E, second: E, before: tuple[E, ...]) -> None:
        """Show the comparison of two entries.

        Args:
            first: of the two.
            second: of the two.
            before: what was pinned before.
        """
        raise TypeError(f"{type(self).__name__} must say how two entries are compared")

    def show_tables(self, tables: str, words: str, *others: ipywidgets.Widget) -> None:
        """Put tables, what else there is, and the sentence under them in place.

        Args:
            tables: HTML, every text escaped.
            words: what it comes to.
            others: below the tables.
        """
        if self._tables is None:
            self._tables = ipywidgets.HTML()
        self._tables.value = f'<div class="lk-compare-tables">{tables}</div>'
        self._body.children = [self._tables, *others]
        self.view.say(words)


class SideBySide(Comparison[E]):
    """The comparison that any lab has: the settings that differ, and the figures of both.

    Args:
        caption: of the figures: what they are of.
        columns: the figures.
        settings: returns the settings in which two entries differ.
        words: says what the comparison of two entries comes to.
    """

    def __init__(
        self, caption: str, columns: tuple[Column[E], ...], settings: Callable[[E, E], Rows], words: Callable[[E, E], str]
    ) -> None:
        super().__init__("Pin two rows of the history to see which settings differ between them, and the figures of both side by side.")
        self._caption, self._columns, self._settings, self._words = caption, columns, settings, words

    def fill(self, first: E, second: E, before: tuple[E, ...]) -> None:
        names = (first.label, second.label)
        figures = figure_rows(first, second, self._columns)
        tables = rows_html("Settings that differ", names, self._settings(first, second)) + rows_html(self._caption, names, figures)
        self.show_tables(tables, self._words(first, second))


def figure_rows(first: E, second: E, columns: tuple[Column[E], ...]) -> Rows:
    """Return (figure, of the first, of the second) for each column."""
    return [(each.name, str(each.text(first)), str(each.text(second))) for each in columns]


def rows_html(caption: str, names: tuple[str, str], rows: Rows) -> str:
    """Return a table of two entries side by side, every text escaped."""
    body = "".join(f'<tr><th scope="row">{_e(name)}</th><td>{_e(a)}</td><td>{_e(b)}</td></tr>' for name, a, b in rows)
    head = "".join(
        f'<th scope="col"><b class="lk-letter">{letter}</b> {_e(name)}</th>' for letter, name in zip(LETTERS, names, strict=True)
    )
    return f'<table class="lk-figures"><caption>{_e(caption)}</caption><thead><tr><td></td>{head}</tr></thead><tbody>{body}</tbody></table>'


def _e(text: str) -> str:
    return html.escape(text)
