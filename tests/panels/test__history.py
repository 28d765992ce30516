"""The history: one entry a key, bounded, with at most two pins; its rows and its CSV are what its columns say."""

from dataclasses import dataclass
from typing import Any, Self

import pytest

from labkit.panels import _history
from labkit.panels._history import Column, Entry, History, row, table_csv


@dataclass(frozen=True)
class Plain(Entry):
    """A setting with one figure, which may come later."""

    number: int = 0
    found: float | None = None

    @property
    def key(self) -> str:
        return f"key {self.number}"

    @property
    def where(self) -> str:
        return f"network {self.number}"

    def kept(self, before: Self | None) -> Self:
        return self if before is None or self.found is not None else type(self)(None, self.label, "", self.number, before.found)


COLUMNS = (
    Column[Plain]("found, ms", lambda entry: "…" if entry.found is None else f"{entry.found:.1f}", lambda entry: entry.found),
    Column[Plain]("number", lambda entry: entry.number),
)


def plain(number: int, label: str = "", found: float | None = None) -> Plain:
    return Plain(None, label, "", number, found)


def filled(*entries: Plain) -> History[Plain]:
    made = History[Plain]()
    for each in entries:
        made.add(each)
    return made


def test_what_comes_again_takes_its_place_and_keeps_what_it_says() -> None:
    history = filled(plain(0, "early", 2.0), plain(1), plain(0, "late"))
    assert [each.number for each in history] == [0, 1]
    assert history.find("key 0") == plain(0, "late", 2.0)
    assert history.find("key 7") is None


def test_the_oldest_goes_but_not_a_pinned_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_history, "MOST_ENTRIES", 3)
    history = filled(*(plain(n) for n in range(3)))
    history.pin("key 0")
    history.add(plain(3))
    assert [each.number for each in history] == [0, 2, 3]


def test_a_third_pin_takes_the_place_of_the_older_one() -> None:
    history = filled(*(plain(n) for n in range(3)))
    for n in range(3):
        history.pin(f"key {n}")
    assert history.pins == ("key 1", "key 2")
    assert history.letters() == {"key 1": "A", "key 2": "B"}
    history.pin("key 1")
    assert [each.number for each in history.pinned] == [2]
    history.pin("no such key")
    assert len(history.pinned) == 1


def test_a_row_has_a_text_and_a_value_to_sort_by_for_each_column() -> None:
    assert row(plain(3, "half", 1.25), COLUMNS) == {"key": "key 3", "cells": [["half", "half"], ["1.2", 1.25], [3, None]]}
    assert row(plain(3, "half"), COLUMNS, with_place=True)["cells"][:2] == [["network 3: half", "half"], ["…", None]]


def test_the_csv_has_the_columns_names_as_header_and_no_formulas() -> None:
    assert table_csv(filled(), COLUMNS) == b"found, ms,number\r\n".replace(b"found, ms", b'"found, ms"')
    columns = (Column[Plain]("setting", lambda entry: entry.label), *COLUMNS)
    raw = table_csv(filled(plain(1, "=1+1", 2.0), plain(2, "plain")), columns)
    assert raw.decode().splitlines() == ['setting,"found, ms",number', "'=1+1,2.0,1", "plain,…,2"]


@pytest.mark.parametrize("what", ["key", "y", "costs"])
def test_an_entry_that_does_not_say_what_it_must_is_refused(what: str) -> None:
    entry: Any = Entry(None, "", "")
    with pytest.raises(TypeError, match="Entry must say"):
        getattr(entry, what)
