"""Predict, then reveal: a guess with a slider before the measurement is shown, then both on one line."""

import html
from collections.abc import Callable
from typing import Any

import ipywidgets

from labkit.panels._lab import QUANTITIES, Guess, Moment

_HINT = "Commit yourself first: the answer teaches more when it is a surprise."
_MEASURING = "Going there and waiting until it has settled …"
_AGAIN = "You went elsewhere before it was measured. Press the button again."


class GuessCard:
    """A question, a slider, a button and, once it is measured, the answer.

    Args:
        guess: what is asked.
        show: goes to the setting and returns whether that was possible now.
        setting: that setting's name, as in `Moment.link`.
    """

    def __init__(self, guess: Guess, show: Callable[[], bool], setting: Callable[[], str]) -> None:
        self._guess, self._show, self._setting = guess, show, setting
        self._guessed: float | None = None  # while it is being measured
        self.is_revealed = False
        question = ipywidgets.HTML(f"<h3>Predict, then look</h3><p>{html.escape(guess.question)}</p>")
        percent = ".0%" if guess.quantity == "accuracy" else ".3g"
        self.slider = ipywidgets.FloatSlider(
            value=(guess.low + guess.high) / 2,
            min=guess.low,
            max=guess.high,
            step=guess.step,
            description="your guess",
            readout_format=percent,
            style={"description_width": "initial"},
        )
        self.button = ipywidgets.Button(description="Show me", tooltip="Go to this setting, measure it, and compare with your guess")
        self.result = ipywidgets.HTML()
        self.result.add_class("lk-answer")
        self.widget = ipywidgets.VBox([question, self.slider, self.button, self.result])
        self.widget.add_class("lk-guess")
        self.forget()

    def forget(self) -> None:
        """Ask again."""
        self.is_revealed, self._guessed = False, None
        self.slider.disabled = self.button.disabled = False
        self._say(_HINT)

    def reveal(self) -> None:
        """Go to the setting; the answer is drawn when it has been measured there."""
        self._guessed = self.slider.value
        self._say(_MEASURING)
        if not self._show():
            self.forget()

    def notice(self, moment: Moment) -> None:
        """Take what was measured, if it is what was asked for."""
        if self._guessed is None:
            return
        found: Any = getattr(moment.figures, self._guess.quantity)
        if moment.link != self._setting():
            self.forget()
            self._say(_AGAIN)
        elif found is not None:
            self._answer(self._guessed, float(found))

    def _answer(self, guessed: float, found: float) -> None:
        self.is_revealed, self._guessed = True, None
        self.slider.disabled = self.button.disabled = True
        self.result.value = answer_html(self._guess, guessed, found)

    def _say(self, sentence: str) -> None:
        self.result.value = f"{_line(self._guess, None, None, '')}<p>{html.escape(sentence)}</p>"


def answer_html(guess: Guess, guessed: float, found: float) -> str:
    """Return guess and measurement on one line, and in words."""
    quantity = QUANTITIES[guess.quantity]
    if guess.quantity == "accuracy":
        points = 100 * (found - guessed)
        apart = "less than a point away" if abs(points) < 1 else f"{abs(points):.0f} points {'higher' if points > 0 else 'lower'}"
    else:
        apart = f"{found / guessed:.2f} times the guess" if guessed else "away from the guess"
    words = f"You guessed {quantity.text(guessed)}. {quantity.found.capitalize()}: {quantity.text(found)}, {apart}."
    return f"{_line(guess, guessed, found, words)}<p>{html.escape(words)}</p>"


def _line(guess: Guess, guessed: float | None, found: float | None, words: str) -> str:
    """Return the number line, without marks where there is nothing to mark."""
    marks = ""
    if guessed is not None and found is not None:
        a, b = (100 * min(max((value - guess.low) / (guess.high - guess.low), 0.0), 1.0) for value in (guessed, found))
        marks = (
            f'<span class="lk-line-gap" style="left:{min(a, b):.1f}%;width:{abs(a - b):.1f}%"></span>'
            f'<span class="lk-line-guess" style="left:{a:.1f}%"></span><span class="lk-line-found" style="left:{b:.1f}%"></span>'
        )
    quantity = QUANTITIES[guess.quantity]
    text = quantity.text
    role = f'role="img" aria-label="{html.escape(words)}"' if words else 'aria-hidden="true"'
    key = f'<span class="lk-key is-guess">guess</span><span class="lk-key is-found">{quantity.found}</span>' if words else ""
    ends = f"<span>{text(guess.low)}</span>{key}<span>{text(guess.high)}</span>"
    return f'<div class="lk-line" {role}>{marks}</div><div class="lk-line-ends" aria-hidden="true">{ends}</div>'
