"""The steps as a list: what is done is told to eyes and ears, and every text is escaped."""

from labkit.panels._lab import TryThis
from labkit.panels._steps import StepsCard, steps_html

STEPS = (TryThis("a", "Do <b>this</b>.", lambda moment: True), TryThis("b", "And that.", lambda moment: True))


def test_what_is_done_is_ticked_and_spoken():
    html = steps_html(STEPS, {"b"})
    first, second = html.split("<li")[1:]
    assert "✓" not in first
    assert "✓" in second
    assert "Done: " in second
    assert "1 of 2 done" in html
    assert "<b>" not in html


def test_there_is_nothing_to_start_over_before_something_is_done():
    assert 'disabled=""' in steps_html(STEPS, set())
    assert 'disabled=""' not in steps_html(STEPS, {"a"})


def test_drawing_the_same_again_sends_nothing():
    card, sent = StepsCard(STEPS), []
    card.widget.observe(sent.append, names="value")
    card.show({"a"})
    card.show({"a"})
    assert len(sent) == 1
