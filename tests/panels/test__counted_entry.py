"""Lab 01's entries: what they hold is what was counted and modelled, and what is said of two of them adds up."""

import csv
import io
from dataclasses import replace

import pytest

from labkit.blueprint import BlueprintConfig, Ran, counted
from labkit.core.records import Latency
from labkit.measure.energy import EnergyConfig
from labkit.panels._counted_entry import AXES, SHEET, CountedEntry, compared_in_words, entry_of, setting_rows, times
from labkit.panels._counted_state import State
from labkit.panels._history import History, row, table_csv

RAN = Ran({}, Latency(6.4, 6.0, 7.0, 30, 1, 64))
OTHER = State(BlueprintConfig(kind="convolutional", sparsity=0.5), EnergyConfig(bits=8, batch=64, buffer=1 << 20))


def entry(state: State = OTHER, ran: Ran | None = RAN) -> CountedEntry:
    return entry_of(state, State(), f"link of {state.network.kind}", ran)


def test_an_entry_is_labelled_by_what_differs_and_holds_what_was_counted() -> None:
    made = entry()
    assert entry(State()).label == "as the lab opens"
    assert made.label == "convolutional, 50% zeros, 8 bits, 64 images, 1024 KiB on chip"
    found = counted(OTHER.network, 8)
    assert made.key == "#link of convolutional"
    assert made.costs == {"MACs": found.cost.effective_macs / 1e6, "weights": found.weight_bytes / 1e3, "latency here": 0.1}
    assert made.y == pytest.approx(sum(found.energy(OTHER.chip).values()))
    assert made.moved == sum(sum(each) for each in found.moved(OTHER.chip).values())
    assert set(made.costs) == set(AXES)
    assert entry(ran=None).costs["latency here"] is None


def test_each_row_sorts_by_what_it_shows() -> None:
    cells = row(entry(State()), SHEET.table)["cells"]
    texts, values = [text for text, _ in cells[1:]], [value for _, value in cells[1:]]
    assert texts == ["175 µJ", "98%", "1.07 MB", "1.07 MB", "0.266 M", "0.1 ms"]
    assert values == pytest.approx([174.517, 0.97773, 1_066_440, 1_066_440, 266_200, 0.1], rel=1e-4)
    assert row(entry(State(), None), SHEET.table)["cells"][-1] == ["…", None]


def test_the_table_of_two_names_every_setting_that_differs_and_the_parts_of_the_energy() -> None:
    same = replace(OTHER, chip=OTHER.chip.replace(batch=1))
    assert setting_rows(entry(OTHER), entry(same)) == [("batch", "64 images", "one image")]
    assert setting_rows(entry(State()), entry(State(BlueprintConfig(width=0.5, depth=3)))) == [("width", "1", "0.5"), ("depth", "2", "3")]
    assert setting_rows(entry(State()), entry()) == [
        ("kind", "linear", "convolutional"),
        ("zeros", "0%", "50%"),
        ("bits", "32", "8"),
        ("batch", "one image", "64 images"),
        ("on-chip buffer", "64 KiB on chip", "1024 KiB on chip"),
    ]
    said = {column.name: column.text(entry()) for column in SHEET.compared}
    assert list(said)[:4] == ["energy", "arithmetic", "on-chip memory", "DRAM"]
    parts = [float(str(said[name]).removesuffix(" µJ")) for name in list(said)[:4]]
    assert parts[0] == pytest.approx(sum(parts[1:]), rel=0.01)
    assert said["MACs"] == "3.92 M of 7.84 M"
    assert (said["latency"], said["of a batch"]) == ("0.1 ms", "6.4 ms, 64 images")


def test_what_two_come_to_is_said_by_hand() -> None:
    alone = entry(State(), Ran({}, Latency(0.4, 0.3, 0.5, 30, 1, 1)))
    batched = entry(State(chip=EnergyConfig(batch=64)))
    assert compared_in_words(alone, batched) == (
        "From A to B an image takes 1/26.6 of the energy, modelled, and the same products. "
        "Most of the difference in energy is DRAM: −168 µJ. Measured here, it takes 1/4 of the time."
    )
    assert "26.6 times the energy" in compared_in_words(batched, alone)
    assert "DRAM: +168 µJ" in compared_in_words(batched, alone)
    assert (
        compared_in_words(alone, replace(alone, latency=None))
        == "From A to B an image takes the same energy, modelled, and the same products."
    )
    assert times(2.0, 3.0, "time") == "1.5 times the time"


def test_the_csv_has_units_links_and_every_figure() -> None:
    history = History[CountedEntry]()
    history.add(entry(State(), None))
    history.add(entry())
    first, second = csv.DictReader(io.StringIO(table_csv(history, SHEET.saved).decode(), newline=""))
    assert first["setting"] == "as the lab opens"
    assert first["latency median (ms a batch)"] == ""
    assert second["link"] == "#link of convolutional"
    assert int(second["weights (bytes)"]) == counted(OTHER.network, 8).weight_bytes
    assert (float(second["latency median (ms a batch)"]), int(second["latency batch (images)"])) == (6.4, 64)
    parts = sum(float(second[f"{name} (microjoules an image)"]) for name in ("arithmetic", "on-chip memory", "DRAM"))
    assert parts == pytest.approx(float(second["energy, modelled (microjoules an image)"]), rel=1e-4)
