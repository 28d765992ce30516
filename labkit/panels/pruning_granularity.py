"""Lab 02: the same share of zeros in single weights or whole channels, and what each costs in accuracy, bytes and time."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import ipywidgets
import numpy as np

from labkit.core.errors import Cancelled
from labkit.core.params import replace_at
from labkit.core.progress import Progress
from labkit.core.recipe import Recipe, Step
from labkit.core.records import Accuracy, Compressed, Cost
from labkit.core.registry import method_of
from labkit.panels import _strip
from labkit.panels._controls import Control, ControlSet
from labkit.panels._curve import CurvePlot
from labkit.panels._figures import AccuracyPlot, Histogram, LayerBars
from labkit.panels._job import JobBar
from labkit.panels._panel import Panel, View
from labkit.panels._raster import Raster, encode
from labkit.pruning.criterion.magnitude import MagnitudeConfig
from labkit.pruning.schedule.masked_finetune import MaskedFinetuneConfig
from labkit.workbench import Timing, Workbench, workbench

QUESTION = "At the same share of zeros, what do single weights, blocks and whole channels cost in accuracy, and what do they gain in bytes and time?"
NETWORKS = ("vgg-small-bn", "resnet-small", "mobilenet-small", "lenet-5", "lenet-300-100")
CONTROLS = (
    Control(("ratio", "sparsity")),
    Control(("granularity",)),
    Control(("scope",), "compare within"),
    Control(("p",), "norm of a group"),
)
TUNING = (Control(("epochs",)), Control(("lr_factor",), "learning rate, of the original"))


@dataclass(frozen=True)
class State:
    """All that a person can choose.

    Attributes:
        network: name in the zoo.
        layer: the one that the views show.
        prune: the pruning step.
        tune: the fine-tuning step.
        is_tuned: whether the network on show has had its fine-tuning.
    """

    network: str = NETWORKS[0]
    layer: str = ""
    prune: MagnitudeConfig = MagnitudeConfig()
    tune: MaskedFinetuneConfig = MaskedFinetuneConfig()
    is_tuned: bool = False

    def recipe(self, data: str) -> Recipe:
        """Return the recipe that makes the network on show."""
        steps = (Step(self.prune), Step(self.tune))
        return Recipe(self.network, data, steps if self.is_tuned else steps[:1])

    @property
    def granularity(self) -> str:
        return method_of(self.prune.granularity).name

    @property
    def sparsity(self) -> float:
        sparsity: float = self.prune.ratio.sparsity  # type: ignore[attr-defined]
        return sparsity


@dataclass(frozen=True)
class Instant:
    """What a slider step shows at once.

    Attributes:
        compressed: the network.
        keep: layer → bool mask on the *dense* network's weight.
        kept: layer → share of its weights that stays.
    """

    compressed: Compressed
    keep: dict[str, np.ndarray]
    kept: dict[str, float]


def with_prune(state: State, path: tuple[str, ...], value: Any, is_known: Callable[[State], bool]) -> State:
    """Return the state with a setting of the pruning step changed; tuned if that network has been tuned already."""
    tuned = replace(state, prune=replace_at(state.prune, path, value), is_tuned=True)
    return tuned if is_known(tuned) else replace(tuned, is_tuned=False)


def with_tune(state: State, path: tuple[str, ...], value: Any, is_known: Callable[[State], bool]) -> State:
    """Return the state with a setting of the fine-tuning changed; tuned if that network has been tuned already."""
    tuned = replace(state, tune=replace_at(state.tune, path, value), is_tuned=True)
    return tuned if is_known(tuned) else replace(tuned, is_tuned=False)


def with_network(state: State, network: str, layers: tuple[str, ...]) -> State:
    """Return the state on another network; the layer stays if that one has it, else its largest is chosen."""
    layer = state.layer if state.layer in layers else layers[-1]
    return replace(state, network=network, layer=layer, is_tuned=False)


def instant(state: State, bench: Workbench) -> Instant:
    """Compress as the state says and find which weights of the dense network are kept."""
    compressed = bench.compress(state.recipe(bench.card.data))
    keep = bench.keep(state.prune)
    kept = {name: float(mask.mean()) for name, mask in keep.items()}
    return Instant(compressed, keep, kept)


class PruningGranularity(Panel[State]):
    """The panel of lab 02.

    Args:
        bench: gives the workbench of a network by name.
    """

    def __init__(self, bench: Callable[[str], Workbench] = workbench) -> None:
        self._bench = bench
        self.histogram, self.curve = Histogram(), CurvePlot("training step", "loss")
        self.bars = LayerBars(lambda layer: self._choose_layer(layer))
        self.plane = AccuracyPlot("share of weights that are zero")
        super().__init__(self._start(State()), QUESTION, (self.histogram, self.bars, self.plane, self.curve))
        self._make_controls()
        self.raster = Raster()
        self.strip = _strip.Strip()
        self.views = {
            "mask": View("Weights of the layer, pruned ones blank", self.raster),
            "histogram": View("Distribution of the layer's weights", self.histogram.widget),
            "layers": View("Kept in each layer", self.bars.widget),
            "plane": View("Accuracy against sparsity", self.plane.widget),
            "tuning": View("Fine-tuning", self.job.widget, self.curve.widget),
        }
        top = ipywidgets.HBox([self.network, self.layer, self.reset_button])
        top.add_class("lk-top")
        views = [view.widget for view in self.views.values()]
        self.lay_out(top, self.strip.widget, [self.prune.widget, self.tune.widget], views)
        self._points: dict[str, tuple[float, float, str, str]] = {}
        self._shown: tuple[Instant, int, Cost] | None = None
        self._accuracy: Accuracy | None = None
        self._timing: Timing | None = None
        self._timing_is_current = False
        self._show_past()
        self.draw()

    def _make_controls(self) -> None:
        self.prune = ControlSet(
            "Pruning", CONTROLS, self.guard(lambda path, value: self.move(with_prune(self.state, path, value, self._is_known)))
        )
        self.tune = ControlSet(
            "Fine-tuning", TUNING, self.guard(lambda path, value: self.move(with_tune(self.state, path, value, self._is_known)))
        )
        self.network = ipywidgets.Dropdown(options=NETWORKS, value=self.state.network, description="network")
        self.layer = ipywidgets.Dropdown(options=[self.state.layer], value=self.state.layer, description="layer in view")
        self.reset_button = ipywidgets.Button(description="Reset", tooltip="Back to the settings this lab began with")
        self.network.observe(self.guard(lambda change: self._choose_network(change["new"])), names="value")
        self.layer.observe(self.guard(lambda change: self._choose_layer(change["new"])), names="value")
        self.reset_button.on_click(self.guard(lambda _: self.reset()))
        self.job = JobBar("Fine-tune", "", self.guard(self._start_tuning), self.worker.cancel)

    def _start(self, state: State) -> State:
        layers = tuple(layer.name for layer in self._bench(state.network).layers)
        return with_network(state, state.network, layers)

    def _is_known(self, state: State) -> bool:
        bench = self._bench(state.network)
        return bench.has(state.recipe(bench.card.data))

    def _choose_network(self, network: str) -> None:
        if network == self.state.network:
            return
        layers = tuple(layer.name for layer in self._bench(network).layers)
        self._timing = None
        self.move(with_network(self.state, network, layers))
        self._show_past()

    def _choose_layer(self, layer: str) -> None:
        if layer and layer != self.state.layer:
            self.move(replace(self.state, layer=layer))

    # ---------------------------------------------------------------- instant

    def _draw(self) -> None:
        bench, state = self._bench(self.state.network), self.state
        now = instant(state, bench)
        self._draw_layer(state, bench, now)
        self.bars.show(now.kept, state.layer)
        self._say_layers(now)
        price, size = bench.cost(now.compressed), len(bench.file(now.compressed))
        self._shown, self._accuracy, self._timing_is_current = (now, size, price), None, False
        self._draw_strip()
        self._draw_controls(bench)

    def _draw_layer(self, state: State, bench: Workbench, now: Instant) -> None:
        weight, keep = bench.weight(state.layer), now.keep[state.layer]
        rows, columns = len(weight), weight[0].size
        zeros = 1 - now.kept[state.layer]
        text = (
            f"{state.layer}: {' × '.join(map(str, weight.shape))}, drawn as {rows} outputs (rows) by {columns} inputs; {zeros:.1%} pruned."
        )
        self.raster.show(encode(weight, keep, float(np.abs(weight).max())), text)
        self.views["mask"].say(text)
        self.histogram.show(weight.reshape(-1), bench.tuned_weight(now.compressed, state.layer, keep))
        self.views["histogram"].say(f"{int(keep.sum()):,} of {keep.size:,} weights stay; the outline is the trained layer.")

    def _say_layers(self, now: Instant) -> None:
        least = min(now.kept, key=lambda name: now.kept[name])
        notes = [line for line in now.compressed.report if "collapsed" in line or "dense" in line]
        self.views["layers"].say(f"Least is kept of {least}: {now.kept[least]:.0%}. Click a bar to look at a layer. {' '.join(notes)}")

    def _draw_controls(self, bench: Workbench) -> None:
        state = self.state
        self.prune.show(state.prune)
        self.tune.show(state.tune)
        self.network.value = state.network
        names = tuple(layer.name for layer in bench.layers)
        if tuple(self.layer.options) != names:
            self.layer.options = names
        self.layer.value = state.layer
        self.job.rest(bench.tuning_hint(state.tune))

    def _draw_strip(self) -> None:
        if self._shown is None:
            return
        bench, (_, size, price) = self._bench(self.state.network), self._shown
        dense_size = len(bench.dense_file)
        timing = self._timing
        cells = (
            _strip.accuracy_cell(self._accuracy, bench.card.accuracy, len(bench.splits.test)),
            _strip.bytes_cell(size, dense_size, "stored densely: below a third of zeros an index costs more than the zero it saves"),
            _strip.macs_cell(price, bench.dense_cost),
            _strip.latency_cell(timing and timing.latency, timing and timing.ratio, self._why_slow(), is_current=self._timing_is_current),
            _strip.energy_cell(bench.energy(price, size), sum(bench.energy(bench.dense_cost, dense_size).values())),
        )
        self.strip.show(cells)

    def _why_slow(self) -> str:
        if self.state.sparsity < 0.7 and self.state.granularity == "weight":
            return "not faster: below about 70 % zeros a CPU multiplies densely"
        return "not faster than dense here"

    # ------------------------------------------------------------------- live

    def _live(self, version: int, progress: Progress) -> None:
        bench, state, shown = self._bench(self.state.network), self.state, self._shown
        if shown is None:
            return
        compressed = shown[0].compressed
        for found in bench.accuracy(compressed, progress):
            if not self.if_current(version, lambda found=found: self._show_accuracy(state, found)):
                return
        timing = bench.latency(compressed, progress)
        self.if_current(version, lambda: self._show_timing(timing))

    def _show_accuracy(self, state: State, found: Accuracy) -> None:
        bench = self._bench(state.network)
        self._accuracy = found
        self._draw_strip()
        self.plane.show_now(state.sparsity, found.share, found.low, found.high)
        if found.n == len(bench.splits.test):
            series = f"{state.granularity}{' tuned' if state.is_tuned else ''}"
            self._points[state.recipe(bench.card.data).digest] = (state.sparsity, found.share, series, state.network)
            self._show_past()

    def _show_past(self) -> None:
        network = self.state.network
        points = [(x, y, series) for x, y, series, of in self._points.values() if of == network]
        self.plane.show_past(points, self._bench(network).card.accuracy)
        series = sorted({series for _, _, series in points})
        said = f"Measured so far: {', '.join(series)}." if series else "Every settled setting leaves a dot here."
        self.views["plane"].say(f"{said} The dashed line is the dense network; the ring is the present setting with its 95 % interval.")

    def _show_timing(self, timing: Timing) -> None:
        self._timing, self._timing_is_current = timing, True
        self._draw_strip()

    # -------------------------------------------------------------------- job

    def _start_tuning(self) -> None:
        state = replace(self.state, is_tuned=True)
        self.prune.enable(False)
        self.tune.enable(False)
        self.network.disabled = self.reset_button.disabled = True
        self.job.run()
        losses: list[tuple[float, float]] = []

        def tick(report: Any) -> None:
            with self._lock:
                self.job.tick(report)
                if "loss" in report.figures:
                    losses.append((report.done, report.figures["loss"]))
                    if len(losses) % 5 == 1:
                        self.curve.show(losses, report.total)

        self.start_job(lambda progress: self._tune(state, progress), tick)

    def _tune(self, state: State, progress: Progress) -> None:
        bench = self._bench(state.network)
        recipe = state.recipe(bench.card.data)
        try:
            compressed = bench.compress(recipe, progress)
        except Cancelled:
            self._after_tuning(None, "Fine-tuning was cancelled; the network is as it was before.")
            return
        except Exception:
            self._after_tuning(None, "")
            raise
        bench.keep_result(recipe, compressed)
        self._after_tuning(state, "Fine-tuned. Move a setting to go back to the network as pruned.")

    def _after_tuning(self, state: State | None, sentence: str) -> None:
        with self._lock:
            self.prune.enable(True)
            self.tune.enable(True)
            self.network.disabled = self.reset_button.disabled = False
            self.status.say(sentence)
            if state is not None:
                self.move(state)
            else:
                self.draw()


def panel() -> ipywidgets.Widget:
    """Return the lab's page as a widget, ready to be the last line of a notebook's cell."""
    return PruningGranularity().widget
