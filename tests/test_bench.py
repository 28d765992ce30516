"""The benchmark measures what it says, and its rows are whole."""

import json

import numpy as np
import pytest

from labkit import bench
from labkit.cli import main
from labkit.core.errors import ConfigError

KEYS = (
    "kernel format shape batch sparsity_or_bits threads ratio_vs_dense spread best_peer ratio_vs_best_peer max_abs_error median_ms dense_ms"
)


def test_a_ratio_is_that_of_the_two_calls():
    calls = [0, 0]

    def count(n, times):
        calls[n] += 1
        return sum(range(times))

    case = bench.Case("k", "f", (1,), 1, "x", lambda: count(0, 1000), lambda: count(1, 200_000), 0.0, {"peer": lambda: sum(range(400_000))})
    row = bench.measured(case, 5)
    assert calls[0] == calls[1] > 5
    assert row.ratio_vs_dense > 10
    assert row.spread[0] <= row.ratio_vs_dense <= row.spread[1]
    assert row.best_peer == "peer"
    assert row.ratio_vs_best_peer > row.ratio_vs_dense


@pytest.mark.parametrize("group", [bench.signs, bench.bytes_in_blocks, bench.convolutions])
def test_what_is_timed_is_right(group):
    for case in group():
        assert case.error <= 1e-3
        assert np.isfinite(case.error)


def test_the_command_prints_whole_rows(capsys):
    assert main(["bench", "--only", "signs", "--rounds", "2", "--json"]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert printed["host"]["cpu"]
    assert [row["batch"] for row in printed["rows"]] == [1, 64]
    assert all(set(row) == set(KEYS.split()) and row["threads"] == 1 and row["median_ms"] > 0 for row in printed["rows"])
    assert main(["bench", "--only", "signs", "--rounds", "1"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[1].split()[:4] == ["kernel", "format", "shape", "batch"]
    assert len(lines) == 4


def test_an_unknown_group_is_refused():
    with pytest.raises(ConfigError, match="there is no group 'sign'; there are sparse_rows, blocks"):
        list(bench.bench("sign"))
