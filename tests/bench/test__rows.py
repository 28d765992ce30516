"""A row holds what was timed, and the ratios of what was timed together."""

import numpy as np

from labkit import bench
from labkit.bench._case import NUMPY_DENSE, difference
from labkit.core.records import Latency
from labkit.measure import latency


def call(times):
    return lambda: sum(range(times))


def test_a_ratio_is_that_of_the_two_calls():
    calls = [0, 0]

    def count(n, times):
        calls[n] += 1
        return sum(range(times))

    peers = {"peer": call(1_000_000), "slower": call(4_000_000)}
    case = bench.Case("k", "f", (1,), 1, bench.zeros(0.5), lambda: count(0, 1000), lambda: count(1, 250_000), 0.0, peers)
    row = bench.measured(case, 5)
    assert calls[0] == calls[1] > 5
    assert row.ratio_vs_dense > 10
    assert row.spread[0] <= row.ratio_vs_dense <= row.spread[1]
    assert row.best_peer == "peer"
    assert row.peers["slower"] > row.ratio_vs_best_peer == row.peers["peer"] > row.ratio_vs_dense


def test_a_row_says_what_was_measured(monkeypatch):
    milliseconds = {"ours": (1, 2, 4, 2, 2), "dense": (3, 4, 8, 8, 2), "a": (1, 1, 1, 1, 1), "b": (2, 2, 2, 2, 2)}

    def compare(calls, *, rounds, batch):
        assert (list(calls), rounds, batch) == ([*milliseconds], 5, 7)
        return {name: Latency(float(np.median(each)), 0.0, 0.0, 5, 1, batch, each) for name, each in milliseconds.items()}

    monkeypatch.setattr(latency, "compare", compare)
    row = bench.measured(bench.Case("k", "f", (1,), 7, bench.bits(4), call(1), call(1), 0.5, {"a": call(1), "b": call(1)}), 5)
    assert (row.median_ms, row.dense_ms, row.max_abs_error, row.batch, row.threads) == (2, 4, 0.5, 7, 1)
    assert (row.ratio_vs_dense, row.spread) == (2, (2, 3)), "of the ratios 3, 2, 2, 4, 1, a round each"
    assert (row.peers, row.best_peer, row.ratio_vs_best_peer) == ({"a": 0.5, "b": 1.0}, "a", 0.5)


def test_an_error_is_the_largest_of_either_sign():
    assert difference(np.array([1.0, 2.0, 0.5]), np.array([1.5, 5.0, 0.0])) == 3.0


def test_numpy_is_a_peer_only_where_it_beats_torch():
    def peers(times):
        case = bench.Case("k", "f", (1,), 1, bench.bits(4), call(1000), call(50_000), 0.0, {NUMPY_DENSE: call(times)})
        return bench.measured(case, 5)

    assert peers(10_000).best_peer == NUMPY_DENSE
    slower = peers(200_000)
    assert slower.best_peer is None
    assert slower.ratio_vs_best_peer is None
    assert slower.peers == {}
    assert bench.in_words(slower)[4] == "4 bits"
    assert bench.in_words(slower)[7:9] == ("–", "–")


def test_a_setting_is_zeros_or_bits():
    assert bench.zeros(0.9) == bench.Setting("90%", 0.9, None)
    assert bench.bits(1) == bench.Setting("1 bit", None, 1)
    assert bench.bits(2, "ternary").words == "ternary"
