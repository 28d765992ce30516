import gc
import math
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from labkit.core.errors import Cancelled, ConfigError
from labkit.core.progress import Progress, Tick
from labkit.core.records import Latency
from labkit.measure import _lock
from labkit.measure import latency as module
from labkit.measure.latency import LEAST_ROUNDS, compare, limited_threads, measure, order, ratio


@pytest.fixture(autouse=True)
def _own_lock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep out of the way of whoever measures on this machine."""
    monkeypatch.setattr(_lock, "lock_path", lambda: tmp_path / "lock")


class Clock:
    """A clock that moves only when a call says how long it took."""

    def __init__(self) -> None:
        self.ns = 0

    def call(self, name: str, ms: Callable[[int], float], trace: list[str]) -> Callable[[], None]:
        """Make a call that takes `ms(k)` the k-th time."""
        times = iter(range(10**6))

        def run() -> None:
            trace.append(name)
            self.ns += round(ms(next(times)) * 1e6)

        return run


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(module.time, "perf_counter_ns", lambda: clock.ns)
    monkeypatch.setattr(module.time, "perf_counter", lambda: clock.ns / 1e9)
    return clock


class TestRounds:
    def test_medians_and_quartiles_by_hand(self, clock: Clock) -> None:
        # one warm-up, then an untimed and a timed call a round: the timed ones are calls 2, 4, 6, 8, 10 and take 1, 2, 3, 4, 50 ms
        took = {2: 1.0, 4: 2.0, 6: 3.0, 8: 4.0, 10: 50.0}
        found = compare({"a": clock.call("a", lambda k: took.get(k, 99.0), [])}, rounds=5, warmup=1, batch=16)["a"]
        assert (found.median_ms, found.low_ms, found.high_ms) == (3.0, 2.0, 4.0)
        assert found.times_ms == (1.0, 2.0, 3.0, 4.0, 50.0)
        assert (found.runs, found.threads, found.batch, found.notes) == (5, 1, 16, ())

    def test_each_timed_call_follows_one_of_its_own_and_the_order_rotates(self, clock: Clock) -> None:
        trace: list[str] = []
        compare({name: clock.call(name, lambda _: 1.0, trace) for name in "abc"}, rounds=4, warmup=2)
        assert "".join(trace) == "aabbcc" + "aabbcc" + "bbccaa" + "ccaabb" + "ccbbaa"

    def test_all_have_the_same_rounds_in_the_order_given(self, clock: Clock) -> None:
        found = compare({name: clock.call(name, lambda _: 1.0, []) for name in "cab"}, rounds=7)
        assert list(found) == ["c", "a", "b"]
        assert {each.runs for each in found.values()} == {7}

    def test_a_budget_ends_the_rounds_early(self, clock: Clock) -> None:
        found = compare({name: clock.call(name, lambda _: 10.0, []) for name in "ab"}, rounds=1000, warmup=1, budget_s=1.0)
        assert found["a"].runs == 25  # a round takes 2 · 2 · 10 ms

    def test_but_not_before_a_few_rounds(self, clock: Clock) -> None:
        assert measure(clock.call("a", lambda _: 60_000.0, []), rounds=1000, budget_s=0.001).runs == LEAST_ROUNDS
        assert measure(clock.call("a", lambda _: 60_000.0, []), rounds=2, budget_s=0.001).runs == 2

    def test_without_a_budget_all_rounds_are_run(self, clock: Clock) -> None:
        assert measure(clock.call("a", lambda _: 60_000.0, []), rounds=30).runs == 30

    @given(st.integers(1, 5), st.integers(0, 40))
    def test_every_candidate_takes_every_place_equally_often(self, k: int, start: int) -> None:
        names = [str(n) for n in range(k)]
        cycle = range(start - start % k, start - start % k + k)
        for place in range(k):
            assert sorted(order(names, turn)[place] for turn in cycle) == names

    def test_no_candidate_always_follows_the_same_one(self) -> None:
        before = {(a, b) for turn in range(6) for a, b in zip(order("xyz", turn), order("xyz", turn)[1:], strict=False)}
        assert len(before) == 6

    def test_progress_hears_of_rounds_and_may_cancel(self, clock: Clock) -> None:
        heard: list[Tick] = []
        progress = Progress(lambda tick: (heard.append(tick), progress.cancel() if tick.done == 2 else None))
        trace: list[str] = []
        with pytest.raises(Cancelled):
            compare({"a": clock.call("a", lambda _: 1.0, trace)}, rounds=9, warmup=1, progress=progress)
        assert [(tick.done, tick.total) for tick in heard] == [(1, 9), (2, 9)]
        assert len(trace) == 5
        assert gc.isenabled()

    @pytest.mark.parametrize("bad", [{"rounds": 0}, {"warmup": 0}, {"batch": 0}, {"threads": 0}, {"threads": -1}])
    def test_numbers_below_one_are_refused(self, bad: dict[str, Any]) -> None:
        with pytest.raises(ConfigError, match=f"compare: {next(iter(bad))} must be at least 1, got"):
            compare({"a": lambda: None}, **bad)

    @pytest.mark.parametrize("budget", [0.0, -1.0, math.nan])
    def test_a_budget_is_a_time(self, budget: float) -> None:
        with pytest.raises(ConfigError, match="budget_s must be above 0"):
            compare({"a": lambda: None}, budget_s=budget)

    def test_there_must_be_something_to_time(self) -> None:
        with pytest.raises(ConfigError, match="at least one call"):
            compare({})

    def test_a_call_that_fails_leaves_nothing_changed(self) -> None:
        threads = torch.get_num_threads()

        def fail() -> None:
            raise ZeroDivisionError

        with pytest.raises(ZeroDivisionError):
            compare({"a": fail}, threads=threads + 1 if threads == 1 else 1)
        assert torch.get_num_threads() == threads
        assert gc.isenabled()
        assert measure(lambda: None, rounds=1).notes == (), "the lock is free again"


class TestRatio:
    def test_it_is_taken_round_by_round(self) -> None:
        # the machine slows down threefold: the ratio does not move
        a, b = (Latency(0, 0, 0, 3, 1, 1, times) for times in ((2.0, 4.0, 6.0), (1.0, 2.0, 3.0)))
        found = ratio(a, b)
        assert (found.median, found.low, found.high, found.rounds) == (2.0, 2.0, 2.0, 3)
        assert ratio(b, a).median == 0.5

    def test_quartiles_by_hand(self) -> None:
        a, b = (Latency(0, 0, 0, 5, 1, 1, times) for times in ((1.0, 2.0, 3.0, 4.0, 5.0), (1.0,) * 5))
        found = ratio(a, b)
        assert (found.low, found.median, found.high) == (2.0, 3.0, 4.0)

    def test_drift_that_fools_two_medians_does_not_fool_it(self, clock: Clock) -> None:
        def drifting(base: float) -> Callable[[int], float]:
            return lambda _: base * (1 + clock.ns / 1e9)

        found = compare({"a": clock.call("a", drifting(2.0), []), "b": clock.call("b", drifting(1.0), [])}, rounds=100)
        assert found["a"].high_ms > 1.3 * found["a"].low_ms
        assert ratio(found["a"], found["b"]).median == pytest.approx(2.0, rel=0.02)

    @pytest.mark.parametrize("times", [(), (1.0,)])
    def test_two_runs_have_no_ratio(self, times: tuple[float, ...]) -> None:
        with pytest.raises(ConfigError, match="one run of compare"):
            ratio(Latency(1, 1, 1, 2, 1, 1, (1.0, 2.0)), Latency(1, 1, 1, 1, 1, 1, times))

    def test_a_call_too_short_for_the_clock_has_a_ratio_all_the_same(self, clock: Clock) -> None:
        found = compare({"a": clock.call("a", lambda _: 0.0, []), "b": clock.call("b", lambda _: 0.0, [])}, rounds=3)
        assert math.isfinite(ratio(found["a"], found["b"]).median)


class TestThreads:
    @pytest.fixture(autouse=True)
    def _restored(self) -> Iterator[None]:
        before = torch.get_num_threads()
        yield
        torch.set_num_threads(before)

    @staticmethod
    def _now() -> tuple[int, int, set[int]]:
        import numba
        from threadpoolctl import threadpool_info

        return torch.get_num_threads(), numba.get_num_threads(), {pool["num_threads"] for pool in threadpool_info()}

    def test_all_pools_are_limited_and_restored(self) -> None:
        np.ones((2, 2)) @ np.ones((2, 2))
        torch.set_num_threads(2)
        before = self._now()
        with limited_threads(1):
            assert self._now() == (1, 1, {1})
        assert self._now() == before

    def test_the_call_sees_the_limit(self) -> None:
        torch.set_num_threads(2)
        seen: list[int] = []
        measure(lambda: seen.append(torch.get_num_threads()), rounds=2, warmup=1, threads=1)
        assert set(seen) == {1}
        assert torch.get_num_threads() == 2

    def test_more_threads_than_numba_has_are_refused(self) -> None:
        import numba

        with pytest.raises(ConfigError, match=rf"threads must be in \[1, {numba.config.NUMBA_NUM_THREADS}\]"):
            measure(lambda: None, threads=numba.config.NUMBA_NUM_THREADS + 1)


def test_garbage_is_not_collected_meanwhile_and_the_setting_is_kept() -> None:
    seen: list[bool] = []
    measure(lambda: seen.append(gc.isenabled()), rounds=1)
    assert not any(seen)
    gc.disable()
    try:
        measure(lambda: None, rounds=1)
        assert not gc.isenabled()
    finally:
        gc.enable()


def test_without_the_lock_the_latency_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_lock, "_fcntl", None)
    assert measure(lambda: None, rounds=1).notes == ("measured without the machine-wide lock: this platform has no file locks",)


def test_two_measurements_never_overlap() -> None:
    inside, most = 0, 0

    def call() -> None:
        nonlocal inside, most
        inside += 1
        most = max(most, inside)
        time.sleep(0.002)
        inside -= 1

    threads = [threading.Thread(target=lambda: measure(call, rounds=3, warmup=1)) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == 1


@pytest.mark.serial
def test_a_sleep_takes_as_long_as_it_sleeps() -> None:
    found = compare({"long": lambda: time.sleep(0.02), "short": lambda: time.sleep(0.005)}, rounds=8)
    assert 20 <= found["long"].median_ms < 30
    assert 5 <= found["short"].median_ms < 10
    assert 2.5 < ratio(found["long"], found["short"]).median < 4.2


@pytest.mark.serial
def test_a_call_measured_against_itself_is_equally_fast() -> None:
    x = torch.randn(256, 256)
    found = compare({"a": lambda: x @ x, "b": lambda: x @ x}, rounds=200)
    between = ratio(found["a"], found["b"])
    assert 0.9 < between.median < 1.1
    assert between.low <= 1.0 <= between.high
