"""What a lab declares: its question, steps to try, a guess, a challenge, and what About says. Nothing here draws.

The predicates of the steps see a `Moment`; a lab is declared at the top of its panel's file, as in `pruning_granularity.py`.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Any


@dataclass(frozen=True)
class Figures:
    """What is measured of the configuration on show; None where it is not, or not to the end.

    Attributes:
        accuracy: share of all test images.
        bytes: of the file that *Save model* writes.
        macs: multiply-accumulates an image with a weight that is not zero.
        speed: how many times faster than dense, measured here.
        energy_uj: modelled microjoules an image.
    """

    accuracy: float | None = None
    bytes: int | None = None
    macs: int | None = None
    speed: float | None = None
    energy_uj: float | None = None

    @property
    def is_settled(self) -> bool:
        """Whether anything is known to the end; a lab that trains nothing has no accuracy."""
        return self != Figures()


@dataclass(frozen=True)
class Quantity:
    """How a figure of `Figures` is called and written, and whether it is measured or modelled."""

    label: str
    text: Callable[[float], str]
    found: str = "measured"


QUANTITIES = {
    "accuracy": Quantity("accuracy", lambda value: f"{100 * value:.3g} %"),
    "bytes": Quantity("size on disk", lambda value: f"{value / 1e3:.3g} kB"),
    "macs": Quantity("MACs per image", lambda value: f"{value / 1e6:.2f} M"),
    "speed": Quantity("speed", lambda value: f"{value:.2f}× dense"),
    "energy_uj": Quantity("energy per image", lambda value: f"{value:.2g} µJ" if value < 10 else f"{value:.0f} µJ", "modelled"),
}


@dataclass(frozen=True)
class Moment:
    """What the predicates of a lab's steps see.

    Attributes:
        state: the panel's.
        link: what is measured at the state, as a link; empty for the state that the lab began with.
        words: the same in words, once it is measured.
        figures: what is measured of it so far.
        settled: how many configurations have been measured to the end.
        pinned: how many of them are pinned to be compared.
    """

    state: Any
    link: str = ""
    words: str = ""
    figures: Figures = Figures()
    settled: int = 0
    pinned: int = 0


@dataclass(frozen=True)
class Guess:
    """Predict, then reveal: a figure of one setting, which the learner guesses before it is measured.

    Attributes:
        question: what is asked.
        at: makes the state that is measured from the lab's first one.
        quantity: which of `Figures`.
        low, high, step: of the slider, in the figure's own unit.
    """

    question: str
    at: Callable[[Any], Any]
    quantity: str = "accuracy"
    low: float = 0.0
    high: float = 1.0
    step: float = 0.01

    def __post_init__(self) -> None:
        _check_quantity(self.quantity)


@dataclass(frozen=True)
class TryThis:
    """One step: a text, and either what it takes to have done it or a guess, which is done once it was revealed.

    Attributes:
        id: by which the browser remembers it; lower case, digits and `_`.
        text: what to do, one or two sentences.
        done: whether it is done at a moment.
        guess: what to predict.
    """

    id: str
    text: str
    done: Callable[[Moment], bool] | None = None
    guess: Guess | None = None

    def __post_init__(self) -> None:
        if not re.fullmatch(r"[a-z][a-z0-9_]*", self.id):
            raise ValueError(f"a step's id must be lower-case letters, digits and _, got {self.id!r}")
        if (self.done is None) == (self.guess is None):
            raise ValueError(f"step {self.id!r} must have either `done` or `guess`")


@dataclass(frozen=True)
class Aim:
    """One constraint of a challenge: a figure that must be at most or at least something."""

    quantity: str
    most: float | None = None
    least: float | None = None

    def __post_init__(self) -> None:
        _check_quantity(self.quantity)
        if (self.most is None) == (self.least is None):
            raise ValueError(f"the aim for {self.quantity} must have either `most` or `least`")

    @property
    def bound(self) -> float:
        """The figure that must be reached."""
        return self.most if self.most is not None else self.least or 0.0

    def fill(self, value: float | None) -> float:
        """Return how far `value` has come, 0 to 1; 1 is met, and only what meets the aim is 1."""
        if value is None:
            return 0.0
        if (value <= self.bound) if self.most is not None else (value >= self.bound):
            return 1.0
        share = self.bound / value if self.most is not None else value / self.bound
        return min(max(share, 0.0), 0.99)


@dataclass(frozen=True)
class Challenge:
    """Constraints to meet at once by figures that have settled."""

    text: str
    aims: tuple[Aim, ...]


@dataclass(frozen=True)
class Lab:
    """A lab, as far as it is words and rules.

    Attributes:
        name: its row in docs/labs.md.
        question: what the page asks, one sentence; docs/labs.md has a shorter one.
        steps: three to five, of which one is a guess.
        challenge: what to reach.
        methods: names of the methods whose cards About shows.
        usual_account: sentences on where what is commonly said of them is wrong.
        sources: of what has no method's card.
    """

    name: str
    question: str
    steps: tuple[TryThis, ...]
    challenge: Challenge
    methods: tuple[str, ...] = ()
    usual_account: tuple[str, ...] = ()
    sources: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        ids = [step.id for step in self.steps]
        if not 3 <= len(ids) <= 5 or len(set(ids)) < len(ids):
            raise ValueError(f"{self.name} must have three to five steps with ids of their own, got {', '.join(ids) or 'none'}")
        if sum(step.guess is not None for step in self.steps) != 1:
            raise ValueError(f"{self.name} must have one step with a guess")

    @property
    def guess(self) -> Guess:
        """The one among the steps."""
        return next(step.guess for step in self.steps if step.guess is not None)


def _check_quantity(name: str) -> None:
    if name not in QUANTITIES:
        raise ValueError(f"there is no figure {name!r}: use one of {', '.join(field.name for field in fields(Figures))}")
