"""Lab 01: where the energy of an inference goes, what would shrink it, and where this machine's own limits are."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import ipywidgets

from labkit import blueprint
from labkit.blueprint import BlueprintConfig, Counted, CountedLayer, Ran
from labkit.core.params import replace_at
from labkit.core.progress import Progress
from labkit.measure.roof import Roof, roof
from labkit.panels import _counted, _counted_code
from labkit.panels._ahead import shown
from labkit.panels._compare import SideBySide
from labkit.panels._controls import Control, ControlSet, Path
from labkit.panels._counted_entry import SHEET, CountedEntry, compared_in_words, entry_of, setting_rows
from labkit.panels._counted_state import State, TimedProgram
from labkit.panels._energy_figures import FIRST, NOW, PARTS, LayerDot, MovedBars, Roofline, StackedBars, axis_end
from labkit.panels._figures_panel import KEEP_S, FiguresPanel
from labkit.panels._lab import Aim, Challenge, Figures, Guess, Lab, Moment, TryThis
from labkit.panels._panel import View
from labkit.panels._strip import Strip

NETWORK = (Control(("kind",)), Control(("width",)), Control(("depth",)), Control(("sparsity",)))
CHIP = (
    Control(("bits",)),
    Control(("batch",), presets=(1, 4, 16, 64, 256)),
    Control(("buffer",), "on-chip buffer", presets=(0, 16 << 10, 64 << 10, 256 << 10, 1 << 20, 4 << 20)),
)


@dataclass(frozen=True)
class Sight(Moment):
    """What this lab's steps see besides.

    Attributes:
        dram_share: DRAM's share of the modelled energy.
        is_past_ridge: whether the layer in view does more operations a byte than this machine's ridge, once that is measured.
    """

    dram_share: float = 0.0
    is_past_ridge: bool = False


def _fits(seen: Moment) -> bool:
    chip = seen.state.chip
    return isinstance(seen, Sight) and seen.figures.is_settled and chip.batch == 1 and chip.buffer <= 64 << 10 and seen.dram_share == 0.0


def _reuses(seen: Moment) -> bool:
    state, first = seen.state, State()
    return isinstance(seen, Sight) and state.network.kind == "convolutional" and state.chip == first.chip and seen.dram_share < 0.5


def _in_batches(first: State) -> State:
    return replace(first, chip=first.chip.replace(batch=64))


LAB = Lab(
    name="01_why_small",
    question="Where does the energy of an inference go: into arithmetic, or into bringing the numbers there? And what would shrink it?",
    steps=(
        TryThis(
            "guess",
            "One image takes about 175 µJ, nearly all of it to fetch weights. Guess below what is left when 64 images share one reading.",
            guess=Guess("64 images share one reading of the weights. How much energy does each take?", _in_batches, "energy_uj", 0, 180, 1),
        ),
        TryThis(
            "fits",
            "Back to one image at a time and a buffer of 64 KiB: make the network so small that its weights stay on the chip. Width, bits and zeros multiply.",
            _fits,
        ),
        TryThis(
            "convolutions",
            "Press Reset and take the convolutional network, which has half the weights. Why is DRAM no longer the larger half?",
            _reuses,
        ),
        TryThis(
            "ridge",
            "Take the linear network again and find the smallest batch at which its first layer comes to the right of the ridge in the roofline, where arithmetic is the limit.",
            lambda seen: (
                isinstance(seen, Sight) and seen.state.network.kind == "linear" and seen.state.chip.batch > 1 and seen.is_past_ridge
            ),
        ),
        TryThis(
            "compare",
            "In the history, pin one network at one image and at 64. Which part of its energy changed, and which figures did not?",
            lambda seen: seen.pinned == 2,
        ),
    ),
    challenge=Challenge(
        "At most 20 µJ an image for a network that still does at least 5 million products.",
        (Aim("energy_uj", most=20.0), Aim("macs", least=5_000_000)),
    ),
    usual_account=(
        "“Memory costs more than arithmetic.” Per access it does: 640 pJ for 32 bits from DRAM, 3.7 pJ for a multiplication. What an inference spends depends on how often each number that was fetched is used: a convolution uses a weight at every position, a batch for every image.",
        "“A network of half the weights takes half the energy.” The convolutional network here has half the weights of the linear one and thirty times its products.",
        "“The energy of a mask is that of its zeros.” Only where zeros are neither stored nor multiplied; and below a thirty-second of zeros at 32 bits, below an eighth at 8 bits, the map of what is stored costs more than it saves.",
        "“This is what your machine draws.” It is a model of a small accelerator at 45 nm. Only the roofline and the latency are measured here; a processor has caches, which is why a layer can be above the sloping roof.",
    ),
    sources=(
        "Horowitz 2014, Computing’s energy problem, ISSCC: the energy of each operation and access, 45 nm.",
        "Han, Mao and Dally 2015, arXiv:1506.02626: the 32-bit figures as used here.",
        "Williams, Waterman and Patterson 2009, Roofline, Communications of the ACM 52(4).",
    ),
)


class WhySmall(FiguresPanel[State, CountedEntry]):
    """The panel of lab 01.

    Args:
        state: the first one.
        measure_roof: measures what bounds this machine.
        run: times a network's layers on a batch.
    """

    def __init__(
        self,
        state: State | None = None,
        measure_roof: Callable[[Progress], Roof] = roof,
        run: Callable[[BlueprintConfig, int, Progress], Ran] = blueprint.run,
    ) -> None:
        self._measure_roof, self._run = measure_roof, run
        self.roof: Roof | None = None
        self.ran: dict[TimedProgram, Ran] = {}  # at most one for each place of four controls
        self.is_rested = False  # whether the controls have come to rest, so that what is modelled counts
        self.split = StackedBars("µJ an image, modelled", PARTS, (NOW, FIRST), 190)
        self.moved = MovedBars(lambda layer: self.guard(self.choose_layer)(layer))
        self.roofline = Roofline()
        compared = SideBySide(
            "Figures of one image; energy and what is moved are modelled", SHEET.compared, setting_rows, compared_in_words
        )
        super().__init__(LAB, state or State(), (self.split, self.moved, self.roofline), SHEET, compared)
        self.strip = Strip()
        self.split_view = View("Where the energy of an image goes", self.split.widget)
        self.moved_view = View("What each layer moves to and from DRAM", self.moved.widget)
        self.roofline_view = View("The layers under the roof of this machine", self.roofline.widget)
        self.network = ControlSet("Network", NETWORK, self.guard(lambda path, value: self._set("network", path, value)))
        self.chip = ControlSet("Chip", CHIP, self.guard(lambda path, value: self._set("chip", path, value)))
        views = (self.split_view, self.moved_view, self.roofline_view, self.plane_view)
        self.lay_out(self._top(), self.strip.widget, [self.network.widget, self.chip.widget], [view.widget for view in views])
        self.draw()

    def _top(self) -> ipywidgets.Widget:
        self.layer = ipywidgets.Dropdown(description="layer in view")
        self._layer_chosen = self.guard(lambda change: self.choose_layer(change["new"]))
        self.layer.observe(self._layer_chosen, names="value")
        reset = ipywidgets.Button(description="Reset", tooltip="Back to the settings this lab began with")
        reset.on_click(self.guard(lambda _: self.reset()))
        top = ipywidgets.HBox([self.layer, reset, self.copy_button])
        top.add_class("lk-top")
        return top

    @property
    def counted(self) -> Counted:
        """What the present network holds and does."""
        return blueprint.counted(self.state.network, self.state.chip.bits)

    @property
    def _first(self) -> Counted:
        return blueprint.counted(self.first.network, self.first.chip.bits)

    @property
    def timed(self) -> Ran | None:
        """What was measured of the present network's float32 program at the present batch."""
        return self.ran.get(self.state.timed_program)

    def choose_layer(self, layer: str | None) -> None:
        """Show another layer."""
        if layer and layer != self.state.layer:
            self.state = replace(self.state, layer=layer)
            self._show()
            self._write_link()
            self.notice()

    def choices(self, field: str, state: State) -> Sequence[str]:
        return [layer.name for layer in blueprint.counted(state.network).layers] if field == "layer" else ()

    def setting(self, state: State) -> str:
        return super().setting(replace(state, layer=self.first.layer))

    def moment(self) -> Moment:
        found, parts = self.counted, self.counted.energy(self.state.chip)
        total = sum(parts.values())
        figures = Figures(bytes=found.weight_bytes, macs=found.cost.effective_macs, energy_uj=total) if self.is_rested else Figures()
        intense = self._in_view(found).intensity(self.state.chip.batch)
        past = self.roof is not None and self.timed is not None and intense > self.roof.ridge
        words = _counted.setting_in_words(self.state.network, self.state.chip)
        kept, pinned = len(self.findings.history), len(self.findings.history.pinned)
        return Sight(self.state, self.setting(self.state), words, figures, kept, pinned, parts["dram"] / total, past)

    @property
    def entry(self) -> CountedEntry:
        """The present setting, as the history keeps it."""
        return entry_of(self.state, self.first, self.setting(self.state), self.timed)

    def program(self) -> str:
        return _counted_code.program(self.state.network, self.state.chip)

    def draw_controls(self) -> None:
        self.network.show(self.state.network)
        self.chip.show(self.state.chip)
        names = tuple(self.choices("layer", self.state))
        if self.layer.options != names:
            self.layer.unobserve(self._layer_chosen, names="value")  # a new list shows its first: nobody's choice
            self.layer.options, self.layer.value = names, self.state.layer
            self.layer.observe(self._layer_chosen, names="value")
        self.layer.value = self.state.layer

    def move(self, state: State) -> None:
        super().move(state.on_its_layers())

    def _set(self, which: str, path: Path, value: Any) -> None:
        self.move(replace(self.state, **{which: replace_at(getattr(self.state, which), path, value)}))

    def _draw(self) -> None:
        self.is_rested = False
        self._show()

    def _show(self) -> None:
        found = self.counted
        self._draw_energy(found)
        self._draw_moved(found)
        self._draw_roofline(found)
        self.strip.show(_counted.cells(self.state.network, self.state.chip, found, self._first, self.timed))
        self.draw_controls()

    def _draw_energy(self, found: Counted) -> None:
        now, first = found.energy(self.state.chip), self._first.energy(self.first.chip)
        before = sum(first.values())
        end = axis_end(max(sum(now.values()), before))
        self.split.show({NOW: [now[part] for part in PARTS], FIRST: [first[part] for part in PARTS]}, end)
        self.split_view.say(_counted.energy_in_words(now, before))

    def _draw_moved(self, found: Counted) -> None:
        chip = self.state.chip
        alone = found.moved(chip.replace(batch=1, buffer=0))  # the axis stays while only the reuse changes
        bars = {name: (weights / 1e3, values / 1e3) for name, (weights, values) in found.moved(chip).items()}
        self.moved.show(bars, axis_end(max(sum(each) for each in alone.values()) / 1e3), self.state.layer)
        self.moved_view.say(_counted.moved_in_words(found, chip))

    def _draw_roofline(self, found: Counted) -> None:
        batch, ran = self.state.chip.batch, self.timed
        dots = {layer.name: LayerDot(layer.intensity(batch), None if ran is None else ran.gflops[layer.name]) for layer in found.layers}
        self.roofline.show(self.roof, dots, self.state.layer)
        self.roofline_view.say(_counted.roofline_in_words(self.roof, self._in_view(found), batch, ran))

    def _in_view(self, found: Counted) -> CountedLayer:
        return next(layer for layer in found.layers if layer.name == self.state.layer)

    def _live(self, version: int, progress: Progress) -> None:
        self.if_current(version, self._rest)
        if self.roof is None:
            self.roof = self._measure_roof(progress)
            self.if_current(version, self._measured)
        with self._lock:
            key, network, batch = self.state.timed_program, self.state.network, self.state.chip.batch
        if key in self.ran:
            progress.pause(KEEP_S)
        else:
            self.ran[key] = self._run(network, batch, progress)
        self.if_current(version, self._settled)

    def _rest(self) -> None:
        self.is_rested = True
        self.rest()
        self.notice()

    def _settled(self) -> None:
        self.keep()
        self._measured()

    def _measured(self) -> None:
        self._show()
        self.notice()


def panel() -> ipywidgets.Widget:
    """Return the lab's page as a widget: the last line of the notebook's cell."""
    return shown(WhySmall)
