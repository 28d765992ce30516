"""The challenge: a bar for each constraint that fills as it is met, and the best attempts, which can be gone back to."""

import html

import ipywidgets

from labkit.panels._kept import Attempt, Kept, is_met
from labkit.panels._lab import QUANTITIES, Aim, Challenge, Figures

_WAITING = "Only what has settled counts."


class ChallengeCard:
    """Bars and best attempts; a click on one sends the message `attempt` with its place in the list.

    Args:
        challenge: what to reach.
    """

    def __init__(self, challenge: Challenge) -> None:
        self._challenge = challenge
        self._figures = Figures()
        self.widget = ipywidgets.HTML()
        self.widget.add_class("lk-challenge")
        self.show(Figures(), Kept())

    def show(self, figures: Figures, kept: Kept) -> None:
        """Draw the bars of these figures; while they are not settled the last ones stay, paler, so that a drag sends nothing."""
        is_settled = figures.is_settled
        self._figures = figures if is_settled else self._figures
        text = challenge_html(self._challenge, self._figures, kept, is_settled)
        if text != self.widget.value:
            self.widget.value = text


def challenge_html(challenge: Challenge, figures: Figures, kept: Kept, is_settled: bool) -> str:
    """Return the card, every text escaped."""
    bars = "".join(_bar(aim, getattr(figures, aim.quantity)) for aim in challenge.aims)
    if is_settled and is_met(figures, challenge):
        verdict, kind = "Met. Can you do better on either side?", "is-met"
    else:
        verdict, kind = ("Met before; not by this setting." if kept.is_met and is_settled else _WAITING), ""
    rows = "".join(_attempt(n, each, challenge) for n, each in enumerate(kept.best))
    best = f"<ol>{rows}</ol>" if rows else "<p>Your best five will be kept here, in this browser.</p>"
    return (
        f'<div class="lk-card-head"><h2>Challenge</h2></div><p>{html.escape(challenge.text)}</p>'
        f'<div class="lk-aims{"" if is_settled else " is-waiting"}">{bars}</div><p class="lk-verdict {kind}">{verdict}</p>'
        f'<h3>Best attempts</h3><div class="lk-attempts">{best}</div>'
    )


def _bar(aim: Aim, value: float | None) -> str:
    quantity, share = QUANTITIES[aim.quantity], aim.fill(value)
    now = "…" if value is None else quantity.text(value)
    goal = f"{'at most' if aim.most is not None else 'at least'} {quantity.text(aim.bound)}"
    mark = ' <span class="lk-met">✓</span>' if share == 1.0 else ""
    name = html.escape(f"{quantity.label}: {now}, {goal}")
    return (
        f'<div class="lk-aim{" is-met" if share == 1.0 else ""}"><div class="lk-aim-words"><span>{quantity.label}, {goal}</span>'
        f'<span class="lk-now">{now}{mark}</span></div><div class="lk-gauge" role="progressbar" aria-valuemin="0" aria-valuemax="100" '
        f'aria-valuenow="{100 * share:.0f}" aria-label="{name}"><span style="width:{100 * share:.0f}%"></span></div></div>'
    )


def _attempt(place: int, attempt: Attempt, challenge: Challenge) -> str:
    figures = [
        QUANTITIES[aim.quantity].text(value) for aim in challenge.aims if (value := getattr(attempt.figures, aim.quantity)) is not None
    ]
    mark = (
        '<span class="lk-met" aria-hidden="true">✓</span><span class="lk-spoken">met: </span>' if is_met(attempt.figures, challenge) else ""
    )
    words = f"<b>{html.escape(' · '.join(figures))}</b><span>{html.escape(attempt.label)}</span>"
    return f'<li><button type="button" data-lk-do="attempt" data-lk-value="{place}" title="Go back to it">{mark}{words}</button></li>'
