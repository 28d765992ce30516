"""What leads a learner through a lab: steps, guess, challenge and About, and what the browser remembers of them."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any, Protocol

import ipywidgets

from labkit.panels._about import AboutCard
from labkit.panels._challenge import ChallengeCard
from labkit.panels._guess import GuessCard
from labkit.panels._kept import Attempt, Kept, from_json, to_json
from labkit.panels._lab import Figures, Lab, Moment
from labkit.panels._page import Page
from labkit.panels._steps import StepsCard


class Ways(Protocol):
    """Where a guide can take the panel."""

    def go(self, state: Any) -> bool:
        """Go to a state, unless a job holds the panel."""

    def follow(self, link: str) -> None:
        """Go where a link leads."""

    def setting(self, state: Any) -> str:
        """Name what is measured at a state, as `Moment.link` does."""

    @property
    def first(self) -> Any:
        """The state that the lab began with."""


class Guide:
    """The cards of a lab that are not about its figures.

    Args:
        lab: what it declares.
        page: brings clicks and what the browser remembers, and is told what to remember.
        ways: where the cards can lead.
        guard: put around every callback.
    """

    def __init__(self, lab: Lab, page: Page, ways: Ways, guard: Callable[[Callable[..., None]], Callable[..., None]]) -> None:
        self._lab, self._page, self._ways = lab, page, ways
        self.kept = Kept()
        self._moment = Moment(None)
        self.steps, self.challenge, self.about = StepsCard(lab.steps), ChallengeCard(lab.challenge), AboutCard(lab)
        self.guess = GuessCard(lab.guess, lambda: ways.go(self._asked), lambda: ways.setting(self._asked))
        self.guess.button.on_click(guard(lambda _: self.guess.reveal()))
        steps = ipywidgets.VBox([self.steps.widget, self.guess.widget])
        for card in (steps, self.challenge.widget, self.about.widget):
            card.add_class("lk-card")
        self.widget = ipywidgets.VBox([steps, self.challenge.widget])
        self.widget.add_class("lk-guide")
        page.listen("kept", guard(self._remembered))
        page.listen("start-over", guard(lambda _: self.start_over()))
        page.listen("attempt", guard(self._back_to))
        page.listen("about", guard(lambda _: self.about.fill()))

    @property
    def _asked(self) -> Any:
        return self._lab.guess.at(self._ways.first)

    def notice(self, moment: Moment) -> None:
        """Look at what is on the page: tick what was done, reveal what was guessed, keep what was reached."""
        self._moment = moment
        self.guess.notice(moment)
        kept = self.kept
        new = [step for step in self._lab.steps if step.id not in kept.steps and self._is_done(step.id, moment)]
        kept = replace(kept, steps=kept.steps | {step.id for step in new})
        if moment.figures.is_settled and moment.link:  # an empty link is the state that everybody begins with
            kept = kept.with_attempt(Attempt(moment.figures, moment.words, moment.link), self._lab.challenge)
        self._keep(kept)
        self._draw()
        if new:
            self._page.said = " ".join(f"Step done: {step.text}" for step in new)

    def _is_done(self, step_id: str, moment: Moment) -> bool:
        step = next(step for step in self._lab.steps if step.id == step_id)
        return step.done(moment) if step.done is not None else self.guess.is_revealed

    def start_over(self) -> None:
        """Forget which steps were done; the best attempts stay."""
        self.guess.forget()
        self._keep(replace(self.kept, steps=frozenset()))
        self._draw()

    def _keep(self, kept: Kept) -> None:
        if kept != self.kept:
            self.kept = kept
            self._page.kept = to_json(kept, self._lab)

    def _remembered(self, text: str) -> None:
        self._keep(self.kept.merged(from_json(text, self._lab), self._lab.challenge))
        self._draw()

    def _draw(self) -> None:
        self.steps.show(self.kept.steps)
        self.challenge.show(self._moment.figures if self._moment.state is not None else Figures(), self.kept)

    def _back_to(self, place: str) -> None:
        attempts = {str(n): attempt for n, attempt in enumerate(self.kept.best)}
        if place in attempts:
            self._ways.follow(attempts[place].link)
