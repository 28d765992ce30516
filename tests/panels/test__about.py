"""About: the parts of the cards that a lab shows, escaped, and only once somebody asks."""

import pytest

from labkit.core.registry import methods
from labkit.panels._about import HEADINGS, AboutCard, about_html, card_of, card_parts, to_html
from labkit.panels.pruning_granularity import LAB


@pytest.mark.parametrize("name", [method.name for method in methods()])
def test_every_card_has_what_about_shows(name):
    parts = card_parts(card_of(name).read_text(encoding="utf-8"))
    assert all(parts[heading].strip() for heading in HEADINGS)


def test_a_lab_tells_its_own_sentences_and_each_method():
    html = about_html(LAB)
    assert html.count("<details>") == len(LAB.methods)
    assert "<h3>Where the usual account is wrong</h3>" in html
    assert "arXiv:1608.08710" in html
    assert "<th>operation</th>" in html  # a table of the channel's card
    assert "saliency of a weight   |w|" in html  # a formula keeps its columns
    assert "<!--" not in html


def test_html_in_a_card_is_shown_and_not_taken():
    html = to_html('<script>alert(1)</script> <img src="x">')
    assert "<script" not in html
    assert "<img" not in html
    assert "javascript:" not in to_html("[x](javascript:alert(1))")


def test_nothing_is_made_before_it_is_opened():
    card = AboutCard(LAB)
    assert card.body.value == ""
    card.fill()
    assert "Pitfalls" in card.body.value
