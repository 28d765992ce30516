"""The table of what was to be reached: every aim belongs to a row, and what it says of rates and products is computed."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from labkit.bench import REACH_HEAD, Machine, Row, from_plain, machine, reach_table
from labkit.bench._reach import AIMS

RESULTS = Path(__file__).resolve().parents[2] / "benchmarks" / "results" / "bench.json"
ROW = Row(
    "csr_linear",
    "csr",
    (1024, 1024),
    64,
    "90%",
    0.9,
    None,
    1,
    4.5,
    (4, 5),
    None,
    None,
    0.0,
    0.5,
    2.0,
    {},
    macs=1024 * 1024 * 64,
    effective_macs=1024 * 1024 * 64 // 10,
)
HERE = Machine(shared=90.0, first=45.0, second=25.0, memory=10.0)


@pytest.fixture(scope="module")
def rows() -> list[Row]:
    return [from_plain(row) for row in json.loads(RESULTS.read_text())["rows"]]


def test_every_aim_was_measured(rows: list[Row]) -> None:
    lines = reach_table(rows, HERE, is_wide=True)
    assert len(lines) == len(AIMS)
    assert {len(line) for line in lines} == {len(REACH_HEAD)}
    assert not [line for line in lines if "{" in line[-1]], "a limit that was not filled in"


def test_rates_are_of_what_is_left() -> None:
    (line,) = reach_table([ROW], HERE, is_wide=True)
    assert line[1:6] == ("4.5×", "4.50×", "reached", "13 · 10⁹/s", "34 · 10⁹/s")  # 1024² · 64 · 0.1 / 0.5 ms and 1024² · 64 / 2 ms
    (narrow,) = reach_table([replace(ROW, ratio_vs_dense=3.99)], HERE, is_wide=False)
    assert narrow[1:4] == ("4×", "3.99×", "missed")


@pytest.mark.parametrize(("setting", "bits", "kind", "rate"), [("4 bits", 4, "codebook", "8.4"), ("2 bits", 2, "codebook", "4.2")])
def test_one_sample_reads_its_weights(setting: str, bits: int, kind: str, rate: str) -> None:
    row = replace(ROW, kernel="lookup_linear", format=kind, shape=(4096, 4096), batch=1, setting=setting, sparsity=None, bits=bits)
    (line,) = reach_table([replace(row, median_ms=1.0, dense_ms=4.0)], HERE, is_wide=True)
    assert line[4:6] == (f"{rate} GB/s", "16.8 GB/s")
    assert f"{32 // bits}× fewer bytes" in line[6]


def test_two_of_four_reads_values_and_places() -> None:
    row = replace(ROW, kernel="n_m_linear", format="n_m", shape=(4096, 4096), batch=1, setting="2:4", sparsity=0.5)
    (line,) = reach_table([replace(row, median_ms=1.0)], HERE, is_wide=True)
    assert line[4] == "35.7 GB/s"  # 4096² · (4 + 1/4) / 2
    assert "1.88× fewer bytes" in line[6]


def test_the_bound_is_that_of_the_products_that_are_left() -> None:
    (line,) = reach_table([replace(ROW, dense_ms=2.0)], HERE, is_wide=True)
    assert "the loads: 13×" in line[6]  # 45 · 10⁹ / s · 2 ms / (1024² · 64 / 10)
    uneven = replace(ROW, kernel="vgg-small-bn", shape=(1, 28, 28), setting="80%", macs=1000, effective_macs=377)
    (line,) = reach_table([uneven], HERE, is_wide=True)
    assert "38% of the products are left" in line[6]


def test_the_machine_hands_out_less_from_a_cache_than_from_registers() -> None:
    found = machine()
    assert 0 < found.second < 1.5 * found.first < 1.5 * 1.5 * found.shared
    assert found.memory > 0.5
    assert Machine(**found.as_plain()).shared == pytest.approx(found.shared, rel=1e-3)
    assert f"{found.first:.0f} · 10⁹ where each reads its own" in found.in_words()
