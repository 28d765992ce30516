"""Crossovers: what is left out of a layer, where a kind starts to win, and that a sweep reports and stops as it should."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from labkit import crossover, runtime
from labkit.core.errors import Cancelled, ConfigError
from labkit.core.progress import Progress, Tick
from labkit.core.records import Latency, Ratio
from labkit.crossover import KINDS, PATTERNS, Point, Subject, crossing, kinds_of, pruned, subject_of


def small(seed: int = 0) -> Subject:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return Subject("linear", nn.Linear(32, 16), (32,))


@pytest.mark.parametrize("zeros", PATTERNS)
@pytest.mark.parametrize("kind", KINDS)
def test_the_share_that_was_asked_for_goes_and_nothing_that_stays_is_changed(kind: str, zeros: float) -> None:
    weight = np.random.default_rng(0).standard_normal((32, 16, 3, 3)).astype(np.float32)
    left = pruned(weight, kind, zeros)
    if kind == "channel":
        assert len(left) == round((1 - zeros) * 32)
        assert all(any(np.array_equal(row, other) for other in weight) for row in left)
        return
    assert np.mean(left == 0) == pytest.approx(zeros, abs=4 / left.size)
    assert np.array_equal(left[left != 0], weight[left != 0])
    if kind == "csr":
        assert np.abs(weight[left == 0]).max() <= np.abs(left[left != 0]).min()
    if kind == "vector_sparse":
        assert {int(n) for n in np.count_nonzero(left.reshape(8, 4, -1), axis=1).flat} == {0, 4}


def test_n_of_m_by_hand() -> None:
    left = pruned(np.array([[1, -9, 3, 5, 2, 0.5, 4, 0.1]], np.float32), "n_m", 0.5)
    assert left.tolist() == [[0, -9, 0, 5, 2, 0, 4, 0]]


def test_rows_that_are_no_whole_block_lose_with_their_block() -> None:
    left = pruned(np.ones((5, 8), np.float32) * np.arange(1, 9, dtype=np.float32), "vector_sparse", 0.5)
    assert np.count_nonzero(left[4]) < np.count_nonzero(left[0]), "the short block has the smaller norm"


def point(zeros: float, ratio: float) -> Point:
    return Point("csr", zeros, 1, 10, 1.0, Ratio(ratio, ratio, ratio, 5))


def test_the_crossing_is_between_the_last_loss_and_the_next_win() -> None:
    assert crossing([point(0.75, 2.0), point(0.5, 0.5)]) == pytest.approx(0.625)
    assert crossing([point(0.5, 1.2), point(0.25, 1.1)]) == 0.25
    assert crossing([point(0.25, 1.3), point(0.5, 0.8), point(0.75, 1.25)]) == pytest.approx(0.625), "an early win that is lost again"
    assert crossing([point(0.5, 2.0), point(0.75, 1.0)]) is None
    assert crossing([]) is None


def test_a_layer_is_taken_with_the_shape_of_what_it_reads() -> None:
    model = nn.Sequential(nn.Conv2d(1, 4, 3, stride=2), nn.ReLU(), nn.Conv2d(4, 4, 3, groups=4)).eval()
    found = subject_of(model, "2", torch.zeros(1, 1, 9, 9))
    assert (found.image, found.layer) == ((4, 4, 4), model[2])
    assert "channel" not in kinds_of(found.layer)
    assert kinds_of(model[0]) == tuple(KINDS)
    assert not model[2]._forward_pre_hooks
    with pytest.raises(ConfigError, match="must be a convolution or a linear layer, got ReLU"):
        subject_of(model, "1", torch.zeros(1, 1, 9, 9))
    with pytest.raises(ConfigError, match="to be drawn at random"):
        crossover.named("layer in view")


def steady(calls: Mapping[str, Any], **_: Any) -> dict[str, Latency]:
    """Run each call once and take a millisecond for it, a sparse one half."""
    for call in calls.values():
        call()
    return {name: Latency(ms := 1.0 if name == "dense" else 0.5, ms, ms, 2, 1, 1, (ms, ms)) for name in calls}


def test_a_sweep_measures_every_kind_share_and_batch_and_tells_as_it_goes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(crossover.latency, "compare", steady)
    told: list[int] = []
    ticks: list[Tick] = []
    points = crossover.sweep(small(), lambda points: told.append(len(points)), Progress(ticks.append))
    assert {(point.kind, point.zeros, point.batch) for point in points} == {(k, z, b) for k in KINDS for z in PATTERNS for b in (1, 64)}
    assert told == [8 * n for n in range(1, 7)]
    assert [tick.done for tick in ticks] == [1, 2, 3, 4, 5, 6]
    assert {point.ratio.median for point in points} == {2.0}


def test_each_program_of_a_sweep_computes_its_own_layer_and_has_the_bytes_of_its_file(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: dict[str, np.ndarray] = {}

    def look(calls: Mapping[str, Any], **_: Any) -> dict[str, Latency]:
        seen.update({name: np.asarray(call()) for name, call in calls.items()})
        return steady(calls)

    monkeypatch.setattr(crossover.latency, "compare", look)
    monkeypatch.setattr(crossover, "PATTERNS", {0.5: (2, 4)})
    subject = small()
    points = crossover.sweep(subject, lambda _: None, batches=(3,))
    x = torch.randn(3, 32, generator=crossover.generator(0, "sweep")).numpy()
    weight = subject.layer.weight.detach().numpy()
    for each in points:
        left = pruned(weight, each.kind, 0.5)
        np.testing.assert_allclose(seen[each.kind], x @ left.T, rtol=1e-5, atol=1e-6)
        program = runtime.compile(
            nn.Sequential(crossover._with_weight(subject.layer, left)),
            torch.zeros(1, 32),
            "dense" if each.kind == "channel" else each.kind,
        )
        assert each.packed_bytes == program.packed_bytes
    np.testing.assert_allclose(seen["dense"], x @ weight.T, rtol=1e-5, atol=1e-6)


def test_a_point_says_where_a_convolution_multiplies_by_its_zeros_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(crossover.latency, "compare", steady)
    monkeypatch.setattr(crossover, "PATTERNS", {0.25: (3, 4), 0.875: (1, 8)})
    torch.manual_seed(0)
    points = crossover.sweep(Subject("conv", nn.Conv2d(16, 16, 3, padding=1), (16, 6, 6)), lambda _: None)
    layouts = {(point.zeros, point.batch): point.layout for point in points if point.kind == "csr"}
    assert layouts == {(0.25, 1): "csr", (0.25, 64): "winograd", (0.875, 1): "csr", (0.875, 64): "csr"}
    assert {point.layout for point in points if point.kind == "channel"} == {"channel"}


def test_a_cancelled_sweep_has_told_of_what_it_had(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(crossover.latency, "compare", steady)
    progress, told = Progress(), []

    def stop(points: list[Point]) -> None:
        told.append(len(points))
        progress.cancel()

    with pytest.raises(Cancelled):
        crossover.sweep(small(), stop, progress)
    assert told == [8]
