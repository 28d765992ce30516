"""Two settings side by side in any lab: what differs, both figures, one sentence, and nothing before there are two."""

from labkit.panels._compare import SideBySide
from labkit.panels._history import Column
from tests.panels.test__history import Plain, plain

COLUMNS = (Column[Plain]("found", lambda entry: f"<{entry.found}>"), Column[Plain]("number", lambda entry: entry.number))


def card() -> SideBySide[Plain]:
    return SideBySide(
        "Figures of <one>",
        COLUMNS,
        lambda first, second: [("number & name", str(first.number), str(second.number))],
        lambda first, second: f"From {first.number} to {second.number}.",
    )


def test_settings_and_figures_of_two_are_side_by_side_and_escaped() -> None:
    made = card()
    made.show((plain(1, "<b>one</b>", 2.5), plain(7, "seven", 3.5)))
    (tables,) = made._body.children
    text = tables.value
    assert text.count("<table") == 2
    assert '<th scope="row">number &amp; name</th><td>1</td><td>7</td>' in text
    assert '<th scope="row">found</th><td>&lt;2.5&gt;</td><td>&lt;3.5&gt;</td>' in text
    assert "<b>one</b>" not in text
    assert "Figures of &lt;one&gt;" in text
    assert "A</b> &lt;b&gt;one&lt;/b&gt;" in text
    assert "From 1 to 7." in made.view._summary.value


def test_fewer_than_two_are_a_hint() -> None:
    made = card()
    assert "Pin two rows" in made.view._summary.value
    made.show((plain(1, "one"), plain(2)))
    made.show((plain(1, "one"),))
    assert made._body.children == ()
    assert "A is one. Pin another row" in made.view._summary.value
    made.show(())
    assert "Pin two rows" in made.view._summary.value


def test_the_same_two_are_not_drawn_again() -> None:
    asked: list[str] = []
    made = SideBySide("", COLUMNS, lambda first, second: [], lambda first, second: asked.append("once") or "words")
    pair = (plain(1), plain(2))
    made.show(pair)
    made.show(pair)
    assert asked == ["once"]
