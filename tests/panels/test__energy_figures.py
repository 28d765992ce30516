"""The figures of lab 01: bars that add up, axes that change seldom, dots under their roof."""

import math

import pytest

from labkit.measure.roof import Roof
from labkit.panels._energy_figures import LayerDot, MovedBars, Roofline, StackedBars, axis_end


def test_parts_are_put_end_to_end():
    bars = StackedBars("x", {"a": "A", "b": "B"}, ["now", "then"])
    bars.show({"now": (1.0, 2.0), "then": (5.0, 0.5)}, 10.0)
    assert [list(bars.source.data[name]) for name in ("a from", "a to", "b from", "b to")] == [[0, 0], [1, 5], [1, 5], [3, 5.5]]
    assert bars.plot.y_range.factors == ["then", "now"]  # from the top
    assert bars.plot.x_range.end == 10.0
    assert list(bars.source.data["strength"]) == [1.0, 1.0]


def test_a_click_on_a_bar_tells_its_name():
    told = []
    bars = MovedBars(told.append)
    bars.show({"fc1": (1.0, 0.0), "fc2": (2.0, 0.0)}, 5.0, "fc2")
    assert list(bars.source.data["strength"]) == [0.45, 1.0]
    bars.source.selected.indices = [0]
    assert told == ["fc1"]


def test_without_a_roof_nothing_is_drawn_and_with_it_every_layer_is_under_it():
    figure = Roofline()
    figure.show(None, {"a": LayerDot(1.0, 3.0)}, "a")
    assert list(figure.source.data["x"]) == []
    figure.show(Roof(100.0, 20.0, 5), {"a": LayerDot(1.0, 3.0), "b": LayerDot(50.0)}, "b")
    assert list(figure.source.data["most"]) == [20.0, 100.0]
    assert figure.source.data["gflops"][0] == 3.0
    assert math.isnan(figure.source.data["gflops"][1])
    assert list(figure.roof.data["x"]) == [0.1, 5.0, 1000.0]
    assert list(figure.roof.data["y"]) == [2.0, 100.0, 100.0]


@pytest.mark.parametrize(
    ("most", "end"), [(0, 1), (0.03, 0.1), (0.15, 0.2), (1, 1), (1.2, 2), (9.5, 10), (10, 10), (174.5, 200), (501, 1000)]
)
def test_an_axis_ends_at_a_round_number(most, end):
    assert axis_end(most) == pytest.approx(end)
