"""The job that trains the network on show: its button, progress, Cancel, and the curve of its loss."""

from collections.abc import Callable

from labkit.core.errors import Cancelled
from labkit.core.progress import Progress, Tick
from labkit.core.recipe import Recipe
from labkit.core.records import Compressed
from labkit.panels._curve import CurvePlot
from labkit.panels._job import JobBar
from labkit.panels._panel import Panel, View
from labkit.workbench import Workbench

EVERY = 5  # steps between two points of the curve


class TuningJob:
    """Trains by a recipe and remembers the result on the bench.

    Args:
        label: of the start button.
        start, cancel: called when a person presses the buttons.
    """

    def __init__(self, label: str, start: Callable[[], None], cancel: Callable[[], None]) -> None:
        self.bar, self.curve = JobBar(label, start, cancel), CurvePlot("training step", "loss")
        self.view = View(label, self.bar.widget, self.curve.widget, is_wide=True)
        self.view.say("The loss of the last job, over its training steps.")

    def start(self, panel: Panel, bench: Workbench, recipe: Recipe, done: Callable[[Compressed | None], None]) -> None:  # type: ignore[type-arg]
        """Begin; `done` is called with the network, as far as training came, or with None where it did not begin."""
        share = 0.0
        losses: list[tuple[float, float]] = []

        def listen(tick: Tick) -> None:
            nonlocal share
            self.bar.tick(tick)
            if "loss" in tick.figures:
                share = tick.done / tick.total
                losses.append((tick.done, tick.figures["loss"]))
                if len(losses) % EVERY == 1:
                    self.curve.show(losses, tick.total)

        def work(progress: Progress) -> None:
            made = None
            try:
                made = bench.compress(recipe, progress)
                bench.keep(recipe, made)
            except Cancelled as stop:
                if share > 0 and stop.partial is not None:
                    made = stop.partial
                    bench.keep(recipe, made, share)
                else:
                    panel.status.say("Cancelled before training began: the network is as it was.")
            finally:
                done(made)

        self.bar.run()
        panel.start_job(work, panel.guard(listen))
