"""A network's settings as entries: what they keep, and what the CSV says of them."""

import csv
import io
import json
from dataclasses import replace

import pytest

from labkit.core.recipe import from_dict
from labkit.panels._history import History, table_csv
from labkit.panels._network_entry import SHEET, NetworkEntry
from labkit.workbench import Workbench
from tests.panels import entries


@pytest.fixture(scope="module")
def bench() -> Workbench:
    return Workbench("digits-small")


@pytest.fixture(scope="module")
def entry(bench: Workbench) -> NetworkEntry:
    return entries.measured(bench, entries.state())


def numbered(entry: NetworkEntry, n: int) -> NetworkEntry:
    return replace(entry, recipe=replace(entry.recipe, seed=n))


def test_an_entry_holds_what_was_measured_with_predictions_in_a_byte_each(bench, entry):
    history = History()
    history.add(entry)
    (kept,) = history
    assert kept.accuracy.predictions.element_size() == 1
    assert kept.accuracy.predictions.tolist() == entry.accuracy.predictions.tolist()
    assert kept.size == len(bench.file(bench.compress(entry.recipe)))
    assert kept.costs["size on disk"] == kept.size / 1000
    assert kept.costs["latency here"] is None


def test_measured_again_an_entry_is_replaced_where_it_stands(entry):
    history = History()
    history.add(replace(entry, timing=entries.timing()))
    history.add(numbered(entry, 1))
    history.add(replace(entry, size=7))
    assert [each.recipe.seed for each in history] == [0, 1]
    first = next(iter(history))
    assert first.size == 7
    assert first.timing == entries.timing(), "the last timing stays until there is a new one"


def test_training_to_the_end_takes_the_place_of_training_that_was_cancelled(entry):
    history = History()
    history.add(replace(entry, reached=0.4, timing=entries.timing()))
    history.add(entry)
    (kept,) = history
    assert kept.reached is None
    assert kept.timing is None, "it was the other network's"


def test_csv_is_what_a_spreadsheet_reads_and_replays(entry):
    history = History()
    history.add(replace(entry, label='=HYPERLINK("x"), "quoted"', timing=entries.timing()))
    history.add(replace(numbered(entry, 1), label="-1\r\nnext", reached=0.25))
    raw = table_csv(history, SHEET.saved)
    assert raw.count(b"\r\n") == 4, "three records, and one line end within a field"
    one, other = csv.DictReader(io.StringIO(raw.decode(), newline=""))
    assert one["setting"] == '\'=HYPERLINK("x"), "quoted"'
    assert other["setting"].startswith("'-1")
    assert int(one["size (bytes)"]) == entry.size
    assert float(one["accuracy (share of test images)"]) == pytest.approx(entry.accuracy.share, abs=1e-6)
    assert float(one["latency median (ms a batch)"]) == 2.0
    assert other["latency median (ms a batch)"] == ""
    assert float(other["training reached (share)"]) == 0.25
    assert from_dict(json.loads(one["recipe (JSON)"])).digest == entry.key
