"""The history of a lab: every setting that has settled, in words and figures, with at most two of them pinned.

What an entry's figures are, its lab says: a subclass of `Entry` holds them, and a `Sheet` names them for the table, for two
entries side by side and for the CSV. Measured again, an entry is replaced where it stands, so that no row jumps; the oldest
one goes when there are too many.
"""

import csv
import io
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Generic, Self, TypeVar

from labkit.panels._plane import Axis

MOST_ENTRIES = 200  # the predictions of one may be 10 kB
MOST_PINS = 2
LETTERS = ("A", "B")
_FORMULA = ("=", "+", "-", "@", "\t", "\r")  # what a spreadsheet takes for the beginning of one


@dataclass(frozen=True)
class Entry:
    """One setting that has settled; a lab's own entries add their figures.

    Attributes:
        state: the lab's state, to go back to.
        label: in words, what differs from the lab's first settings.
        series: the curve that it belongs to.
    """

    state: Any
    label: str
    series: str

    @property
    def key(self) -> str:
        """What tells this setting from all others."""
        raise TypeError(f"{type(self).__name__} must say what tells its settings apart")

    @property
    def where(self) -> str:
        """What the setting is a setting of; said where one history holds several."""
        return ""

    @property
    def y(self) -> float:
        """How high it stands in the plane."""
        raise TypeError(f"{type(self).__name__} must say which of its figures the plane draws upwards")

    @property
    def costs(self) -> Mapping[str, float | None]:
        """What that takes, by the name of the plane's axis; None where it is not measured."""
        raise TypeError(f"{type(self).__name__} must say which of its figures the plane draws sideways")

    def kept(self, before: Self | None) -> Self:
        """Return what the history keeps of this entry, which takes the place of `before` where there is one."""
        return self


E = TypeVar("E", bound=Entry)


@dataclass(frozen=True)
class Column(Generic[E]):
    """One figure of the entries of a lab.

    Attributes:
        name: what it is called; with its unit where the text has none.
        text: an entry's figure as it is written.
        value: what the table sorts by; None where it is not measured.
    """

    name: str
    text: Callable[[E], str | int]
    value: Callable[[E], float | None] = lambda entry: None


@dataclass(frozen=True)
class Sheet(Generic[E]):
    """Which figures the entries of a lab have, and what the cards about them say.

    Attributes:
        table: of a row of the history, behind the setting.
        compared: of two entries side by side.
        saved: of the CSV, the setting first.
        axes: of the plane sideways, by the name that a person chooses one by.
        up: of the plane upwards.
        plane: title of the plane's card.
        nothing: the table says while it is empty.
        legend: the sentence under the table.
        tip: of the button that saves the CSV.
    """

    table: tuple[Column[E], ...]
    compared: tuple[Column[E], ...]
    saved: tuple[Column[E], ...]
    axes: Mapping[str, Axis]
    up: Axis
    plane: str
    nothing: str
    legend: str
    tip: str


class History(Generic[E]):
    """The entries of a lab, oldest first, and the keys of those that are pinned."""

    def __init__(self) -> None:
        self._entries: dict[str, E] = {}
        self.pins: tuple[str, ...] = ()

    def __iter__(self) -> Iterator[E]:
        return iter(self._entries.values())

    def __len__(self) -> int:
        return len(self._entries)

    def find(self, key: str) -> E | None:
        """Return an entry by its key; None where there is none (any more)."""
        return self._entries.get(key)

    def add(self, entry: E) -> None:
        """Put an entry in, in the place of the one with the same key if there is one."""
        self._entries[entry.key] = entry.kept(self._entries.get(entry.key))
        if len(self._entries) > MOST_ENTRIES:
            self._entries.pop(next(key for key in self._entries if key not in self.pins))

    def pin(self, key: str) -> None:
        """Pin an entry, or let it go if it is pinned; a third one takes the place of the one pinned first."""
        if key in self.pins:
            self.pins = tuple(each for each in self.pins if each != key)
        elif key in self._entries:
            self.pins = (*self.pins, key)[-MOST_PINS:]

    @property
    def pinned(self) -> tuple[E, ...]:
        """The pinned entries, in the order in which they were pinned."""
        return tuple(self._entries[key] for key in self.pins)

    def letters(self) -> dict[str, str]:
        """Return the letter of each pinned entry, by key."""
        return dict(zip(self.pins, LETTERS, strict=False))


def row(entry: E, columns: tuple[Column[E], ...], *, with_place: bool = False) -> dict[str, Any]:
    """Return an entry as the table shows it: each cell a text and what it is sorted by.

    Args:
        entry: to be shown.
        columns: behind the setting.
        with_place: whether the setting says what it is a setting of.
    """
    named = f"{entry.where}: {entry.label}" if with_place else entry.label
    return {"key": entry.key, "cells": [[named, entry.label], *([each.text(entry), each.value(entry)] for each in columns)]}


def table_csv(history: History[E], columns: tuple[Column[E], ...]) -> bytes:
    """Return the history as CSV (RFC 4180, UTF-8), oldest first, the columns' names as header.

    A text that a spreadsheet would run as a formula gets an apostrophe in front.
    """
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\r\n")
    writer.writerow([each.name for each in columns])
    writer.writerows([_harmless(each.text(entry)) for each in columns] for entry in history)
    return out.getvalue().encode()


def _harmless(value: str | int) -> str | int:
    return f"'{value}" if isinstance(value, str) and value.startswith(_FORMULA) else value
