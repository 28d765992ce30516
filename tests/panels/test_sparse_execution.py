"""Lab 07's panel without a browser: what is instant, what is measured, what only is looked at, and the job."""

import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import cache
from typing import Any

import pytest

from labkit.core.params import replace_at
from labkit.core.progress import Progress
from labkit.core.records import Ratio
from labkit.crossover import BATCHES, IN_VIEW, KINDS, PATTERNS, Point, Subject, SweepConfig
from labkit.dataflow import WalkConfig
from labkit.execution import RunConfig
from labkit.measure.roof import Roof
from labkit.panels._kept import is_met
from labkit.panels._lab import Figures
from labkit.panels._network_code import program
from labkit.panels._network_entry import key_of
from labkit.panels.sparse_execution import LAB, SparseExecution, State
from labkit.workbench import Workbench

SPARSITY = ("ratio", "sparsity")
START = State(network="digits-small", sweep=SweepConfig(layer=IN_VIEW))


def points(zeros: Sequence[float]) -> list[Point]:
    return [
        Point(kind, share, batch, 10, 1.0, Ratio(2 * share, 2 * share, 2 * share, 5), kind)
        for share in zeros
        for kind in KINDS
        for batch in BATCHES
    ]


def swept(subject: Subject, found: Callable[[list[Point]], None], progress: Progress) -> None:
    for n in range(1, len(PATTERNS) + 1):
        found(points(tuple(PATTERNS)[:n]))
        progress.step(n, len(PATTERNS))


@pytest.fixture(scope="module")
def benches() -> Callable[[str], Workbench]:
    return cache(Workbench)


@pytest.fixture
def made(benches: Any) -> Iterator[Callable[..., SparseExecution]]:
    panels: list[SparseExecution] = []

    def make(state: State = START, measure: Any = swept) -> SparseExecution:
        panels.append(SparseExecution(state, benches, ("digits-small",), measure, lambda _: Roof(100.0, 10.0, 5)))
        return panels[-1]

    yield make
    for panel in panels:
        panel.close()


@pytest.fixture
def panel(made: Callable[..., SparseExecution]) -> SparseExecution:
    found = made()
    settle(found)
    return found


def settle(panel: SparseExecution) -> None:
    assert panel.worker.wait(60)
    assert "is-error" not in panel.status.widget.value, panel.status.widget.value


def go(panel: SparseExecution, **changes: Any) -> None:
    panel.go(replace(panel.state, **changes))
    settle(panel)


def pruned(share: float, granularity: str = "weight") -> Any:
    return replace_at(replace_at(START.prune, ("granularity",), granularity), SPARSITY, share)


def test_bytes_and_the_line_in_the_sweep_follow_the_slider_at_once_and_times_when_they_are_measured(panel: SparseExecution) -> None:
    assert all(row.ms > 0 for row in panel.spent if row.format)
    assert panel.is_timed
    before = list(panel.formats.source.data["kilobytes"])
    panel.worker.close()  # nothing is measured any more
    panel.controls["prune"].by_path[SPARSITY].value = 0.9
    keep = panel.measured.sketch.keep[panel.state.layer]
    after = list(panel.formats.source.data["kilobytes"])
    assert after[0] == before[0] == keep.size * 4 / 1e3
    assert after[2] < before[2]
    assert [plot.here.location for plot in panel.sweep.plots.values()] == [1 - keep.mean()] * 2
    assert not panel.is_timed
    assert "Of the setting before" in panel.times_view._summary.value


def test_whole_channels_leave_a_smaller_dense_layer(panel: SparseExecution) -> None:
    go(panel, prune=pruned(0.5, "channel"), layer="conv2")
    kilobytes = list(panel.formats.source.data["kilobytes"])
    assert kilobytes[0] * 1e3 == panel.measured.compressed.model.get_parameter("conv2.weight").numel() * 4
    assert "What is left is a layer of" in panel.formats_view._summary.value


def test_the_batch_and_the_format_decide_what_is_timed_and_make_rows_of_their_own(panel: SparseExecution) -> None:
    go(panel, prune=pruned(0.8))
    usual = panel.measured.own_timing
    assert (usual.latency.batch, usual.dense.batch) == (64, 64)
    panel.controls["run"].by_path[("batch",)].value = 1
    settle(panel)
    assert panel.measured.own_timing.latency.batch == 1
    panel.controls["run"].by_path[("format",)].value = "dense"
    settle(panel)
    assert {row.format for row in panel.spent if row.format} == {"dense"}
    rows = list(panel.findings.history)
    assert [row.label for row in rows] == [
        "as the lab opens",
        "sparsity 80%",
        "sparsity 80%, one image at a time",
        "sparsity 80%, one image at a time, format dense",
    ]
    assert len({row.key for row in rows}) == 4
    assert rows[1].key == rows[1].recipe.digest == rows[2].recipe.digest
    panel.findings.axis.value = "latency here"
    assert list(panel.plane.past.data["key"]) == [rows[2].key, rows[3].key], "milliseconds of 64 images are not those of one"
    panel.findings.go(rows[1].key)
    settle(panel)
    assert panel.state.run == RunConfig()
    assert panel.page.link == "prune.ratio.sparsity=0.8"


def test_the_code_says_how_the_network_is_run(panel: SparseExecution) -> None:
    go(panel, run=RunConfig(batch=1, format="csr"))
    panel.findings.takeaway.code_button.value = True
    (code,) = panel.findings.takeaway._holder.children
    assert code.text == program(panel.recipe, panel.state.run)
    assert "images = flow.load_data(recipe).test[:1]" in code.text
    assert 'images, formats="csr").latency' in code.text
    compile(code.text, "program", "exec")


def test_a_sweep_locks_the_settings_is_drawn_as_it_comes_and_ticks_its_step(made: Callable[..., SparseExecution]) -> None:
    gate, drawn = threading.Event(), threading.Event()

    def halting(subject: Subject, found: Callable[[list[Point]], None], progress: Progress) -> None:
        assert subject.name == panel.state.layer
        found(points(tuple(PATTERNS)[:2]))
        drawn.set()
        assert gate.wait(30)
        swept(subject, found, progress)

    panel = made(measure=halting)
    settle(panel)
    panel.sweep.bar.start.click()
    assert drawn.wait(30)
    assert panel.controls["prune"].by_path[SPARSITY].disabled
    assert panel.sweep.controls.by_path[("layer",)].disabled
    assert list(panel.sweep.plots[1].sources["csr"].data["x"]) == [0.25, 0.5]
    assert "Not swept to the end" in panel.sweep.view._summary.value
    assert "sweep" not in panel.guide.kept.steps
    gate.set()
    settle(panel)
    assert not panel.controls["prune"].by_path[SPARSITY].disabled
    assert not panel.sweep.bar.start.disabled
    assert list(panel.sweep.plots[64].crossings["csr"].data["x"]) == [pytest.approx(0.5)]
    assert "sweep" in panel.guide.kept.steps


def test_a_cancelled_sweep_keeps_what_it_had_and_a_broken_one_says_so(made: Callable[..., SparseExecution]) -> None:
    def stopped(_: Subject, found: Callable[[list[Point]], None], progress: Progress) -> None:
        found(points((0.25,)))
        progress.cancel()
        progress.check()

    panel = made(measure=stopped)
    settle(panel)
    panel.sweep.bar.start.click()
    settle(panel)
    assert list(panel.sweep.plots[64].sources["n_m"].data["x"]) == [0.25]
    assert not panel.sweep.is_whole(panel._swept)
    assert not panel.is_locked

    def broken(*_: Any) -> None:
        raise ZeroDivisionError("no clock")

    panel.sweep._measure = broken
    panel.sweep.bar.start.click()
    assert panel.worker.wait(60)
    assert "ZeroDivisionError: no clock" in panel.status.widget.value
    assert not panel.is_locked


def test_a_sweep_that_took_the_place_of_a_measurement_lets_it_go_on(made: Callable[..., SparseExecution]) -> None:
    panel = made()
    panel.sweep.bar.start.click()
    settle(panel)
    assert panel.is_timed
    assert panel.measured.timing_is_current


def test_each_layer_has_a_sweep_of_its_own(panel: SparseExecution) -> None:
    panel.sweep.bar.start.click()
    settle(panel)
    first = panel.state.layer
    panel.layer.value = next(name for name in panel.layer.options if name != first)
    assert list(panel.sweep.plots[1].sources["csr"].data["x"]) == []
    panel.layer.value = first
    assert len(panel.sweep.plots[1].sources["csr"].data["x"]) == len(PATTERNS)
    panel.sweep.controls.by_path[("layer",)].value = "linear 1024×1024"
    assert panel._swept == ("", "linear 1024×1024")
    assert "Nothing measured yet of linear 1024×1024" in panel.sweep.view._summary.value
    assert panel._subject().image == (1024,)


def test_what_is_only_looked_at_is_in_the_link_and_measures_nothing_anew(panel: SparseExecution) -> None:
    accuracy, version = panel.measured.accuracy, panel._version
    panel.walk.controls.by_path[("machine",)].value = "eie"
    panel.walk.controls.by_path[("step",)].value = 7
    panel.sweep.controls.by_path[("layer",)].value = "linear 1024×1024"
    assert panel.measured.accuracy is accuracy
    assert panel._version == version
    assert panel.page.link == "sweep.layer=linear%201024%C3%971024&walk.machine=eie&walk.step=7"
    assert panel.moment().link == ""
    panel.follow(panel.page.link)
    assert panel.state.walk == WalkConfig(machine="eie", step=7)
    assert panel.state.sweep == SweepConfig(layer="linear 1024×1024")


def test_a_clicked_bar_chooses_the_layer_but_what_is_no_layer_does_not(panel: SparseExecution) -> None:
    names = list(panel.times.source.data["name"])
    panel.times.source.selected.indices = [names.index("conv1")]
    assert panel.state.layer == "conv1"
    panel.times.source.selected.indices = [names.index("the rest")]
    assert panel.state.layer == "conv1"
    assert panel.times.source.selected.indices == []


def test_each_step_needs_what_it_says(panel: SparseExecution) -> None:
    assert panel.guide.kept.steps == frozenset()
    go(panel, run=RunConfig(batch=1), prune=pruned(0.75))
    go(panel, walk=WalkConfig(machine="eie", step=28))
    assert panel.guide.kept.steps == frozenset(), "75 % are too few, and a queue of one is not balanced"
    go(panel, prune=pruned(0.8))
    assert panel.guide.kept.steps == {"alone"}
    go(panel, walk=WalkConfig(machine="eie", step=14, queue=4))
    assert panel.guide.kept.steps == {"alone"}, "not at the end"
    go(panel, walk=WalkConfig(machine="eie", step=15, queue=3))
    assert panel.guide.kept.steps == {"alone", "queues"}
    for row in list(panel.findings.history)[:2]:
        panel.findings.history.pin(row.key)
    panel.notice()
    assert "compare" in panel.guide.kept.steps


def test_the_guess_is_answered_with_what_is_measured_here(panel: SparseExecution) -> None:
    panel.guide.guess.slider.value = 9
    panel.guide.guess.button.click()
    settle(panel)
    assert panel.state.zeros == 0.9
    assert "You guessed 9.00× dense. Measured: " in panel.guide.guess.result.value
    assert "guess" in panel.guide.kept.steps


def test_the_challenge_asks_for_both() -> None:
    assert is_met(Figures(speed=3.0, accuracy=0.9), LAB.challenge)
    assert not is_met(Figures(speed=9.0, accuracy=0.89), LAB.challenge)
    assert not is_met(Figures(speed=2.9, accuracy=0.93), LAB.challenge)


def test_first_paint_is_the_same_as_coming_back_later(panel: SparseExecution) -> None:
    def picture() -> Any:
        bars = {name: list(each) for name, each in panel.formats.source.data.items()}
        return bars, panel.formats_view._summary.value, panel.walk.picture.value, panel.sweep.view._summary.value

    first = picture()
    go(panel, prune=pruned(0.9), walk=WalkConfig(machine="n_m", step=3))
    assert picture() != first
    panel.reset()
    settle(panel)
    assert picture() == first


def test_zeros_of_n_of_m_are_what_n_and_m_say() -> None:
    prune = replace_at(START.prune, ("granularity",), "n_m")
    assert State(prune=prune).zeros == 0.5
    assert State(prune=prune).series() == "n:m, 64 images"
    assert key_of(START.recipe("digits"), RunConfig()) == START.recipe("digits").digest
    ways = [RunConfig(batch=batch, format=how) for batch in BATCHES for how in ("rule", "csr")]
    assert len({key_of(START.recipe("digits"), how) for how in ways}) == 4
