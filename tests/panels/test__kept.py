"""What the browser remembers comes back; what somebody else put there is taken only as far as it makes sense."""

import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from labkit.panels._kept import MOST_ATTEMPTS, Attempt, Kept, from_json, is_met, rank, to_json
from labkit.panels._lab import Figures
from labkit.panels.pruning_granularity import LAB

GOAL = LAB.challenge


def attempt(accuracy, size, link="a=1"):
    return Attempt(Figures(accuracy, size), f"{link} <b>", link)


def test_the_best_come_first_and_five_stay():
    kept = Kept()
    for n, (accuracy, size) in enumerate([(0.93, 500_000), (0.5, 60_000), (0.91, 63_000), (0.92, 64_000), (0.9, 64_001), (0.2, 400_000)]):
        kept = kept.with_attempt(attempt(accuracy, size, f"n={n}"), GOAL)
    assert [each.link for each in kept.best] == ["n=3", "n=2", "n=4", "n=1", "n=0"]
    assert len(kept.best) == MOST_ATTEMPTS
    assert kept.is_met


def test_a_setting_that_is_measured_again_takes_its_own_place():
    kept = Kept().with_attempt(attempt(0.8, 60_000), GOAL).with_attempt(attempt(0.7, 60_000), GOAL)
    assert [each.figures.accuracy for each in kept.best] == [0.7]
    assert not kept.is_met


def test_rank_counts_aims_before_shares_before_accuracy():
    ranks = [rank(Figures(a, b), GOAL) for a, b in [(0.95, 32_000), (0.9, 64_000), (0.899, 1), (0.1, 1), (0.1, 64_001)]]
    assert ranks == sorted(ranks, reverse=True)
    assert [is_met(Figures(a, b), GOAL) for a, b in [(0.9, 64_000), (0.899, 1), (None, 1)]] == [True, False, False]


@given(
    st.frozensets(st.sampled_from([step.id for step in LAB.steps])),
    st.lists(st.tuples(st.floats(0, 1), st.integers(0, 10**9)), max_size=8),
)
def test_what_is_kept_comes_back(steps, found):
    kept = Kept(steps)
    for n, (accuracy, size) in enumerate(found):
        kept = kept.with_attempt(attempt(accuracy, size, f"n={n}"), GOAL)
    text = to_json(kept, LAB)
    assert from_json(text, LAB) == kept
    assert json.loads(text)["total"] == len(LAB.steps)
    assert len(text) < 100_000


BAD = [
    "",
    "null",
    "[]",
    "NaN",
    '"x"',
    "[" * 100_000,
    '{"steps": 3, "best": 4}',
    '{"steps": [[], {}, 3, "no_such_step"], "best": [3, null, {}, {"accuracy": "x"}]}',
    '{"best": [{"accuracy": NaN, "bytes": 1, "label": "x", "hash": ""}]}',
    '{"best": [{"accuracy": 1e400, "bytes": 1, "label": "x", "hash": ""}]}',
    '{"best": [{"accuracy": true, "bytes": 1, "label": "x", "hash": ""}]}',
    '{"best": [{"accuracy": 0.5, "bytes": 1, "label": 3, "hash": ""}]}',
    f'{{"best": [{{"accuracy": 0.5, "label": "x", "hash": "{"a" * 3000}"}}]}}',
    f'{{"best": [{{"accuracy": {"9" * 5000}, "label": "x", "hash": ""}}]}}',
]


@pytest.mark.parametrize("text", BAD)
def test_what_makes_no_sense_is_left_out(text):
    assert from_json(text, LAB) == Kept()


JSON = st.recursive(st.none() | st.booleans() | st.floats() | st.text(), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner))


@settings(suppress_health_check=[HealthCheck.too_slow])  # deep JSON, and a machine may be busy
@given(st.fixed_dictionaries({}, optional={"steps": JSON, "best": JSON, "met": JSON, "total": JSON}))
def test_any_json_is_harmless(plain):
    found = from_json(json.dumps(plain), LAB)
    assert found.steps <= {step.id for step in LAB.steps}
    assert len(found.best) <= 5


def test_what_two_tabs_remember_is_put_together():
    one = Kept(frozenset({"fast"})).with_attempt(attempt(0.95, 60_000, "n=1"), GOAL)
    two = Kept(frozenset({"tune"})).with_attempt(attempt(0.5, 60_000, "n=2"), GOAL)
    both = one.merged(two, GOAL)
    assert both.steps == {"fast", "tune"}
    assert [each.link for each in both.best] == ["n=1", "n=2"]
    assert both.is_met
