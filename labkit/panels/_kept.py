"""What the browser remembers of a lab: which steps were done and the best attempts at its challenge. Read as hostile."""

import json
import math
from dataclasses import dataclass, replace
from typing import Any

from labkit.panels._lab import Challenge, Figures, Lab

MOST_ATTEMPTS = 5
_LONGEST_LABEL, _LONGEST_LINK = 120, 2000
_KINDS = {"accuracy": float, "bytes": int, "macs": int, "speed": float, "energy_uj": float}


@dataclass(frozen=True)
class Attempt:
    """A configuration that was measured for the challenge.

    Attributes:
        figures: what all test images and the clock said.
        label: what it is, in words.
        link: brings it back.
    """

    figures: Figures
    label: str
    link: str


@dataclass(frozen=True)
class Kept:
    """What is remembered.

    Attributes:
        steps: ids of those that were done.
        best: attempts, best first.
        is_met: whether the challenge was ever met.
    """

    steps: frozenset[str] = frozenset()
    best: tuple[Attempt, ...] = ()
    is_met: bool = False

    def with_attempt(self, attempt: Attempt, challenge: Challenge) -> "Kept":
        """Return this with one more attempt among the best, if it is one; measured again, it takes its own place."""
        others = [each for each in self.best if each.link != attempt.link]
        best = sorted([*others, attempt], key=lambda each: rank(each.figures, challenge), reverse=True)
        return replace(self, best=tuple(best[:MOST_ATTEMPTS]), is_met=self.is_met or is_met(attempt.figures, challenge))

    def merged(self, other: "Kept", challenge: Challenge) -> "Kept":
        """Return what either remembers."""
        found = Kept(self.steps | other.steps, other.best, self.is_met or other.is_met)
        for attempt in self.best:
            found = found.with_attempt(attempt, challenge)
        return found


def is_met(figures: Figures, challenge: Challenge) -> bool:
    """Whether figures meet every aim."""
    return all(aim.fill(getattr(figures, aim.quantity)) == 1.0 for aim in challenge.aims)


def rank(figures: Figures, challenge: Challenge) -> tuple[float, ...]:
    """Return what attempts are sorted by: how many aims are met, how far the bars are filled, accuracy."""
    fills = [aim.fill(getattr(figures, aim.quantity)) for aim in challenge.aims]
    return (sum(fill == 1.0 for fill in fills), sum(fills), figures.accuracy or 0.0)


def to_json(kept: Kept, lab: Lab) -> str:
    """Return what the browser stores."""
    steps = [step.id for step in lab.steps if step.id in kept.steps]
    best = [
        {name: value for name in _KINDS if (value := getattr(each.figures, name)) is not None} | {"label": each.label, "hash": each.link}
        for each in kept.best
    ]
    return json.dumps({"steps": steps, "total": len(lab.steps), "best": best, "met": kept.is_met})


def from_json(text: str, lab: Lab) -> Kept:
    """Return what the browser remembers, as far as it makes sense; whoever wrote it may be hostile."""
    try:
        plain = json.loads(text)
    except (ValueError, RecursionError):
        return Kept()
    if not isinstance(plain, dict):
        return Kept()
    done, best = plain.get("steps"), plain.get("best")
    ids = {step.id for step in lab.steps}
    kept = Kept(frozenset(each for each in done if isinstance(each, str) and each in ids) if isinstance(done, list) else frozenset())
    attempts = [_attempt(each) for each in best[:MOST_ATTEMPTS]] if isinstance(best, list) else []
    for attempt in attempts:
        kept = kept if attempt is None else kept.with_attempt(attempt, lab.challenge)
    return kept


def _attempt(plain: Any) -> Attempt | None:
    if not isinstance(plain, dict):
        return None
    label, link = plain.get("label"), plain.get("hash")
    figures = {name: kind(plain[name]) for name, kind in _KINDS.items() if _is_figure(plain.get(name))}
    if not isinstance(label, str) or not isinstance(link, str) or len(link) > _LONGEST_LINK:
        return None
    if not figures or any(name in plain and name not in figures for name in _KINDS):
        return None
    return Attempt(Figures(**figures), label[:_LONGEST_LABEL], link)


def _is_figure(value: Any) -> bool:
    """Whether a value is a finite number that a figure can be; JSON may hold NaN, and numbers of any length."""
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < 1e15 and math.isfinite(value)
