"""The bar of a long job: how far it is, its rate, the time left, and a Cancel button that keeps what was done."""

import html
import time
from collections.abc import Callable

import ipywidgets

from labkit.core.progress import Tick

_PERIOD_S = 0.1  # between two draws


class JobBar:
    """A start button, and while the job runs its progress and Cancel.

    Args:
        label: of the start button.
        start, cancel: called when a person presses the buttons.
    """

    def __init__(self, label: str, start: Callable[[], None], cancel: Callable[[], None]) -> None:
        self.start = ipywidgets.Button(description=label, button_style="primary")
        self.cancel = ipywidgets.Button(description="Cancel", tooltip="Stop here and keep what was done so far")
        self.start.on_click(lambda _: start())
        self.cancel.on_click(lambda _: cancel())
        self._text = ipywidgets.HTML()
        self.widget = ipywidgets.VBox([ipywidgets.HBox([self.start, self.cancel]), self._text])
        self.widget.add_class("lk-job")
        self._drawn = 0.0
        self.rest("")

    def rest(self, hint: str) -> None:
        """Show that nothing runs; `hint` says what the job would do and how long it takes."""
        self.start.disabled, self.cancel.disabled = False, True
        self._text.value = f'<div class="lk-progress" aria-hidden="true"><span style="width:0"></span></div><p>{html.escape(hint)}</p>'

    def run(self) -> None:
        """Show that the job has begun."""
        self.start.disabled, self.cancel.disabled = True, False
        self._drawn = 0.0

    def tick(self, tick: Tick) -> None:
        """Draw a report of the running job, at most ten times a second."""
        now = time.perf_counter()
        if now - self._drawn < _PERIOD_S and tick.done < tick.total:
            return
        self._drawn = now
        share = tick.done / tick.total
        left = "" if tick.seconds_left is None else f" · {tick.seconds_left:.0f} s left"
        figures = "".join(f" · {name} {value:.3g}" for name, value in tick.figures.items() if name != "epoch")
        rate = f" · {tick.done / tick.seconds:.1f} steps/s" if tick.seconds > 0 else ""
        bar = f'<progress class="lk-progress" max="1" value="{share:.4f}" aria-label="{html.escape(tick.what)}"></progress>'
        self._text.value = f"{bar}<p>{html.escape(tick.what)}: {share:.0%}{rate}{left}{figures}</p>"
