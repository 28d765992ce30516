"""The check cell of lab 01 counts the same to the last digit each time."""

import pytest

from labkit.blueprint import BlueprintConfig, counted
from labkit.checks import lab_01, results


def test_the_share_by_hand() -> None:
    dram, rest = 640 * 1_066_440 / 4, 266_200 * (3.7 + 0.9 + 2 * 5)
    assert lab_01.dram_share(counted(BlueprintConfig()), lab_01.ALONE) == pytest.approx(dram / (dram + rest))


def test_the_cell_prints_verdicts_and_exact_integers_alone(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(results, "report", lambda lab: f"holds  what was claimed in {lab}")
    lab_01.check()
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "holds  what was claimed in 01"
    assert lines[3] == "linear: 266,200 products, 1,066,440 bytes of weights"
    assert [line[:5] for line in lines[4:7]] == ["holds", "fails", "fails"]
    assert lines[4].endswith("one image, 1,225, 2,662, 170,630")
    assert not any("." in line or "%" in line for line in lines)
