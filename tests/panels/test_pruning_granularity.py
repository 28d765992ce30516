"""Lab 02's panel without a browser: what it shows is what the state says, and nothing stale stays."""

import threading
from dataclasses import replace
from functools import cache

import numpy as np
import pytest

from labkit.core.errors import ModelError
from labkit.core.params import replace_at
from labkit.panels.pruning_granularity import PruningGranularity, State, with_setting
from labkit.workbench import Workbench

SPARSITY = ("ratio", "sparsity")


def move(panel: PruningGranularity, path: tuple[str, ...], value: object) -> None:
    panel.controls["prune"].by_path[path].value = value


def picture(panel: PruningGranularity) -> dict[str, object]:
    """Everything that a page shows at once, as plain values."""
    return {
        "mask": (panel.raster.cells, panel.raster.label),
        "histogram": list(panel.histogram.source.data["after"]),
        "bars": {name: list(values) for name, values in panel.bars.source.data.items()},
        "controls": {path: widget.value for path, widget in panel.controls["prune"].by_path.items()},
        "layers": panel.layers_view._summary.value,
    }


def settle(panel: PruningGranularity) -> str:
    assert panel.worker.wait(60)
    assert "is-error" not in panel.status.widget.value, panel.status.widget.value
    return panel.strip.widget.value


# ------------------------------------------------------------------ transitions


def test_a_setting_changes_only_its_own_place():
    state = State(network="digits-small", layer="fc")
    after = with_setting(state, "prune", SPARSITY, 0.9, lambda _: False)
    assert after.sparsity == 0.9
    assert after == replace(state, prune=replace_at(state.prune, SPARSITY, 0.9))


def test_a_setting_goes_back_to_the_untuned_network_unless_its_tuned_one_is_known():
    tuned = State(is_tuned=True)
    assert not with_setting(tuned, "prune", SPARSITY, 0.9, lambda _: False).is_tuned
    assert with_setting(State(), "prune", SPARSITY, 0.9, lambda state: state.sparsity == 0.9).is_tuned


def test_the_recipe_has_the_tuning_only_once_it_was_done():
    assert [step.method for step in State().recipe("digits").steps] == ["magnitude"]
    assert [step.method for step in State(is_tuned=True).recipe("digits").steps] == ["magnitude", "masked_finetune"]


# ------------------------------------------------------------------ what is drawn


def test_first_paint_is_the_same_as_coming_back_later(panel):
    first = picture(panel)
    move(panel, SPARSITY, 0.9)
    assert picture(panel) != first
    panel.reset_button.click()
    assert picture(panel) == first


def test_a_slider_step_moves_every_view(panel):
    before = picture(panel)
    move(panel, SPARSITY, 0.8)
    after = picture(panel)
    for view in ("mask", "histogram", "bars", "layers"):
        assert after[view] != before[view], view
    cells = np.frombuffer(panel.raster.cells, np.uint8)
    weights = panel.bench.weight(panel.state.layer).size
    assert (cells == 0).sum() == round(0.8 * weights)
    assert sum(panel.histogram.source.data["after"]) == weights - round(0.8 * weights)


def test_strip_has_its_five_cells_in_order_and_the_bytes_of_the_file(panel):
    move(panel, SPARSITY, 0.9)
    html = settle(panel)
    order = [html.index(f"<dt>{name}</dt>") for name in ("accuracy", "size on disk", "MACs per image", "latency here", "energy per image")]
    assert order == sorted(order)
    size = len(panel.bench.file(panel.bench.compress(panel.recipe)))
    assert f"{size:,} bytes in the packed file" in html
    assert "is-refining" not in html


def test_settled_accuracy_is_that_of_the_network_on_all_test_images(panel):
    move(panel, SPARSITY, 0.7)
    settle(panel)
    assert panel.measured.accuracy.n == len(panel.bench.splits.test)
    images = panel.bench.splits.test
    model = panel.bench.compress(panel.recipe).model
    correct = int((model(images.tensor()).argmax(1) == images.labels).sum())
    assert abs(panel.measured.accuracy.correct - correct) <= 1  # folding batch norm may turn a tie


def test_channels_are_removed_and_batch_norm_is_measured_anew(panel):
    move(panel, ("granularity",), "channel")
    html = settle(panel)
    assert panel.measured.sketch.is_unsettled
    assert "before new batch norm" in html
    assert panel.measured.cost.macs < panel.bench.dense_cost.macs


def test_choosing_a_layer_shows_it_and_measures_nothing_again(panel):
    settle(panel)
    accuracy = panel.measured.accuracy
    panel.layer.value = "fc"
    assert panel.state.layer == "fc"
    assert panel.raster.label.startswith("fc: 10 × 64")
    assert panel.measured.accuracy is accuracy
    panel._bar_clicked("conv1")
    assert panel.layer.value == "conv1"
    assert panel.raster.label.startswith("conv1: 8 × 1 × 3 × 3")


def test_every_settled_setting_leaves_one_dot(panel):
    settle(panel)
    for sparsity in (0.3, 0.6, 0.3):
        move(panel, SPARSITY, sparsity)
        settle(panel)
    zeros = sorted(entry.zeros for entry in panel.findings.history)
    assert len(panel.plane.past.data["x"]) == 3
    assert len(zeros) == 3  # the first state, 0.3 and 0.6
    assert zeros == pytest.approx([0.3, 0.5, 0.6], abs=0.01)


def test_the_theme_recolours_and_changes_nothing_else(panel):
    settle(panel)
    before, light = picture(panel), panel.histogram._after.glyph.fill_color
    panel.page.dark = True
    assert panel.histogram._after.glyph.fill_color != light
    assert picture(panel) == before


def test_a_page_that_opened_gets_the_figures_as_they_are(panel):
    _ = panel.widget
    stale = panel.histogram.widget._picture
    move(panel, SPARSITY, 0.9)
    panel.page.opened += 1
    assert panel.histogram.widget._picture != stale


# ------------------------------------------------------------------ what is live


def test_a_drag_storm_ends_in_the_picture_of_the_last_setting(panel):
    for sparsity in np.linspace(0.1, 0.95, 60):
        move(panel, SPARSITY, round(float(sparsity), 2))
    html = settle(panel)
    size = len(panel.bench.file(panel.bench.compress(panel.recipe)))
    assert panel.state.sparsity == 0.95
    assert f"{size:,} bytes" in html
    assert 10 ** panel.plane.now.data["x"][0] == pytest.approx(size / 1e3)
    assert len(panel.plane.past.data["x"]) <= 61


def test_what_the_worker_brings_for_an_older_setting_is_dropped():
    held, go_on = threading.Event(), threading.Event()

    class Slow(Workbench):
        def accuracy(self, compressed, progress):
            for found in super().accuracy(compressed, progress):
                if len(compressed.masks) and not held.is_set():
                    held.set()
                    go_on.wait(10)
                yield found

    panel = PruningGranularity(State(network="digits-small"), cache(Slow), ("digits-small",))
    try:
        assert held.wait(10)
        move(panel, SPARSITY, 0.9)
        shown = panel.measured
        go_on.set()
        settle(panel)
        assert shown.accuracy is None
        assert [round(entry.zeros, 1) for entry in panel.findings.history] == [0.9]
    finally:
        panel.close()


def test_a_failure_is_a_sentence_and_the_setting_stays_what_the_page_shows():
    class Broken(Workbench):
        def sketch(self, recipe):
            if recipe.steps[0].config.ratio.sparsity > 0.8:
                raise ModelError("the tensor 'conv1.weight' holds NaN: <load> it again")
            return super().sketch(recipe)

    panel = PruningGranularity(State(network="digits-small"), cache(Broken), ("digits-small",))
    try:
        before = picture(panel)
        move(panel, SPARSITY, 0.9)
        assert "holds NaN: &lt;load&gt; it again" in panel.status.widget.value
        assert panel.state.sparsity == 0.5
        assert picture(panel) == before
        move(panel, SPARSITY, 0.6)
        assert panel.state.sparsity == 0.6
        settle(panel)
    finally:
        panel.close()


def test_a_failure_on_the_worker_is_a_sentence_too():
    class Broken(Workbench):
        def latency(self, compressed, progress, batch, formats):
            raise ZeroDivisionError("no clock")

    panel = PruningGranularity(State(network="digits-small"), cache(Broken), ("digits-small",))
    try:
        assert panel.worker.wait(60)
        assert "ZeroDivisionError: no clock" in panel.status.widget.value
    finally:
        panel.close()


# ------------------------------------------------------------------ the job


def test_fine_tuning_locks_the_settings_draws_its_curve_and_shows_the_tuned_network(panel):
    move(panel, SPARSITY, 0.9)
    settle(panel)
    untuned = panel.measured.accuracy
    panel.job.bar.start.click()
    assert panel.controls["prune"].by_path[SPARSITY].disabled
    assert panel.network.disabled
    settle(panel)
    assert not panel.controls["prune"].by_path[SPARSITY].disabled
    assert panel.state.is_tuned
    assert panel.measured.accuracy.share > untuned.share
    assert len(panel.job.curve.source.data["x"]) > 0
    assert "weight (tuned)" in panel.plane.past.data["series"]
    model = panel.measured.sketch.compressed.model
    weight = model.get_parameter("conv2.weight")
    assert int((weight == 0).sum()) >= round(0.9 * weight.numel())

    move(panel, SPARSITY, 0.8)
    assert not panel.state.is_tuned
    move(panel, SPARSITY, 0.9)
    assert panel.state.is_tuned


def test_cancelling_shows_the_network_as_far_as_training_came_and_says_so():
    running, ticks = threading.Event(), []

    class Watched(Workbench):
        def compress(self, recipe, progress=None):
            if len(recipe.steps) == 1:
                return super().compress(recipe)
            step = progress.step

            def slow(done, total, **figures):
                if "loss" in figures:  # not yet while batch norm is measured anew
                    ticks.append(done)
                    running.set()
                threading.Event().wait(0.02)
                step(done, total, **figures)

            progress.step = slow
            return super().compress(recipe, progress)

    panel = PruningGranularity(State(network="digits-small"), cache(Watched), ("digits-small",))
    try:
        settle(panel)
        before = panel.bench.file(panel.measured.compressed)
        panel.job.bar.start.click()
        assert running.wait(30)
        panel.job.bar.cancel.click()
        settle(panel)
        assert panel.state.is_tuned
        assert "Cancelled: the network is shown as it was then, after 0." in panel.status.widget.value
        assert not panel.network.disabled
        assert not panel.job.bar.start.disabled
        assert 0 < panel.bench.reached(panel.recipe) < 1
        assert 0 < len(ticks) < 1000
        untuned, tuned = panel.findings.history
        assert untuned.label == "as the lab opens"
        assert tuned.label == f"tuned, {tuned.reached:.1f} epochs"
        assert tuned.accuracy.n == 500
        saved = panel.bench.file(panel.measured.compressed)
        assert saved != before
        assert len(saved) == tuned.size
    finally:
        panel.close()


def test_close_ends_the_worker(benches):
    panel = PruningGranularity(State(network="digits-small"), benches, ("digits-small",))
    panel.close()
    assert not panel.worker._thread.is_alive()
