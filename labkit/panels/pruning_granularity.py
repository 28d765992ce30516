"""Lab 02: the same share of zeros in single weights or whole channels, and what each costs in accuracy, bytes and time."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import ipywidgets
import numpy as np

from labkit.core.params import replace_at
from labkit.core.progress import Progress
from labkit.core.recipe import Recipe, Step
from labkit.core.registry import method_of
from labkit.panels._ahead import shown
from labkit.panels._controls import Control, ControlSet, Path
from labkit.panels._figures import Histogram, LayerBars
from labkit.panels._lab import Aim, Challenge, Guess, Lab, Moment, TryThis
from labkit.panels._network_panel import NetworkPanel
from labkit.panels._network_state import NETWORKS, NetworkState
from labkit.panels._panel import View
from labkit.panels._raster import Raster, encode
from labkit.panels._tuning import TuningJob
from labkit.pruning.criterion.magnitude import MagnitudeConfig
from labkit.pruning.schedule.masked_finetune import MaskedFinetuneConfig
from labkit.workbench import Sketch, Workbench, workbench


def _asks_for_a_ratio(prune: MagnitudeConfig) -> bool:
    """Whether the granularity leaves open how much goes; N:M says it itself."""
    return not getattr(prune.granularity, "FIXES_SHARE", False)


PRUNE = (
    Control(("ratio", "sparsity"), needed=_asks_for_a_ratio),
    Control(("granularity",)),
    Control(("scope",), "compare within", needed=_asks_for_a_ratio),
    Control(("p",), "norm of a group"),
)
TUNE = (
    Control(("epochs",), presets=(1, 2, 3, 5)),
    Control(("lr_factor",), "learning rate, × original", presets=(1.0, 0.3, 0.1, 0.03, 0.01, 0.001)),
)


@dataclass(frozen=True)
class State(NetworkState):
    """All that a person can choose.

    Attributes:
        prune: the pruning step.
        tune: the fine-tuning step.
    """

    prune: MagnitudeConfig = field(default_factory=MagnitudeConfig)
    tune: MaskedFinetuneConfig = field(default_factory=MaskedFinetuneConfig)

    def recipe(self, data: str) -> Recipe:
        steps = (Step(self.prune), Step(self.tune))
        return Recipe(self.network, data, steps if self.is_tuned else steps[:1])

    def series(self) -> str:
        return f"{self.granularity} (tuned)" if self.is_tuned else self.granularity

    @property
    def granularity(self) -> str:
        return method_of(self.prune.granularity).name

    @property
    def sparsity(self) -> float:
        return float(getattr(self.prune.ratio, "sparsity", 0.0))


def _is_fast(moment: Moment) -> bool:
    found = moment.state.prune != State().prune  # a small network alone may be as fast as that where the lab opens
    return found and moment.state.granularity == "weight" and (moment.figures.speed or 0.0) >= 5.0


def _half_the_channels(first: State) -> State:
    return replace(first, prune=MagnitudeConfig.from_dict({"granularity": "channel", "ratio": {"name": "uniform_ratio", "sparsity": 0.5}}))


LAB = Lab(
    name="02_pruning_granularity",
    question="At the same share of zeros, what do single weights and whole channels cost in accuracy, and what do they gain in bytes and time?",
    steps=(
        TryThis(
            "half_is_free",
            "Prune 60 % or more of the single weights and wait for all test images. How much did it cost?",
            lambda moment: moment.state.granularity == "weight" and moment.state.sparsity >= 0.6 and moment.figures.accuracy is not None,
        ),
        TryThis(
            "guess",
            "Now make the holes coarser. Guess below what is left when half of each layer’s channels go.",
            guess=Guess(
                "Half of the channels of each layer go. On how many of the test images is the network still right?", _half_the_channels
            ),
        ),
        TryThis("fast", "Find a share of zeros at which single weights run five times as fast as dense on this machine.", _is_fast),
        TryThis(
            "tune",
            "Prune so far that accuracy breaks down, then press Fine-tune. How much comes back?",
            lambda moment: moment.state.is_tuned,
        ),
        TryThis(
            "compare",
            "In the history, pin single weights and whole channels of about the same size. Which clothes suffer most?",
            lambda moment: moment.pinned == 2,
        ),
    ),
    challenge=Challenge(
        "Make a network whose file has at most 64 kB and that is right on at least 90 % of the test images.",
        (Aim("bytes", most=64_000), Aim("accuracy", least=0.9)),
    ),
    methods=("magnitude", "weight", "n_m", "channel", "masked_finetune"),
    usual_account=(
        "“Zeros make a network faster.” Only in a program made for them, and not always: at 50 % zeros, ours was 1.5 times as fast as dense on batches of 64 images, not twice.",
        "“A sparsity of 80 % removes 80 % of the weights.” With whole channels a layer loses outputs and, through the layer before, inputs: 96 % of an inner layer go.",
        "“Finer is always more accurate.” Where batch norm is left as it was, our comparison at 90 % zeros is undecided; measured anew for both, single weights lead clearly.",
        "“Fine-tune at a tenth of the learning rate or less.” That is for a constant rate. Here it decays to 0, and after pruning 90 % one epoch at the original rate wins.",
    ),
)


def with_setting(state: State, step: str, path: Path, value: Any, is_known: Callable[[State], bool]) -> State:
    """Return the state with a setting changed, and tuned if that very network has been fine-tuned before.

    Args:
        state: the present one.
        step: "prune" or "tune".
        path: of the setting in that step's config.
        value: its new value.
        is_known: tells whether the result of a tuned state is remembered.
    """
    tuned = replace(state, is_tuned=True, **{step: replace_at(getattr(state, step), path, value)})
    return tuned if is_known(tuned) else replace(tuned, is_tuned=False)


def tuned_in_words(reached: float | None, epochs: int) -> str:
    """Say what came of the job, whose training was cancelled when the share `reached` of it was done (None: it was not)."""
    if reached is None:
        return "Fine-tuned. Any other setting shows the network as it was pruned, before tuning."
    return f"Cancelled: the network is shown as it was then, after {reached * epochs:.1f} epochs. Fine-tune begins anew."


class PruningGranularity(NetworkPanel[State]):
    """The panel of lab 02.

    Args:
        state: the first one.
        bench: gives the workbench of a network by name.
        networks: those that can be picked.
    """

    def __init__(
        self, state: State | None = None, bench: Callable[[str], Workbench] = workbench, networks: Sequence[str] = NETWORKS
    ) -> None:
        self._epoch_seconds: dict[str, float] = {}
        self.histogram = Histogram()
        self.bars = LayerBars(self._bar_clicked)
        self.job = TuningJob("Fine-tune", self._job_started, self._job_cancelled)
        super().__init__(LAB, state or State(), (self.histogram, self.bars, self.job.curve), bench, networks)
        self.raster = Raster()
        self.mask_view = View("The layer's weights, pruned ones blank", self.raster)
        self.histogram_view = View("How the layer's weights are distributed", self.histogram.widget)
        self.layers_view = View("What is kept of each layer", self.bars.widget)
        self.controls = {
            "prune": ControlSet("Pruning", PRUNE, self.guard(lambda path, value: self._set("prune", path, value))),
            "tune": ControlSet("Fine-tuning", TUNE, self.guard(lambda path, value: self._set("tune", path, value))),
        }
        views = (self.mask_view, self.histogram_view, self.layers_view, self.plane_view, self.job.view)
        side = [each.widget for each in self.controls.values()]
        self.lay_out(self.top, self.strip.widget, side, [view.widget for view in views])
        self.draw()

    def why_slow(self) -> str:
        if self.state.granularity == "weight":
            return f"not faster: finding the {1 - self.state.sparsity:.0%} that stay costs what skipping the zeros saves"
        return super().why_slow()

    def draw_layer(self) -> None:
        bench, state, found = self.bench, self.state, self.measured
        if found is None:
            return
        weight, keep = bench.weight(state.layer), found.sketch.keep[state.layer]
        left = bench.remaining(found.sketch, state.layer)
        size = " × ".join(map(str, weight.shape))
        text = f"{state.layer}: {size}, drawn as {len(weight)} outputs (rows) by {weight[0].size} inputs; {1 - keep.mean():.1%} pruned."
        self.histogram.show(weight.reshape(-1), left, f"{state.network} {state.layer}")  # first: Bokeh takes a frame longer
        self.raster.show(encode(weight, keep, float(np.abs(weight).max())), text)
        self.mask_view.say(text)
        self.histogram_view.say(
            f"{int(keep.sum()):,} of {keep.size:,} weights stay. Outline: the trained layer. Filled: what is left of it."
        )
        self._draw_layers(found.sketch)

    def _draw_layers(self, sketch: Sketch) -> None:
        kept = {name: float(mask.mean()) for name, mask in sketch.keep.items()}
        self.bars.show(kept, self.state.layer)
        least = min(kept, key=lambda name: kept[name])
        collapsed = " ".join(f"{line}." for line in sketch.notes if "collapsed" in line)
        self.layers_view.say(
            f"{sketch.zeros:.1%} of all weights are gone; least is kept of {least}, {kept[least]:.0%}. Full colour: the layer in view; click a bar to look at another. {collapsed}"
        )
        self._hint()

    def settled(self, version: int, progress: Progress) -> None:
        self._epoch_seconds[self.state.network] = self.bench.seconds_an_epoch(progress)
        self.if_current(version, self._hint)

    def _hint(self) -> None:
        """Say what fine-tuning would do and, once that is measured, how long it takes here."""
        epochs, seconds = self.state.tune.epochs, self._epoch_seconds.get(self.state.network)
        takes = f"about {epochs * seconds:.0f} s here" if seconds is not None else "its time is being measured"
        images = len(self.bench.splits.train)
        self.job.bar.rest(f"Trains what is left, {epochs} epoch{'s' if epochs > 1 else ''} of {images:,} images: {takes}.")

    def _set(self, step: str, path: Path, value: Any) -> None:
        self.move(with_setting(self.state, step, path, value, self._is_known))

    def _is_known(self, state: State) -> bool:
        return self.bench.has(state.recipe(self.bench.card.data))

    def _bar_clicked(self, layer: str) -> None:
        self.guard(self.choose_layer)(layer)

    def _job_started(self) -> None:
        self.guard(self._start_job)()

    def _job_cancelled(self) -> None:
        self.worker.cancel()

    def _start_job(self) -> None:
        tuned = replace(self.state, is_tuned=True)
        self.enable(False)
        self.job.start(
            self, self.bench, tuned.recipe(self.bench.card.data), lambda made: self._job_done(tuned if made is not None else None)
        )

    def _job_done(self, tuned: State | None) -> None:
        with self._lock:
            self.enable(True)
            if tuned is None or tuned == self.state:
                self.draw()
            else:
                self.move(tuned)
                self.status.say(tuned_in_words(self.bench.reached(self.recipe), tuned.tune.epochs))


def panel() -> ipywidgets.Widget:
    """Return the lab's page as a widget: the last line of the notebook's cell."""
    return shown(PruningGranularity)
