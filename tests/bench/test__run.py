"""The benchmark measures what it says, and its rows are whole."""

import json

import numpy as np
import pytest

from labkit import bench
from labkit.cli import main
from labkit.core.errors import ConfigError

KEYS = """kernel format shape batch setting sparsity bits threads ratio_vs_dense spread best_peer ratio_vs_best_peer max_abs_error
    median_ms dense_ms peers"""


@pytest.mark.parametrize("group", ["signs", "bytes_in_blocks", "convolutions"])
def test_what_is_timed_is_right(group):
    for case in bench.cases()[group]():
        assert case.error <= 1e-3
        assert np.isfinite(case.error)
        assert (case.setting.sparsity is None) != (case.setting.bits is None)


def test_the_command_prints_whole_rows(capsys):
    assert main(["bench", "--only", "signs", "--rounds", "2", "--json"]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert printed["host"]["cpu"]
    assert printed["host"]["torch"]
    assert [row["batch"] for row in printed["rows"]] == [1, 64]
    assert all(set(row) == set(KEYS.split()) and row["threads"] == 1 and row["median_ms"] > 0 for row in printed["rows"])
    assert all(row["bits"] == 1 and row["sparsity"] is None for row in printed["rows"])
    assert main(["bench", "--only", "signs", "--rounds", "1"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert "torch" in lines[0]
    assert lines[1].split()[:4] == ["kernel", "format", "shape", "batch"]
    assert len(lines) == 4


def test_peers_that_are_left_out_are_named(capsys, monkeypatch):
    monkeypatch.setattr("labkit.bench._peers.PACKAGES", ("scipy", "onnxruntime_of_nobody"))
    assert main(["bench", "--only", "signs", "--rounds", "1"]) == 0
    assert capsys.readouterr().err == "labkit: without peers of onnxruntime_of_nobody: pip install 'labkit[bench]' brings them\n"


def test_a_topic_is_all_its_groups():
    assert {"sparse_rows", "blocks", "n_of_m", "codes", "signs", "bytes_in_blocks", "convolutions", "networks", "int8_networks"} <= set(
        bench.cases()
    )
    assert [row.kernel for row in bench.bench("integer", rounds=1)] == ["int8_linear"] * 3


def test_an_unknown_group_is_refused():
    with pytest.raises(ConfigError, match="there is no group 'sign'; there are linear, lowbit, integer"):
        list(bench.bench("sign"))
