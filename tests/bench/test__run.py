"""The benchmark measures what it says, and its rows are whole."""

import json

import numpy as np
import pytest
import torch

from labkit import bench
from labkit.bench import linear
from labkit.bench._case import bits, linear_case
from labkit.cli import main
from labkit.core.errors import ConfigError
from labkit.formats.codebook import CodebookTensor

KEYS = """kernel format shape batch setting sparsity bits threads ratio_vs_dense spread best_peer ratio_vs_best_peer max_abs_error
    median_ms dense_ms peers macs effective_macs"""


@pytest.mark.parametrize("group", ["signs", "bytes_in_blocks", "convolutions"])
def test_what_is_timed_is_right(group):
    for case in bench.cases()[group]():
        assert case.error <= 1e-3
        assert np.isfinite(case.error)
        assert (case.setting.sparsity is None) != (case.setting.bits is None)


@pytest.mark.parametrize("group", ["sparse_rows", "bytes_in_blocks"])
def test_peers_do_the_same_job(group):
    for case in bench.cases()[group]():
        want = case.dense().numpy()
        for name, call in case.peers.items():
            got = np.asarray(call())
            np.testing.assert_allclose(got if got.shape == want.shape else got.T, want, rtol=1e-4, atol=1e-3, err_msg=name)


def test_rounded_inputs_are_part_of_the_error():
    weight = CodebookTensor.pack(np.array([[0, 1]]), np.array([-1.0, 0.25]))
    floats, rounded = (linear_case("k", weight, 1, bits(1), input_bits=each).error for each in (32, 8))
    assert floats < 1e-6
    assert 1e-5 < rounded < 0.05


def test_a_case_is_made_and_measured_on_one_thread(monkeypatch):
    threads = []

    def group():
        threads.append(torch.get_num_threads())
        yield from bench.cases()["signs"]()

    monkeypatch.setattr(linear, "CASES", (group,))
    torch.set_num_threads(2)
    assert len(list(bench.bench("group", rounds=1))) == 2
    assert threads == [1]


def test_the_command_prints_whole_rows(capsys):
    assert main(["bench", "--only", "signs", "--rounds", "2", "--json"]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert printed["host"]["cpu"]
    assert printed["host"]["torch"]
    assert [row["batch"] for row in printed["rows"]] == [1, 64]
    assert printed["machine"]["shared"] > 0 < printed["machine"]["first"]
    assert all(set(row) == set(KEYS.split()) and row["threads"] == 1 and row["median_ms"] > 0 for row in printed["rows"])
    assert all(row["bits"] == 1 and row["sparsity"] is None for row in printed["rows"])
    assert main(["bench", "--only", "signs", "--rounds", "1"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert "torch" in lines[0]
    assert lines[1].split()[:4] == ["kernel", "format", "shape", "batch"]
    assert len(lines) == 5
    assert lines[4].startswith("At most, one thread here does ")


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
