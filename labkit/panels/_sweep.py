"""The job of lab 07: one layer measured over shares of zeros, drawn as it comes, and what it says in words."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import ipywidgets

from labkit.core.progress import Progress
from labkit.crossover import BATCHES, KINDS, PATTERNS, Point, Subject, SweepConfig, crossing, sweep
from labkit.panels._controls import Control, ControlSet
from labkit.panels._job import JobBar
from labkit.panels._panel import Panel, View
from labkit.panels._sparse_figures import CrossoverPlot
from labkit.panels._strip import images

Key = tuple[str, str]  # network (empty for a layer of random weights) and layer
WHOLE = len(PATTERNS)


class SweepJob:
    """Sweeps a layer and remembers what came of it.

    Args:
        start, cancel: called when a person presses the buttons.
        changed: called with path and value when a person chooses another layer.
        measure: sweeps a layer, as `labkit.crossover.sweep` does.
    """

    def __init__(
        self,
        start: Callable[[], None],
        cancel: Callable[[], None],
        changed: Callable[[tuple[str, ...], Any], None],
        measure: Callable[[Subject, Callable[[list[Point]], None], Progress], list[Point]] = sweep,
    ) -> None:
        self._measure, self._zeros, self._shown = measure, 0.0, ("", "")
        self._drawn: tuple[Point, ...] | None = None
        self.found: dict[Key, tuple[Point, ...]] = {}
        self.bar = JobBar("Sweep", start, cancel)
        self.controls = ControlSet("", [Control(("layer",), "layer to sweep")], changed)
        self.plots = {batch: CrossoverPlot(images(batch)) for batch in BATCHES}
        halves = ipywidgets.Box([plot.widget for plot in self.plots.values()])
        halves.add_class("lk-halves")
        next(iter(self.plots.values())).widget.add_class("lk-thumbnail")
        head = ipywidgets.Box([self.controls.widget, self.bar.widget])
        head.add_class("lk-halves")
        self.view = View("From how many zeros on a layer runs faster here", ipywidgets.VBox([head, halves]), is_wide=True)

    def show(self, config: SweepConfig, key: Key, zeros: float) -> None:
        """Draw what is known of a layer.

        Args:
            config: which layer the control names.
            key: of that layer.
            zeros: share of the layer in view that is gone now.
        """
        self.controls.show(config)
        self._zeros, self._shown = zeros, key
        self._draw()

    def is_whole(self, key: Key) -> bool:
        """Whether a layer was swept to the end."""
        return len({point.zeros for point in self.found.get(key, ())}) == WHOLE

    def enable(self, enabled: bool) -> None:
        """Let people choose another layer, or not while one is being swept."""
        self.controls.enable(enabled)

    def start(self, panel: Panel, key: Key, subject: Callable[[], Subject], done: Callable[[], None]) -> None:  # type: ignore[type-arg]
        """Begin on the worker; `done` is called at the end, however it came. What was measured before Cancel is kept."""

        def found(points: list[Point]) -> None:
            self.found[key] = tuple(points)
            self._draw()

        def work(progress: Progress) -> None:
            try:
                progress.begin(f"sweeping {key[1]}")
                self._measure(subject(), panel.guard(found), progress)
            finally:
                done()

        self.bar.run()
        panel.start_job(work, panel.guard(self.bar.tick))

    def _draw(self) -> None:
        """Draw the points where they are others than before: a slider that moves only moves the line."""
        points = self.found.get(self._shown, ())
        is_new, self._drawn = points is not self._drawn, points
        for batch, plot in self.plots.items():
            if is_new:
                plot.show([point for point in points if point.batch == batch])
            plot.mark(self._zeros)
        self.view.say(in_words(points, self._shown[1]))


def in_words(points: Sequence[Point], name: str) -> str:
    """Say of each kind from how many zeros on it is faster than dense, by batch."""
    if not points:
        return f"Nothing measured yet of {name}. Dashed: the share of zeros of the layer in view. What is under the line at 1× is slower than dense."
    most = max(point.zeros for point in points)
    told = []
    for kind, words in KINDS.items():
        own = [point for point in points if point.kind == kind]
        if own:
            starts = "; ".join(f"{_start([each for each in own if each.batch == batch], most)} ({images(batch)})" for batch in BATCHES)
            told.append(f"{words} {starts}")
    laid_out = [KINDS[kind] for kind in KINDS if any(point.kind == kind != point.layout == "csr" for point in points)]
    rows = f" In a convolution {' and '.join(laid_out)} run as compressed rows." if laid_out else ""
    filled = [point.zeros for point in points if point.layout == "winograd"]
    rows += f" With up to {max(filled):.0%} zeros a group of images runs by Winograd's algorithm, zeros and all." if filled else ""
    left = "" if len({point.zeros for point in points}) == WHOLE else "Not swept to the end. "
    return (
        f"{left}{name}, one thread, each against the dense layer in torch in the same run; bars: first to third quartile. "
        f"Faster than dense from so many zeros on: {', '.join(told)}. Rings: where a kind overtakes dense. Dashed: the layer in view.{rows}"
    )


def _start(points: Iterable[Point], most: float) -> str:
    own = sorted(points, key=lambda point: point.zeros)
    starts = crossing(own)
    if starts is None:
        return f"not up to {most:.0%}"
    return f"{starts:.0%} or fewer" if starts == own[0].zeros else f"{starts:.0%}"
