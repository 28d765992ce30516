"""The steps to try, as a list that ticks itself; what is ticked stays ticked, and nothing moves when it does."""

import html
from collections.abc import Set

import ipywidgets

from labkit.panels._lab import TryThis


class StepsCard:
    """An ordered list of steps; its button sends the message `start-over`.

    Args:
        steps: in order.
    """

    def __init__(self, steps: tuple[TryThis, ...]) -> None:
        self._steps = steps
        self.widget = ipywidgets.HTML()
        self.widget.add_class("lk-steps")
        self.show(frozenset())

    def show(self, done: Set[str]) -> None:
        """Draw the list with the steps of these ids ticked."""
        text = steps_html(self._steps, done)
        if text != self.widget.value:
            self.widget.value = text


def steps_html(steps: tuple[TryThis, ...], done: Set[str]) -> str:
    """Return the list, every text escaped."""
    count = sum(step.id in done for step in steps)
    idle = "" if count else ' disabled=""'
    head = f'<div class="lk-card-head"><h2>Try this</h2><span class="lk-count">{count} of {len(steps)} done</span>'
    button = f'<button type="button" class="lk-button is-small" data-lk-do="start-over"{idle}>Start over</button></div>'
    return f"{head}{button}<ol>{''.join(_step_html(n, step, step.id in done) for n, step in enumerate(steps, 1))}</ol>"


def _step_html(number: int, step: TryThis, is_done: bool) -> str:
    kind, mark, spoken = ("is-done", "✓", "Done: ") if is_done else ("", str(number), "")
    told = f'<span class="lk-spoken">{spoken}</span>' if spoken else ""
    text = html.escape(step.text)
    return f'<li class="{kind}"><span class="lk-tick" aria-hidden="true">{mark}</span><span>{told}{text}</span></li>'
