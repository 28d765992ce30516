"""The history: one entry a recipe, in words, bounded, with at most two pins, and as CSV."""

import csv
import io
from dataclasses import replace

import pytest

from labkit.core.recipe import Recipe, Step, from_dict
from labkit.core.registry import find
from labkit.panels import _history
from labkit.panels._history import Entry, History, label, settings, table_csv
from labkit.workbench import Workbench
from tests.panels import entries


@pytest.fixture(scope="module")
def bench() -> Workbench:
    return Workbench("digits-small")


@pytest.fixture(scope="module")
def entry(bench: Workbench) -> Entry:
    return entries.measured(bench, entries.state())


def numbered(entry: Entry, n: int) -> Entry:
    return replace(entry, recipe=replace(entry.recipe, seed=n))


def recipe(*steps: dict[str, object]) -> Recipe:
    return from_dict({"version": 1, "network": "digits-small", "data": "digits", "steps": list(steps)})


FIRST = recipe({"method": "magnitude", "ratio": {"name": "uniform_ratio", "sparsity": 0.5}})
CHANNEL = {"method": "magnitude", "granularity": "channel", "ratio": {"name": "uniform_ratio", "sparsity": 0.7}, "scope": "global"}


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


def test_the_oldest_goes_but_not_a_pinned_one(entry, monkeypatch):
    monkeypatch.setattr(_history, "MOST_ENTRIES", 3)
    history = History()
    for n in range(3):
        history.add(numbered(entry, n))
    history.pin(numbered(entry, 0).key)
    history.add(numbered(entry, 3))
    assert [each.recipe.seed for each in history] == [0, 2, 3]


def test_a_third_pin_takes_the_place_of_the_older_one(entry):
    history = History()
    keys = []
    for n in range(3):
        history.add(numbered(entry, n))
        keys.append(numbered(entry, n).key)
    for key in keys:
        history.pin(key)
    assert history.pins == (keys[1], keys[2])
    assert history.letters() == {keys[1]: "A", keys[2]: "B"}
    history.pin(keys[1])
    assert [each.key for each in history.pinned] == [keys[2]]
    history.pin("no such key")
    assert len(history.pinned) == 1


def test_a_label_says_what_differs_from_the_first_settings():
    assert label(FIRST, FIRST) == "as the lab opens"
    assert label(recipe(CHANNEL), FIRST) == "channel, sparsity 70%, scope global"
    assert label(recipe({**CHANNEL, "layers": "conv*"}), FIRST).endswith("layers conv*")
    tuned = {"method": "masked_finetune", "epochs": 3}
    assert label(recipe(CHANNEL, tuned), FIRST) == "channel, sparsity 70%, scope global, tuned, epochs 3"
    assert label(recipe(CHANNEL, {"method": "masked_finetune"}), FIRST).endswith(", tuned")
    assert label(recipe(CHANNEL, tuned), FIRST, 0.5).endswith("tuned, 1.5 epochs")


def test_settings_in_words_have_units_and_cover_every_field():
    said = settings(find("masked_finetune").config(shift=2, flip=True))
    assert said["shift",] == "shift 2 pixels"
    assert said["flip",] == "flip"
    assert settings(find("masked_finetune").config())["flip",] == "no flip"
    assert len(said) == len(find("masked_finetune").config.specs())


def test_csv_is_what_a_spreadsheet_reads_and_replays(entry):
    history = History()
    history.add(replace(entry, label='=HYPERLINK("x"), "quoted"', timing=entries.timing()))
    history.add(replace(numbered(entry, 1), label="-1\r\nnext", reached=0.25))
    raw = table_csv(history)
    assert raw.count(b"\r\n") == 4, "three records, and one line end within a field"
    one, other = csv.DictReader(io.StringIO(raw.decode(), newline=""))
    assert one["setting"] == '\'=HYPERLINK("x"), "quoted"'
    assert other["setting"].startswith("'-1")
    assert int(one["size (bytes)"]) == entry.size
    assert float(one["accuracy (share of test images)"]) == pytest.approx(entry.accuracy.share, abs=1e-6)
    assert float(one["latency median (ms a batch)"]) == 2.0
    assert other["latency median (ms a batch)"] == ""
    assert float(other["training reached (share)"]) == 0.25
    import json

    assert from_dict(json.loads(one["recipe (JSON)"])).digest == entry.key


def test_an_empty_history_is_a_csv_with_a_header():
    assert table_csv(History()) == b"setting\r\n"


def test_steps_are_compared_with_the_same_method_only():
    other = recipe({"method": "masked_finetune"}, {"method": "magnitude"})
    assert label(other, FIRST).startswith("tuned, magnitude")
    assert _history.differences(Step(FIRST.steps[0].config), FIRST.steps[0]) == []
