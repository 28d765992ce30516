"""Lab 07: from how many zeros on a sparse format runs faster on this machine, what it takes on disk, and where the time goes."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

import ipywidgets

from labkit import crossover, flow
from labkit.core.params import replace_at
from labkit.core.progress import Progress
from labkit.core.registry import method_of
from labkit.crossover import IN_VIEW, Subject
from labkit.execution import Spent, profile, stored_bytes
from labkit.measure.roof import Roof, roof
from labkit.panels import _executed, _walk
from labkit.panels._ahead import shown
from labkit.panels._controls import Control, ControlSet, Path
from labkit.panels._energy_figures import LayerDot, Roofline
from labkit.panels._lab import Aim, Challenge, Guess, Lab, Moment, TryThis
from labkit.panels._network_panel import NetworkPanel
from labkit.panels._network_state import NETWORKS
from labkit.panels._panel import View
from labkit.panels._sparse_figures import FormatBars, TimeBars
from labkit.panels._sparse_state import State, asks_for_a_ratio
from labkit.panels._sweep import Key, SweepJob
from labkit.panels._walk import Walk
from labkit.workbench import Workbench, workbench

PRUNE = (
    Control(("ratio", "sparsity"), needed=asks_for_a_ratio),
    Control(("granularity",)),
    Control(("scope",), "compare within", needed=asks_for_a_ratio),
)
RUN = (Control(("batch",), "images a call"), Control(("format",)))


@dataclass(frozen=True)
class Sight(Moment):
    """What this lab's steps see besides.

    Attributes:
        is_swept: whether the layer that is chosen was swept to the end.
        walked: the machine that is stepped through.
    """

    is_swept: bool = False
    walked: _walk.Seen | None = None


def _nine_of_ten(first: State) -> State:
    return replace(first, prune=replace_at(first.prune, ("ratio", "sparsity"), 0.9))


def _is_balanced(moment: Moment) -> bool:
    walked = moment.walked if isinstance(moment, Sight) else None
    return walked is not None and walked.cycle is not None and walked.is_at_end and walked.busy >= 0.85


def _is_alone(moment: Moment) -> bool:
    return moment.state.run.batch == 1 and moment.state.zeros >= 0.8 and moment.figures.speed is not None


LAB = Lab(
    name="07_sparse_execution",
    question="From how many zeros on does a sparse format run faster than dense on this machine, and what stops it from running faster still?",
    steps=(
        TryThis(
            "guess",
            "Nine of ten weights go, so nine of ten products are gone. Guess below how many times faster the network runs.",
            guess=Guess(
                "90 % of the weights are zero, 64 images a call. How many times faster than dense is it?",
                _nine_of_ten,
                "speed",
                0.5,
                12,
                0.5,
            ),
        ),
        TryThis(
            "sweep",
            "Press Sweep and wait for the end. Which kind of zeros overtakes dense first, and is it the same for one image and for 64?",
            lambda moment: isinstance(moment, Sight) and moment.is_swept,
        ),
        TryThis("alone", "Take 80 % zeros or more and one image a call. Is the gain that of 64 images?", _is_alone),
        TryThis(
            "queues",
            "Step the array (eie) to its end, then make its queues longer until the elements multiply in 85 % of their cycles.",
            _is_balanced,
        ),
        TryThis(
            "compare",
            "In the history, pin two formats or two batches of one network. Which figures differ, and which cannot?",
            lambda moment: moment.pinned == 2,
        ),
    ),
    challenge=Challenge(
        "A network that runs at least three times as fast as dense here and is right on at least 90 % of the test images.",
        (Aim("speed", least=3.0), Aim("accuracy", least=0.9)),
    ),
    methods=("magnitude", "weight", "n_m", "channel"),
    usual_account=(
        "“A tenth of the products takes a tenth of the time.” The products that stay must be found, and what is read beside them stays as it was: inputs, outputs, indices.",
        "“Unstructured sparsity is no use on a processor.” That was measured with libraries that treat each weight by itself. From how many zeros on it pays is a property of kernel, layer and batch; the sweep measures it here.",
        "“Sparse is smaller.” An index costs as much as half a weight or more: below about a third of zeros compressed rows take more than dense, and single weights stored as N:M take as many slots as their fullest group.",
        "“2:4 doubles the speed.” Half of the products go, so twice is the most where arithmetic is the limit; where reading weights is, 32/17. More than that says that the dense baseline was not at its own limit.",
        "“The speed-up of a layer is that of the network.” Pooling, the layers that are left dense and the way in and out take their time as before; the bars of where the time goes show it.",
    ),
    sources=(
        "Han et al. 2016, EIE, arXiv:1602.01528: the array with queues.",
        "Gale, Elsen and Hooker 2020, Sparse GPU kernels, arXiv:2006.10901; Elsen et al. 2020, Fast sparse ConvNets, arXiv:1911.09723.",
        "Williams, Waterman and Patterson 2009, Roofline, Communications of the ACM 52(4).",
    ),
)


class SparseExecution(NetworkPanel[State]):
    """The panel of lab 07.

    Args:
        state: the first one.
        bench: gives the workbench of a network by name.
        networks: those that can be picked.
        measure: sweeps a layer.
        measure_roof: measures what bounds this machine.
    """

    def __init__(
        self,
        state: State | None = None,
        bench: Callable[[str], Workbench] = workbench,
        networks: Sequence[str] = NETWORKS,
        measure: Callable[..., Any] = crossover.sweep,
        measure_roof: Callable[[Progress], Roof] = roof,
    ) -> None:
        self._measure_roof = measure_roof
        self.roof: Roof | None = None
        self.spent: tuple[Spent, ...] = ()  # empty until it is measured
        self.is_timed = False  # whether that is of the setting on show
        self._drawn: tuple[tuple[Spent, ...], Roof | None, str] | None = None
        self.formats, self.times, self.roofline = FormatBars(), TimeBars(self._bar_clicked), Roofline()
        self.sweep = SweepJob(
            lambda: self.guard(self._start)(),
            lambda: self.worker.cancel(),
            lambda path, value: self.guard(self._choose)("sweep", path, value),
            measure,
        )
        figures = (self.formats, *self.sweep.plots.values(), self.times, self.roofline)
        super().__init__(LAB, state or State(), figures, bench, networks)
        self.formats_view = View("The layer in each format", self.formats.widget)
        halves = ipywidgets.Box([self.times.widget, self.roofline.widget])
        halves.add_class("lk-halves")
        self.times_view = View("Where the time goes, and what limits it", halves, is_wide=True)
        self.walk = Walk(self.guard(lambda path, value: self._choose("walk", path, value)))
        self.controls = {
            "prune": ControlSet("Pruning", PRUNE, self.guard(lambda path, value: self._set("prune", path, value))),
            "run": ControlSet("Running", RUN, self.guard(lambda path, value: self._set("run", path, value))),
        }
        views = (self.formats_view, self.plane_view, self.sweep.view, self.times_view, self.walk.view)
        self.lay_out(self.top, self.strip.widget, [each.widget for each in self.controls.values()], [view.widget for view in views])
        self.draw()
        self._hint()

    def setting(self, state: State) -> str:
        return super().setting(replace(state, sweep=self.first.sweep, walk=self.first.walk))

    def moment(self) -> Moment:
        plain = super().moment()
        words = {each.name: getattr(plain, each.name) for each in fields(plain)}
        return Sight(**words, is_swept=self.sweep.is_whole(self._swept), walked=_walk.seen(self.state.walk))

    def enable(self, enabled: bool) -> None:
        super().enable(enabled)
        self.layer.disabled = not enabled
        self.sweep.enable(enabled)

    def why_slow(self) -> str:
        return _executed.why_slow(self.state.run.format)

    def draw_layer(self) -> None:
        found, state = self.measured, self.state
        if found is None:
            return
        keep = found.sketch.keep[state.layer]
        left = _executed.what_is_left(keep, is_smaller=method_of(state.prune.granularity).name == "channel")
        sizes, zeros = stored_bytes(left), 1 - float(keep.mean())
        self.formats.show(sizes, keep.size * 4)
        self.formats_view.say(_executed.formats_in_words(state.layer, sizes, keep, left))
        self.walk.show(state.walk)
        self.sweep.show(state.sweep, self._swept, zeros)
        self._draw_times()

    def settled(self, version: int, progress: Progress) -> None:
        with self._lock:
            found, bench, how = self.measured, self.bench, self.state.run
        if found is None or found.compressed is None:
            return
        if self.roof is None:
            self.roof = self._measure_roof(progress)
        spent = profile(found.compressed, bench.dense, bench.splits.test[: how.batch].tensor(), how.format, progress)
        self.if_current(version, lambda: self._learn_times(tuple(spent)))

    @property
    def _swept(self) -> Key:
        """What the sweep on show is of."""
        name = self.state.sweep.layer
        return (self.state.network, self.state.layer) if name == IN_VIEW else ("", name)

    def _subject(self) -> Subject:
        network, layer = self._swept
        return (
            crossover.subject_of(self.bench.dense.model, layer, flow.example(self.bench.splits.test)) if network else crossover.named(layer)
        )

    def _draw(self) -> None:
        self.is_timed = False
        super()._draw()

    def _learn_times(self, spent: tuple[Spent, ...]) -> None:
        self.spent, self.is_timed = spent, True
        self._draw_times()

    def _draw_times(self) -> None:
        layer = self.state.layer
        names = [each.name for each in self.bench.layers]
        if not set(names) <= {row.name for row in self.spent}:  # another network: its layers, and nothing measured
            self.spent = tuple(Spent(name, 0.0, 0.0) for name in names)
        if self._drawn != (self.spent, self.roof, layer):  # a slider that moves changes none of them
            self._drawn = (self.spent, self.roof, layer)
            self.times.show(self.spent, layer)
            self.roofline.show(self.roof, {row.name: LayerDot(row.intensity, row.gflops) for row in self.spent if row.format}, layer)
        self.times_view.say(_executed.times_in_words(self.spent, self.roof, layer, is_current=self.is_timed))

    def _set(self, step: str, path: Path, value: Any) -> None:
        self.move(replace(self.state, **{step: replace_at(getattr(self.state, step), path, value)}))

    def _choose(self, what: str, path: Path, value: Any) -> None:
        """Change what is looked at only: what was measured of the network stays."""
        self.state = replace(self.state, **{what: replace_at(getattr(self.state, what), path, value)})
        self.draw_layer()
        self._write_link()
        self.notice()

    def _bar_clicked(self, layer: str) -> None:
        self.guard(self.choose_layer)(layer)

    def _start(self) -> None:
        self.enable(False)
        self.sweep.start(self, self._swept, self._subject, self._ended)

    def _ended(self) -> None:
        with self._lock:
            self.enable(True)
            self._hint()
            self.notice()
            if not self.is_timed:
                self.ask()  # the sweep took the place of what was being measured

    def _hint(self) -> None:
        self.sweep.bar.rest(_executed.HINT)


def panel() -> ipywidgets.Widget:
    """Return the lab's page as a widget: the last line of the notebook's cell."""
    return shown(SparseExecution)
