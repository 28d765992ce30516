"""The part of a lab about one compressed network that every such lab has.

A picker of networks and of the layer in view, Reset, the score strip, the live measurements behind it, and what is kept of
everything that was measured: history, plane, comparison, take-away. A lab's own panel adds its controls and its views.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any, Generic, TypeVar

import ipywidgets

from labkit.core.progress import Progress
from labkit.core.recipe import Recipe
from labkit.core.records import Accuracy, Compressed
from labkit.panels import _strip
from labkit.panels._controls import ControlSet
from labkit.panels._figures import Figure
from labkit.panels._findings import Findings
from labkit.panels._history import History
from labkit.panels._lab import Figures, Lab, Moment
from labkit.panels._measured import Measured
from labkit.panels._network_compare import NetworkComparison
from labkit.panels._network_entry import INTERVAL, SHEET, NetworkEntry, entry_of, in_plane, key_of
from labkit.panels._network_state import NETWORKS, NetworkState, layers_of, on_network
from labkit.panels._network_takeaway import NetworkTakeaway, Taken
from labkit.panels._panel import Panel
from labkit.panels._plane import Dot, Plane
from labkit.panels._recipe_words import how_in_words, label
from labkit.workbench import Timing, Workbench, workbench

FIRST_LOOK = 1000  # images that an accuracy before recalibration is judged by


S = TypeVar("S", bound=NetworkState)


class NetworkPanel(Panel[S], Generic[S]):
    """Base of the panels about one compressed network.

    Args:
        lab: what it declares.
        state: the first one; its layer is filled in if empty.
        figures: the lab's own Bokeh figures.
        bench: gives the workbench of a network by name.
        networks: those that can be picked.
    """

    def __init__(
        self,
        lab: Lab,
        state: S,
        figures: tuple[Figure, ...],
        bench: Callable[[str], Workbench] = workbench,
        networks: Sequence[str] = NETWORKS,
    ) -> None:
        self._benches = bench
        self.plane = Plane(lambda key: self.guard(self.findings.go)(key), SHEET.axes, SHEET.up, INTERVAL, "dense")
        super().__init__(lab, on_network(state, state.network, layers_of(bench(state.network))), (*figures, self.plane))
        self.measured: Measured | None = None
        self.strip = _strip.Strip()
        self.takeaway = NetworkTakeaway(self.taken, lambda made: self.bench.file(made), self.guard, self.download, self.say)
        self.findings = Findings(self, self.plane, SHEET, NetworkComparison(self.guard, self.bench_of), self.takeaway)
        self.plane_view = self.findings.plane_view
        self.below = [self.findings.widget]
        self.controls: dict[str, ControlSet] = {}  # a lab's own, by the field of the state that they set
        self.network = ipywidgets.Dropdown(options=list(networks), value=state.network, description="network")
        self.layer = ipywidgets.Dropdown(description="layer in view")
        self.reset_button = ipywidgets.Button(description="Reset", tooltip="Back to the settings this lab began with")
        self.network.observe(self.guard(lambda change: self.choose_network(change["new"])), names="value")
        self.layer.observe(self.guard(lambda change: self.choose_layer(change["new"])), names="value")
        self.reset_button.on_click(self.guard(lambda _: self.reset()))
        self.top = ipywidgets.HBox([self.network, self.layer, self.reset_button, self.copy_button])
        self.top.add_class("lk-top")

    @property
    def bench(self) -> Workbench:
        """The workbench of the present network."""
        return self._benches(self.state.network)

    def bench_of(self, network: str) -> Workbench:
        """Return the workbench of a network."""
        return self._benches(network)

    def say(self, sentence: str) -> None:
        """Show a sentence in the status line."""
        self.status.say(sentence)

    def choose_network(self, network: str) -> None:
        """Go to another network."""
        if network != self.state.network:
            self.move(on_network(self.state, network, layers_of(self._benches(network))))

    def choose_layer(self, layer: str | None) -> None:
        """Show another layer; what was measured of the network stays."""
        if layer and layer != self.state.layer:
            self.state = replace(self.state, layer=layer)
            self.draw_controls()
            self.draw_layer()
            self._write_link()

    def choices(self, field: str, state: S) -> Sequence[str]:
        if field == "network":
            return list(self.network.options)
        return layers_of(self._benches(state.network)) if field == "layer" else ()

    def admit(self, state: S) -> tuple[S, str]:
        """Return the state with a layer of its network, and before its job where the job's result is not at hand."""
        bench = self._benches(state.network)
        state = on_network(state, state.network, layers_of(bench))
        if not state.is_tuned or bench.is_at_hand(state.recipe(bench.card.data)):
            return state, ""
        return replace(state, is_tuned=False), "The network was fine-tuned. Press Fine-tune to make it again."

    def setting(self, state: S) -> str:
        return super().setting(replace(state, layer=self.first.layer))

    def moment(self) -> Moment:
        figures = self._figures_now()
        words = self._words() if figures.accuracy is not None else ""
        history = self.findings.history
        return Moment(self.state, self.setting(self.state), words, figures, len(history), len(history.pinned))

    def _figures_now(self) -> Figures:
        found = self.measured
        if found is None or found.accuracy is None or found.accuracy.n < len(self.bench.splits.test):
            return Figures()
        if found.compressed is None:
            return Figures()  # batch norm is still to be measured anew
        speed = None if found.own_timing is None else found.own_timing.ratio
        energy = sum(self.bench.energy(found.cost, found.size).values())
        return Figures(found.accuracy.share, found.size, found.cost.effective_macs, speed, energy)

    def _words(self) -> str:
        """Say what the network on show has otherwise than the one that the lab began with."""
        said = label(self.recipe, self.first.recipe(self.bench.card.data), self.bench.reached(self.recipe))
        return ", ".join([said, *how_in_words(self.state.how(), self.first.how())])

    def enable(self, enabled: bool) -> None:
        """Let people change what decides the network, or not while a job depends on it."""
        self.is_locked = self.network.disabled = self.reset_button.disabled = not enabled
        self.findings.enable(enabled)
        for controls in self.controls.values():
            controls.enable(enabled)

    def go_back(self, entry: NetworkEntry) -> None:
        """Show a setting of the history again, if no job runs and its network can be had without one."""
        if not self._benches(entry.recipe.network).is_at_hand(entry.recipe):
            self.say("That network was trained too many jobs ago and is not kept any more: set it up again and train it anew.")
        else:
            self.go(entry.state)

    def in_plane(self, history: History[NetworkEntry]) -> tuple[list[Dot], Dot]:
        """Return the settings of the present network, and the dense one."""
        return in_plane(list(history), self.bench)

    def taken(self) -> Taken:
        """Return the network on show, as far as it is known, for people to take home."""
        found = self.measured
        zeros, compressed = (0.0, None) if found is None else (found.sketch.zeros, found.compressed)
        return Taken(self.recipe, self.state.series(), zeros, compressed, self.bench.reached(self.recipe), self.state.how())

    @property
    def recipe(self) -> Recipe:
        """The recipe that makes the network on show."""
        return self.state.recipe(self.bench.card.data)

    def draw_layer(self) -> None:
        """Show the chosen layer in the lab's own views."""
        raise TypeError(f"{type(self).__name__} must say how it shows a layer")

    def why_slow(self) -> str:
        """Say in a few words why the network on show is not faster than the dense one."""
        return "not faster than dense here"

    def _draw(self) -> None:
        bench, last = self.bench, self.measured
        sketch = bench.sketch(self.recipe)
        timing = last.timing if last is not None and last.network == self.state.network else None
        self.measured = Measured(self.state.network, sketch, 0, bench.dense_cost, timing=timing)
        self.draw_layer()
        self.measured = replace(self.measured, size=len(bench.file(sketch.compressed)), cost=bench.cost(sketch.compressed))
        self._draw_strip()
        self.draw_controls()
        self.takeaway.moved()
        if last is None or last.network != self.state.network:
            self.findings.change_plane()

    def draw_controls(self) -> None:
        names, layer = layers_of(self.bench), self.state.layer
        if self.layer.options != names:
            self.layer.options = names  # which chooses the first of them: nobody's choice, so the next line takes it back
        self.network.value, self.layer.value = self.state.network, layer
        for name, controls in self.controls.items():
            controls.show(getattr(self.state, name))

    def _draw_strip(self) -> None:
        bench, found = self.bench, self.measured
        if found is None:
            return
        dense = len(bench.dense_file)
        timing = found.timing
        joules, dense_joules = bench.energy(found.cost, found.size), bench.energy(bench.dense_cost, dense)
        latency, ratio = (timing.latency, timing.ratio) if timing is not None else (None, None)
        self.strip.show(
            (
                _strip.accuracy_cell(found.accuracy, bench.card.accuracy, len(bench.splits.test), found.unsettled),
                _strip.bytes_cell(found.size, dense, "not smaller: below a third of zeros an index costs more than it saves"),
                _strip.macs_cell(found.cost, bench.dense_cost),
                _strip.latency_cell(latency, ratio, self.why_slow(), is_current=found.timing_is_current),
                _strip.energy_cell(joules, sum(dense_joules.values())),
            )
        )

    def _live(self, version: int, progress: Progress) -> None:
        with self._lock:
            bench, recipe, found, how = self.bench, self.recipe, self.measured, self.state.how()
        if found is None:
            return
        self.if_current(version, self._rest)
        compressed = found.sketch.compressed
        if found.sketch.is_unsettled:
            before = self._first_look(bench.accuracy(compressed, progress), version)
            compressed = bench.compress(recipe, progress)
            size = len(bench.file(compressed))  # the file's report tells of it, so that it has some bytes more
            self.if_current(version, lambda: self._learn(unsettled=before, size=size))
        self.if_current(version, lambda: self._settle(compressed))
        for accuracy in bench.accuracy(compressed, progress):
            if not self.if_current(version, lambda accuracy=accuracy: self._show_accuracy(accuracy)):  # type: ignore[misc]
                return
        timing = bench.latency(compressed, progress, how.batch, how.format)
        self.if_current(version, lambda: self._show_timing(timing))
        self.settled(version, progress)

    def settled(self, version: int, progress: Progress) -> None:
        """Do what a lab still wants to know once everything is measured; on the worker's thread, nothing unless it says so."""

    def _first_look(self, estimates: Iterator[Accuracy], version: int) -> Accuracy | None:
        """Show the accuracy before batch norm is measured anew, up to an estimate that tells a collapse from a scratch."""
        found = None
        for found in estimates:
            self.if_current(version, lambda found=found: self._learn(accuracy=found))  # type: ignore[misc]
            if found.n >= FIRST_LOOK:
                break
        return found

    def _learn(self, **found: Any) -> None:
        if self.measured is not None:
            self.measured = replace(self.measured, **found)
        self._draw_strip()
        self.notice()

    def _rest(self) -> None:
        """Show what need not follow a slider while it moves."""
        self.findings.choose(key_of(self.recipe, self.state.how()))
        self.takeaway.draw()

    def _settle(self, compressed: Compressed) -> None:
        if self.measured is not None:
            self.measured = replace(self.measured, compressed=compressed)
        self.takeaway.settled()

    def _show_accuracy(self, accuracy: Accuracy) -> None:
        self._learn(accuracy=accuracy)
        if self.measured is None:
            return
        self._ring(accuracy, self.measured)
        if accuracy.n == len(self.bench.splits.test):
            self._record()

    def _show_timing(self, timing: Timing) -> None:
        self._learn(timing=timing, timing_is_current=True)
        self._record()
        if self.measured is not None and self.measured.accuracy is not None:
            self._ring(self.measured.accuracy, self.measured)

    def _ring(self, accuracy: Accuracy, found: Measured) -> None:
        self.findings.show_now(found.costs, accuracy.share, accuracy.low, accuracy.high)

    def _record(self) -> None:
        """Put the present setting into the history."""
        if self.measured is not None and self.measured.accuracy is not None:
            self.findings.add(entry_of(self.state, self._words(), self.measured, self.bench))
            self.notice()
