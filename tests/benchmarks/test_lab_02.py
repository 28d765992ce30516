"""Lab 02's cases and judges, on numbers made by hand and on the network for tests."""

from dataclasses import replace
from typing import Any

import pytest
import torch
from scipy import stats

from benchmarks.claims import _cases, lab_02
from benchmarks.claims._claim import Scale
from labkit import flow
from labkit.checks.lab_02 import magnitude
from labkit.train import evaluate
from labkit.workbench import workbench


def scored(percent: float) -> dict[str, Any]:
    return {"correct": round(100 * percent), "n": 10_000}


def rates(**percents: list[float]) -> dict[str, Any]:
    names = {"tenth": 0.1, "hundredth": 0.01, "full": 1.0, "thousandth": 0.001}
    return {f"factor {names[name]:g} seed {n}": scored(each) for name, row in percents.items() for n, each in enumerate(row)}


@pytest.mark.parametrize(
    ("tenth", "hundredth", "expected"),
    [
        ([90.0, 90.1, 89.9], [60.0, 60.0, 60.0], "holds"),  # one gentle factor that beats both is enough
        ([85.0, 85.1, 84.9], [60.0, 60.0, 60.0], "fails"),
        ([90.0, 86.0, 88.5], [60.0, 60.0, 60.0], "open"),
    ],
)
def test_a_gentle_rate_must_beat_both_others_by_its_whole_interval(tenth: list[float], hundredth: list[float], expected: str) -> None:
    values = rates(tenth=tenth, hundredth=hundredth, full=[88.0, 88.0, 88.0], thousandth=[40.0, 40.0, 40.0])
    found = lab_02.judge_rates(values)
    assert found.verdict == expected
    figure = next(each for each in found.figures if each.name == "0.1 over 1")
    differences = [each - 88 for each in tenth]
    assert figure.value == pytest.approx(sum(differences) / 3)
    assert (figure.low, figure.high) == pytest.approx(
        tuple(stats.ttest_1samp(differences, 0.0).confidence_interval(0.975))
    )  # two are tried


@pytest.mark.parametrize(
    ("tuned", "expected"), [([93.5, 93.6, 93.4], "holds"), ([93.0, 93.1, 92.9], "open"), ([91.5, 91.4, 91.6], "fails")]
)
def test_half_the_macs_may_lose_a_point(tuned: list[float], expected: str) -> None:
    values = {"dense": scored(94.0), "half the MACs, untuned": scored(60.0)} | {
        f"half the MACs, seed {n}": scored(each) for n, each in enumerate(tuned)
    }
    found = lab_02.judge_half(values)
    assert (found.verdict, found.figures[1].value) == (expected, 34.0)


def test_one_share_below_the_bound_fails_the_claim() -> None:
    batches = lab_02.Recalibrated(0, 0)
    ahead, behind = {"correct": 900, "n": 1000, "right": "1" * 900 + "0" * 100}, {"correct": 500, "n": 1000, "right": "1" * 500 + "0" * 500}
    values = {f"{name} {share}": case for share in lab_02.SHARES for name, case in zip(batches.names, (behind, ahead), strict=True)}
    assert lab_02.judge_shares(batches, values).verdict == "holds"
    values[f"{batches.names[0]} 0.9"] = ahead
    found = lab_02.judge_shares(batches, values)
    assert (found.verdict, [figure.value for figure in found.figures[::3]]) == ("fails", [40.0, 40.0, 0.0])


def timed(ratio: float) -> dict[str, Any]:
    times = {"median_ms": 2.0, "low_ms": 1.9, "high_ms": 2.2}
    return {name: times | {"ratio": ratio} for name in ("dense", "half", "weights 90 %", "channels 90 %", "weights 50 %")}


@pytest.mark.parametrize(("ratios", "expected"), [((1.7, 1.72, 1.71), "holds"), ((1.5, 1.75, 1.6), "open"), ((1.2, 1.21, 1.22), "fails")])
def test_speed_is_judged_over_the_runs(ratios: tuple[float, ...], expected: str) -> None:
    assert lab_02.judge_speed({f"torch run {n}": timed(each) for n, each in enumerate(ratios)}).verdict == expected


def test_what_loses_is_shown_and_does_not_decide() -> None:
    values = {f"programs batch {batch} run {n}": timed(2.0 + n / 100) for batch in lab_02.BATCHES for n in range(3)}
    for case in values.values():
        case["weights 50 %"]["ratio"] = 0.7
    found = lab_02.judge_formats(values)
    assert found.verdict == "holds"
    assert [round(f.value, 2) for f in found.figures if f.name.startswith("speed-up, weights 50 %")] == [0.7, 0.7]


def test_an_accuracy_case_says_which_images_are_right() -> None:
    bench = workbench("digits-small")
    recipe = magnitude(bench, "weight", 0.7)
    value = _cases.accuracy_case("a", recipe, Scale(test=100)).measure()
    assert (value["n"], value["right"].count("1")) == (100, value["correct"])
    assert value["correct"] / 100 == evaluate(bench.compress(recipe).model, bench.splits.test[:100])


def test_a_random_choice_drops_as_many_of_each_layer_elsewhere() -> None:
    bench = workbench("digits-small")
    recipe = magnitude(bench, "weight", 0.8)
    chosen = flow.choose(bench.dense, recipe, 0, bench.splits).keep
    first, again, other = (_cases.shuffled(bench, bench.splits, replace(recipe, seed=seed), 0).masks for seed in (0, 0, 1))
    for name, mask in chosen.items():
        assert first[name].sum() == mask.sum()
        assert torch.equal(first[name], again[name])
        assert not torch.equal(first[name], mask)
        assert not torch.equal(first[name], other[name])
