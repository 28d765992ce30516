"""The check cell of lab 07 counts the same to the last byte and cycle each time."""

import re

import pytest

from labkit.checks import lab_07, results


def test_the_bytes_by_hand() -> None:
    sizes = lab_07.packed_sizes()
    entries = 1024 * 1024
    assert sizes[0.5]["dense"] == 4 * entries
    assert sizes[0.5]["csr"] == entries // 2 * (4 + 2) + 1025 * 4
    assert sizes[0.5]["vector_sparse"] == entries // 8 * (4 * 4 + 2) + 257 * 4
    assert sizes[0.875]["n_m"] == entries // 8 * 4 + entries // 8 * 3 // 8


def test_the_cell_prints_verdicts_and_exact_integers_alone(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(results, "report", lambda lab: f"holds  what was claimed in {lab}")
    lab_07.check()
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "holds  what was claimed in 07"
    assert lines[4] == "50.0% zeros (2:4): 4,194,304, 3,149,828, 2,360,324, 2,228,224"
    assert [line[:5] for line in lines if line[:5] in ("holds", "fails")] == ["holds", "holds", "fails", "holds", "holds"]
    assert "Cycles of the array with queues of 1 to 4: 23, 17, 15, 15" in lines
    assert not any(re.search(r"\d ms|\d×", line) for line in lines)
