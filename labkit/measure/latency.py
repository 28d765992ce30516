"""Measured latency: all candidates in one interleaved run, alone on the machine, with medians and quartiles.

A machine's speed drifts within seconds (clock, neighbours, caches), so that two times taken one after the other differ for
reasons that have nothing to do with the networks. Here each round times every candidate once; the order rotates from round
to round and turns round when every rotation was used, so that drift and neighbours strike all alike. A timed call directly
follows an untimed one of the same candidate: the caches hold its own data, as in steady use. The figure that carries over
is the ratio within a round (`ratio`), not a difference of two medians.
"""

import gc
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

import numpy as np
import torch

from labkit.core.errors import ConfigError
from labkit.core.progress import SILENT, Progress
from labkit.core.records import Latency, Ratio
from labkit.measure._lock import machine_lock

LEAST_ROUNDS = 5
"""Rounds that are timed even if they outlast the budget, unless fewer are asked for."""


def compare(
    calls: Mapping[str, Callable[[], Any]],
    *,
    rounds: int = 50,
    warmup: int = 3,
    batch: int = 1,
    threads: int = 1,
    budget_s: float | None = None,
    progress: Progress = SILENT,
) -> dict[str, Latency]:
    """Time several calls against each other.

    Args:
        calls: name → call without arguments.
        rounds: timed calls of each; at most that many.
        warmup: untimed calls of each before the first round, at least 1: kernels are compiled meanwhile.
        batch: images that one call treats; it is only noted.
        threads: that torch, Numba and BLAS may use; restored afterwards.
        budget_s: stop early after this many seconds of rounds, but not before `LEAST_ROUNDS`; None never does.
        progress: hears of each round, and is asked whether to go on.

    Returns:
        Name → latency, in the order of `calls`; all have the same number of runs, and `times_ms[i]` comes from round i.

    Raises:
        ConfigError: there is nothing to time, or a number is out of range.
        Cancelled: between two rounds, or while another measurement is waited for.
        LabkitError: another measurement did not end.
    """
    _check(calls, {"rounds": rounds, "warmup": warmup, "batch": batch, "threads": threads})
    if budget_s is not None and not budget_s > 0:
        raise ConfigError(f"compare: budget_s must be above 0 seconds, got {budget_s}")
    with machine_lock(progress) as note, limited_threads(threads), _no_collection():
        for call in calls.values():
            for _ in range(warmup):
                progress.check()
                call()
        times = _rounds(calls, rounds, budget_s, progress)
    return {name: _latency(each, threads, batch, note) for name, each in times.items()}


def measure(call: Callable[[], Any], **settings: Any) -> Latency:
    """Time one call by itself; `settings` as in `compare`. A ratio needs `compare`."""
    return compare({"call": call}, **settings)["call"]


def ratio(a: Latency, b: Latency) -> Ratio:
    """Return how many times as long `a` takes as `b`, round by round: `ratio(dense, sparse)` is the speed-up of `sparse`.

    Raises:
        ConfigError: the two do not come from one run of `compare`.
    """
    if not a.times_ms or len(a.times_ms) != len(b.times_ms):
        raise ConfigError(f"ratio: both latencies must come from one run of compare, got {len(a.times_ms)} and {len(b.times_ms)} rounds")
    low, median, high = _quartiles(np.array(a.times_ms) / np.array(b.times_ms))
    return Ratio(median, low, high, len(a.times_ms))


def order(names: Sequence[str], turn: int) -> list[str]:
    """Return the order of round `turn`: rotated by one each round, backwards in every second cycle of rotations."""
    shift = turn % len(names)
    rotated = [*names[shift:], *names[:shift]]
    return rotated[::-1] if turn // len(names) % 2 else rotated


def _check(calls: Mapping[str, Callable[[], Any]], numbers: dict[str, int]) -> None:
    if not calls:
        raise ConfigError("compare: there must be at least one call to time, got none")
    for name, value in numbers.items():
        if value < 1:
            raise ConfigError(f"compare: {name} must be at least 1, got {value}")


def _rounds(calls: Mapping[str, Callable[[], Any]], rounds: int, budget_s: float | None, progress: Progress) -> dict[str, list[float]]:
    times: dict[str, list[float]] = {name: [] for name in calls}
    names, start = list(calls), time.perf_counter()
    for turn in range(rounds):
        spent = time.perf_counter() - start
        if budget_s is not None and turn >= LEAST_ROUNDS and spent * (turn + 1) / turn > budget_s:
            break  # one more round like those before would outlast the budget
        for name in order(names, turn):
            call = calls[name]
            call()
            before = time.perf_counter_ns()
            call()
            times[name].append(max(time.perf_counter_ns() - before, 1) / 1e6)  # a coarse clock may stand still
        progress.step(turn + 1, rounds)
    return times


def _latency(times: list[float], threads: int, batch: int, note: str) -> Latency:
    low, median, high = _quartiles(np.array(times))
    return Latency(median, low, high, len(times), threads, batch, tuple(times), (note,) if note else ())


def _quartiles(values: np.ndarray) -> tuple[float, float, float]:
    low, median, high = np.percentile(values, (25, 50, 75))
    return float(low), float(median), float(high)


@contextmanager
def limited_threads(threads: int) -> Iterator[None]:
    """Let torch, Numba, OpenMP and BLAS use `threads` threads, and what they used before afterwards.

    Raises:
        ConfigError: Numba was started with fewer.
    """
    from threadpoolctl import threadpool_limits

    numba = sys.modules.get("numba")  # not imported: then nothing runs in it
    if numba is not None and threads > numba.config.NUMBA_NUM_THREADS:
        raise ConfigError(f"compare: threads must be in [1, {numba.config.NUMBA_NUM_THREADS}], the number Numba has here, got {threads}")
    with ExitStack() as undo:
        undo.enter_context(threadpool_limits(threads))
        undo.callback(torch.set_num_threads, torch.get_num_threads())
        torch.set_num_threads(threads)
        if numba is not None:
            undo.callback(numba.set_num_threads, numba.get_num_threads())
            numba.set_num_threads(threads)
        yield


@contextmanager
def _no_collection() -> Iterator[None]:
    """Keep Python's garbage collector out of the timed calls."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()
