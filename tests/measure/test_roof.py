"""The roof: the fastest round counts, and it is measured like every time, behind the lock and one thread."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from labkit.core.errors import Cancelled
from labkit.core.progress import Progress
from labkit.core.records import Latency
from labkit.measure import _lock, latency, roof


@pytest.fixture(autouse=True)
def _own_lock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_lock, "lock_path", lambda: tmp_path / "lock")


def timed(*times_ms: float) -> Latency:
    return Latency(99.0, 99.0, 99.0, len(times_ms), 1, 1, times_ms, ("a note",))


def test_the_fastest_round_of_the_fastest_library_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: dict[str, Any] = {}

    def compare(calls: Mapping[str, Callable[[], Any]], **settings: Any) -> dict[str, Latency]:
        asked.update(settings)
        for call in calls.values():
            call()
        reads = {"vector": timed(20.0, 12.0), "matrix": timed(20.0, 10.0)}
        return {"numpy": timed(4.0, 3.0), "torch": timed(8.0, 2.0), "convolution": timed(9.0, 9.0), **reads}

    monkeypatch.setattr(latency, "compare", compare)
    found = roof.roof()
    assert found.peak_gflops == pytest.approx(2 * 512**3 / 2e-3 / 1e9)
    assert found.bandwidth_gbps == pytest.approx(128 * 2**20 / 10e-3 / 1e9)
    assert found.ridge == pytest.approx(found.peak_gflops / found.bandwidth_gbps)
    assert (found.rounds, found.notes) == (2, ("a note",))
    assert asked.get("threads", 1) == 1
    assert asked["budget_s"] <= 1.0


def test_a_convolution_may_be_the_fastest(monkeypatch: pytest.MonkeyPatch) -> None:
    times = {"numpy": timed(4.0), "torch": timed(4.0), "convolution": timed(1.0), "vector": timed(10.0), "matrix": timed(20.0)}
    monkeypatch.setattr(latency, "compare", lambda calls, **_: times)
    found = roof.roof()
    assert found.peak_gflops == pytest.approx(2 * (8 * 14 * 14) * (128 * 128 * 9) / 1e-3 / 1e9)
    assert found.bandwidth_gbps == pytest.approx(128 * 2**20 / 10e-3 / 1e9)


def test_a_real_machine_has_a_roof(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(roof, "READ_BYTES", 16 << 20)
    found = roof.roof()
    assert 0.5 < found.peak_gflops < 5000
    assert 0.2 < found.bandwidth_gbps < 5000
    assert found.rounds >= latency.LEAST_ROUNDS


def test_it_can_be_cancelled() -> None:
    progress = Progress()
    progress.cancel()
    with pytest.raises(Cancelled):
        roof.roof(progress)
