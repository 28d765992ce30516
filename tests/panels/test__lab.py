"""What a lab declares is checked when it is declared."""

import pytest

from labkit.panels._lab import Aim, Challenge, Guess, Lab, TryThis
from labkit.panels.pruning_granularity import LAB

GUESS = TryThis("guess", "Guess.", guess=Guess("How many?", lambda first: first))


def step(name):
    return TryThis(name, "Do it.", lambda moment: True)


@pytest.mark.parametrize(
    ("aim", "value", "fill"),
    [
        (Aim("bytes", most=100), 100, 1.0),
        (Aim("bytes", most=100), 50, 1.0),
        (Aim("bytes", most=100), 200, 0.5),
        (Aim("bytes", most=100), 100.1, 0.99),
        (Aim("accuracy", least=0.9), 0.9, 1.0),
        (Aim("accuracy", least=0.9), 0.8999, 0.99),
        (Aim("accuracy", least=0.9), 0.45, 0.5),
        (Aim("accuracy", least=0.9), 0.0, 0.0),
        (Aim("accuracy", least=0.9), None, 0.0),
    ],
)
def test_a_bar_is_full_exactly_where_the_aim_is_met(aim, value, fill):
    assert aim.fill(value) == pytest.approx(fill)
    assert (aim.fill(value) == 1.0) == (fill == 1.0)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: TryThis("Two Words", "x", lambda moment: True), "lower-case"),
        (lambda: TryThis("a", "x"), "either"),
        (lambda: TryThis("a", "x", lambda moment: True, Guess("?", lambda first: first)), "either"),
        (lambda: Guess("?", lambda first: first, quantity="beauty"), "no figure 'beauty'"),
        (lambda: Aim("beauty", most=1), "no figure 'beauty'"),
        (lambda: Aim("bytes"), "either"),
        (lambda: Aim("bytes", most=1, least=1), "either"),
        (lambda: Lab("01_x", "?", (step("a"), GUESS), Challenge("", ())), "three to five"),
        (lambda: Lab("01_x", "?", (step("a"), step("a"), GUESS), Challenge("", ())), "three to five"),
        (lambda: Lab("01_x", "?", (step("a"), step("b"), step("c")), Challenge("", ())), "one step with a guess"),
    ],
)
def test_what_does_not_fit_is_refused(make, words):
    with pytest.raises(ValueError, match=words):
        make()


def test_a_lab_knows_its_guess():
    assert LAB.guess is next(step.guess for step in LAB.steps if step.id == "guess")
