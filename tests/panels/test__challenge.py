"""The challenge's card: full bars where aims are met, only settled figures, everything escaped."""

from labkit.panels._challenge import ChallengeCard, challenge_html
from labkit.panels._kept import Attempt, Kept
from labkit.panels._lab import Figures
from labkit.panels.pruning_granularity import LAB

GOAL = LAB.challenge
MET, SHORT = Figures(0.91, 62_000), Figures(0.45, 62_000)


def test_a_bar_is_as_long_as_its_aim_is_met():
    html = challenge_html(GOAL, SHORT, Kept(), True)
    assert html.count('aria-valuenow="100"') == 1
    assert 'aria-valuenow="50"' in html
    assert "accuracy: 45 %, at least 90 %" in html
    assert "size on disk: 62 kB, at most 64 kB" in html
    assert "Met." not in html


def test_what_is_met_is_said():
    assert "Met." in challenge_html(GOAL, MET, Kept(), True)
    assert "Met before" in challenge_html(GOAL, SHORT, Kept(is_met=True), True)
    assert "Met" not in challenge_html(GOAL, MET, Kept(), False)


def test_a_drag_sends_one_message():
    card, sent = ChallengeCard(GOAL), []
    card.show(SHORT, Kept())
    card.widget.observe(sent.append, names="value")
    for _ in range(60):
        card.show(Figures(), Kept())
    assert len(sent) == 1
    assert "is-waiting" in card.widget.value
    assert "45 %" in card.widget.value  # of the last settled setting, paler
    card.show(MET, Kept())
    assert "is-waiting" not in card.widget.value


def test_attempts_can_be_gone_back_to_and_are_escaped():
    kept = Kept().with_attempt(Attempt(MET, "<script>", "x=1"), GOAL).with_attempt(Attempt(SHORT, "y", "y=1"), GOAL)
    html = challenge_html(GOAL, MET, kept, True)
    assert html.count('data-lk-do="attempt"') == 2
    assert 'data-lk-value="1"' in html
    assert "<script>" not in html
    assert html.count("met: ") == 1
