"""Lab 07's judges, on numbers made by hand."""

from functools import partial
from typing import Any

import pytest

from benchmarks.claims import lab_07
from benchmarks.claims._claim import QUICK
from labkit.crossover import PATTERNS


def runs(one: list[float], many: list[float], start: float | None = 0.5) -> dict[str, Any]:
    """Return sweeps in which single weights at half and quarter zeros have these ratios, and 2:4 twice as much."""
    found = {}
    for n, (alone, batch) in enumerate(zip(one, many, strict=True)):
        ratio = {f"csr {zeros} {size}": value for zeros in (0.25, 0.5) for size, value in ((1, alone), (64, batch))}
        ratio |= {key.replace("csr", "n_m"): 2 * value for key, value in ratio.items()}
        found[f"sweep {n}"] = {"ratio": ratio, "start": {"csr 1": start, "csr 64": 0.25}}
    return found


@pytest.mark.parametrize(
    ("one", "many", "faster", "slower"),
    [
        ([2.0, 2.1], [3.0, 3.1], "holds", "fails"),
        ([0.5, 0.51], [3.0, 3.1], "fails", "fails"),
        ([0.5, 0.51], [0.7, 0.71], "fails", "holds"),
        ([0.9, 1.2], [3.0, 3.1], "open", "fails"),
    ],
)
def test_a_kind_must_be_on_one_side_in_every_batch(one: list[float], many: list[float], faster: str, slower: str) -> None:
    values = runs(one, many)
    assert lab_07.judge_faster("csr", 0.5, (1, 64), values).verdict == faster
    assert lab_07.judge_slower("csr", 0.25, (1, 64), values).verdict == slower


def test_one_kind_over_another_is_compared_within_a_run() -> None:
    values = runs([0.5, 2.0], [1.0, 4.0])  # the machine's speed changed between the runs, the ratio of the kinds did not
    found = lab_07.judge_first("n_m", "csr", 0.5, values)
    assert found.verdict == "holds"
    assert [figure.value for figure in found.figures] == pytest.approx([2.0, 2.0])
    assert lab_07.judge_first("csr", "n_m", 0.5, values).verdict == "fails"


def test_where_a_kind_starts_to_win_is_shown_only_if_it_does_in_every_run() -> None:
    shown = lab_07.judge_faster("csr", 0.5, (1,), runs([2.0, 2.1], [1.0, 1.0])).figures
    assert [figure.value for figure in shown if figure.unit == "%"] == [50.0]
    assert not [each for each in lab_07.judge_faster("csr", 0.5, (1,), runs([2.0, 2.1], [1.0, 1.0], None)).figures if each.unit == "%"]


def test_the_claims_share_their_sweeps_and_ask_for_what_a_sweep_measures() -> None:
    names = [[case.identity(QUICK) for case in claim.cases(QUICK)] for claim in lab_07.CLAIMS]
    assert all(each == names[0] for each in names)
    for claim in lab_07.CLAIMS:
        assert claim.serial
        assert isinstance(claim.judge, partial)
        assert any(zeros in claim.judge.args for zeros in PATTERNS)
