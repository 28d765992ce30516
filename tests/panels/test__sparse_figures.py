"""Lab 07's figures: spread, rings only where an overtaking was seen, and axes that stay."""

import pytest

from labkit.core.records import Ratio
from labkit.crossover import Point
from labkit.execution import Spent
from labkit.panels._figures import DARK
from labkit.panels._sparse_figures import CrossoverPlot, FormatBars, TimeBars


def curve(kind: str, ratios: dict[float, float]) -> list[Point]:
    return [Point(kind, zeros, 1, 1, 1.0, Ratio(ratio, ratio * 0.9, ratio * 1.1, 5)) for zeros, ratio in ratios.items()]


def test_a_ring_is_where_a_kind_overtakes_dense_and_nowhere_else() -> None:
    plot = CrossoverPlot("one image")
    plot.show([*curve("csr", {0.75: 2.0, 0.5: 0.5}), *curve("n_m", {0.5: 2.0, 0.75: 3.0}), *curve("channel", {0.5: 0.5})])
    plot.mark(0.8)
    assert plot.sources["csr"].data["x"] == [0.5, 0.75]
    assert plot.sources["csr"].data["low"] == pytest.approx([0.45, 1.8])
    assert plot.crossings["csr"].data == {"x": [pytest.approx(0.625)], "y": [1.0]}
    assert plot.crossings["n_m"].data["x"] == []
    assert plot.crossings["channel"].data["x"] == []
    assert plot.here.location == 0.8
    plot.show([])
    assert plot.sources["csr"].data["x"] == []
    assert plot.here.location == 0.8


def test_the_axis_of_bytes_stays_while_the_layer_does() -> None:
    bars = FormatBars()
    sizes = {"dense": 4000, "bitmap": 1000, "csr": 900, "vector_sparse": 5000, "n_m": 4200}
    bars.show(sizes, 4000)
    end = bars.plot.x_range.end
    bars.show(sizes | {"dense": 1000, "csr": 1100}, 4000)
    assert bars.plot.x_range.end == end == pytest.approx(6.4)
    assert bars.source.data["strength"] == [1.0, 1.0, 0.45, 0.45, 0.45]


def test_bars_of_time_choose_a_layer_twice_and_a_theme_changes_colours_only() -> None:
    chosen: list[str] = []
    bars = TimeBars(chosen.append)
    bars.show([Spent("conv1", 1.0, 2.5), Spent("fc", 0.5, 0.7), Spent("in and out", 0.1, 0.1)], "fc")
    assert list(bars.plot.y_range.factors) == ["in and out", "fc", "conv1"]
    assert bars.plot.x_range.end == 5
    assert bars.legend.items[0].index == 1
    for n in (0, 0, 2):
        bars.source.selected.indices = [n]
    assert chosen == ["conv1", "conv1"]
    before = dict(bars.source.data)
    bars.paint(DARK)
    assert dict(bars.source.data) == before
