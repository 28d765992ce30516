"""A guess is compared with what was measured at its own setting, and nothing is told before."""

import pytest

from labkit.panels._guess import GuessCard, answer_html
from labkit.panels._lab import Figures, Guess, Moment

GUESS = Guess("How many <are> right?", lambda first: "there")


def card(can_go=True):
    went = []

    def show():
        went.append(1)
        return can_go

    return GuessCard(GUESS, show, lambda: "sparsity=0.5"), went


def moment(link, accuracy=None):
    return Moment(None, link, figures=Figures(accuracy))


def test_the_answer_comes_when_that_setting_has_settled():
    it, went = card()
    it.notice(moment("sparsity=0.5", 0.222))  # measured before anybody guessed: not told
    assert "22.2" not in it.result.value
    it.slider.value = 0.8
    it.reveal()
    assert went == [1]
    it.notice(moment("sparsity=0.5"))
    assert not it.is_revealed
    assert "settled" in it.result.value
    it.notice(moment("sparsity=0.5", 0.222))
    assert it.is_revealed
    assert "You guessed 80 %. Measured: 22.2 %, 58 points lower." in it.result.value
    assert it.slider.disabled


def test_going_elsewhere_meanwhile_asks_again():
    it, _ = card()
    it.reveal()
    it.notice(moment("sparsity=0.6", 0.9))
    assert not it.is_revealed
    assert "went elsewhere" in it.result.value
    assert "90" not in it.result.value
    assert not it.slider.disabled


def test_while_a_job_runs_nothing_is_asked():
    it, _ = card(can_go=False)
    it.reveal()
    it.notice(moment("sparsity=0.5", 0.222))
    assert not it.is_revealed


def test_start_over_asks_again():
    it, _ = card()
    it.reveal()
    it.notice(moment("sparsity=0.5", 0.222))
    it.forget()
    assert not it.is_revealed
    assert not it.slider.disabled
    assert "22.2" not in it.result.value


@pytest.mark.parametrize(
    ("guessed", "found", "words"),
    [(0.5, 0.505, "less than a point away"), (0.2, 0.8, "60 points higher"), (0.8, 0.2, "60 points lower")],
)
def test_the_difference_is_said(guessed, found, words):
    assert words in answer_html(GUESS, guessed, found)


def test_other_figures_than_shares_are_compared_as_a_ratio():
    speed = Guess("How fast?", lambda first: first, quantity="speed", low=0.0, high=10.0)
    html = answer_html(speed, 4.0, 2.0)
    assert "0.50 times the guess" in html
    assert "left:40.0%" in html
    assert "left:20.0%" in html


def test_the_question_is_escaped():
    it, _ = card()
    assert "&lt;are&gt;" in it.widget.children[0].value
