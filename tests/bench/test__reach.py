"""The table of what was to be reached: every aim belongs to a row, and what it says of rates and products is computed."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from labkit import flow
from labkit.bench import REACH_HEAD, Row, from_plain, reach_table
from labkit.bench._reach import AIMS
from labkit.bench.networks import pruned
from labkit.measure.cost import cost
from labkit.models import load

RESULTS = Path(__file__).resolve().parents[2] / "benchmarks" / "results" / "bench.json"
ROW = Row("csr_linear", "csr", (1024, 1024), 64, "90%", 0.9, None, 1, 4.5, (4, 5), None, None, 0.0, 0.5, 2.0, {})


@pytest.fixture(scope="module")
def rows() -> list[Row]:
    return [from_plain(row) for row in json.loads(RESULTS.read_text())["rows"]]


def test_every_aim_was_measured(rows: list[Row]) -> None:
    lines = reach_table(rows, is_wide=True)
    assert len(lines) == len(AIMS)
    assert {len(line) for line in lines} == {len(REACH_HEAD)}
    assert not [line for line in lines if "{" in line[-1]], "a limit that was not filled in"


def test_rates_are_of_what_is_left() -> None:
    (line,) = reach_table([ROW], is_wide=True)
    assert line[1:6] == ("4.5×", "4.50×", "reached", "13 · 10⁹/s", "34 · 10⁹/s")  # 1024² · 64 · 0.1 / 0.5 ms and 1024² · 64 / 2 ms
    (narrow,) = reach_table([replace(ROW, ratio_vs_dense=3.99)], is_wide=False)
    assert narrow[1:4] == ("4×", "3.99×", "missed")


@pytest.mark.parametrize(("setting", "bits", "kind", "rate"), [("4 bits", 4, "codebook", "8.4"), ("2 bits", 2, "codebook", "4.2")])
def test_one_sample_reads_its_weights(setting: str, bits: int, kind: str, rate: str) -> None:
    row = replace(ROW, kernel="lookup_linear", format=kind, shape=(4096, 4096), batch=1, setting=setting, sparsity=None, bits=bits)
    (line,) = reach_table([replace(row, median_ms=1.0, dense_ms=4.0)], is_wide=True)
    assert line[4:6] == (f"{rate} GB/s", "16.8 GB/s")
    assert f"{32 // bits}× fewer bytes" in line[6]


def test_two_of_four_reads_values_and_places() -> None:
    row = replace(ROW, kernel="n_m_linear", format="n_m", shape=(4096, 4096), batch=1, setting="2:4", sparsity=0.5)
    (line,) = reach_table([replace(row, median_ms=1.0)], is_wide=True)
    assert line[4] == "35.7 GB/s"  # 4096² · (4 + 1/4) / 2
    assert "1.88× fewer bytes" in line[6]


@pytest.mark.parametrize("aim", [aim for aim in AIMS if aim.left is not None], ids=lambda aim: aim.setting)
def test_the_share_of_products_that_is_told_is_that_of_the_network(aim) -> None:  # type: ignore[no-untyped-def]
    model, splits = pruned("vgg-small-bn", load("vgg-small-bn"), float(aim.setting.rstrip("%")) / 100, "global")
    found = cost(model, flow.example(splits.test))
    assert found.effective_macs / found.macs == pytest.approx(aim.left, abs=0.0005)
