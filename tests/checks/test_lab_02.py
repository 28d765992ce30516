"""Channels and single weights at one share of zeros."""

import pytest
import torch

from labkit import flow
from labkit.checks import lab_02, results
from labkit.models.layers import compressible
from labkit.workbench import Workbench, workbench


@pytest.fixture(scope="module")
def bench() -> Workbench:
    return workbench("digits-small")


def zeros(bench: Workbench, keep: dict[str, torch.Tensor]) -> int:
    return sum(int((~keep[f"{name}.weight"]).sum()) for name in compressible(bench.dense.model) if f"{name}.weight" in keep)


@pytest.mark.parametrize("share", [0.3, 0.7, 0.9])
def test_both_leave_the_same_zeros_near_the_share(share: float, bench: Workbench) -> None:
    pair = lab_02.equal_share(bench, share)
    assert pair.total == 8 * 9 + 16 * 8 * 9 + 10 * 64
    masks = [flow.choose(bench.dense, recipe, 0, bench.splits) for recipe in (pair.channels, pair.weights)]
    assert (zeros(bench, masks[0].keep), zeros(bench, masks[1].keep)) == (pair.channels_gone, pair.weights_gone)
    assert masks[0].is_structured
    assert not masks[1].is_structured
    assert abs(pair.channels_gone - pair.weights_gone) <= 2  # each of three layers rounds by half a weight
    others = [lab_02.gone(bench, lab_02.magnitude(bench, "channel", step / 100)) for step in range(100)]
    assert abs(pair.channels_gone - share * pair.total) <= min(abs(each - share * pair.total) for each in others) + 1e-9


def test_a_share_of_zero_drops_nothing(bench: Workbench) -> None:
    pair = lab_02.equal_share(bench, 0.0)
    assert (pair.channels_gone, pair.weights_gone, pair.share) == (0, 0, 0.0)


def test_recalibration_is_the_channels_alone(bench: Workbench) -> None:
    pair = lab_02.equal_share(bench, 0.5, recalibrate=7)
    assert [recipe.to_dict()["steps"][0]["recalibrate"] for recipe in (pair.channels, pair.weights)] == [7, 0]


def test_the_cell_prints_verdicts_and_exact_integers_alone(
    bench: Workbench, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(lab_02, "NETWORK", "digits-small")
    monkeypatch.setattr(results, "report", lambda lab: f"holds  what was claimed in {lab}")
    lab_02.check()
    first = capsys.readouterr().out
    lab_02.check()
    assert capsys.readouterr().out == first
    assert first.startswith("holds  what was claimed in 02\n\n")
    pair = lab_02.equal_share(bench, lab_02.SHARE, recalibrate=lab_02.RECALIBRATE)
    assert f"whole channels take {pair.channels_gone:,} of {pair.total:,} weights" in first
    assert first.splitlines()[-1][:5].strip() in {"holds", "fails", "open"}
    assert not any(word in first for word in (" ms", " s\n", "%", "."))
