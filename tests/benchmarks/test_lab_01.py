"""Lab 01's cases and judges, on numbers made by hand."""

from typing import Any

import pytest

from benchmarks.claims import lab_01
from labkit.checks.lab_01 import ALONE


def energies(**shares: float) -> dict[str, Any]:
    return {name: {"compute": 1.0, "on_chip": 1.0, "dram": 1.0, "share": share} for name, share in shares.items()}


def runs(one: list[float], many: list[float]) -> dict[str, Any]:
    cases = {1: one, lab_01.BATCH: many}
    return {
        f"batch {batch} run {n}": {"peak": 100.0, "bandwidth": 10.0, "intensity": each, "gflops": 5.0}
        for batch, row in cases.items()
        for n, each in enumerate(row)
    }


@pytest.mark.parametrize(
    ("shares", "over", "flipped"), [((0.6, 0.7), "holds", "fails"), ((0.6, 0.5), "fails", "fails"), ((0.1, 0.4), "fails", "holds")]
)
def test_every_network_must_be_on_one_side_of_half(shares: tuple[float, float], over: str, flipped: str) -> None:
    values = energies(a=shares[0], b=shares[1])
    assert (lab_01.judge_over_half(values).verdict, lab_01.judge_flipped(values).verdict) == (over, flipped)
    assert lab_01.judge_over_half(values).figures[0].value == 100 * shares[0]


@pytest.mark.parametrize(
    ("one", "many", "expected"),
    [([0.5, 0.6], [20.0, 21.0], "holds"), ([0.5, 0.6], [5.0, 5.1], "fails"), ([0.5, 0.6], [8.0, 12.0], "open")],
)
def test_one_image_must_be_below_the_ridge_and_many_above(one: list[float], many: list[float], expected: str) -> None:
    found = lab_01.judge_ridge(runs(one, many))
    assert found.verdict == expected
    assert found.figures[0].value == pytest.approx(10 / (0.5 * 0.6) ** 0.5)


def test_the_energy_of_lenet_on_the_chip_of_the_claim() -> None:
    case = lab_01.energy_case("linear", "one image", ALONE)
    assert case.measure()["share"] == pytest.approx(0.977730, abs=1e-6)


def test_claims_of_time_are_serial_and_the_others_exact() -> None:
    assert [claim.name for claim in lab_01.CLAIMS if claim.serial] == ["ridge"]
