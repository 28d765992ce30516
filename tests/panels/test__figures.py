"""What follows a slider is painted apart from axes, grid and labels."""

import pytest
from bokeh.models import GlyphRenderer, Legend

from labkit.panels._energy_figures import MovedBars, Roofline, StackedBars
from labkit.panels._figures import MOVES, Histogram, LayerBars
from labkit.panels._sparse_figures import CrossoverPlot, FormatBars

FIGURES = {
    "histogram": Histogram,
    "layers": lambda: LayerBars(lambda _: None),
    "energy": lambda: StackedBars("x", {"a": "one"}, ["now"]),
    "moved": lambda: MovedBars(lambda _: None),
    "roofline": Roofline,
    "formats": FormatBars,
    "crossover": lambda: CrossoverPlot("1 image"),
}


@pytest.mark.parametrize("name", FIGURES)
def test_a_legend_is_painted_with_its_glyphs(name: str) -> None:
    plot = FIGURES[name]().plot
    for legend in plot.select(Legend):
        levels = {glyph.level for item in legend.items for glyph in item.renderers}
        assert legend.level == MOVES or MOVES not in levels, "it would be painted before its glyphs have colours"


@pytest.mark.parametrize("name", FIGURES)
def test_something_moves_and_axes_and_grid_do_not(name: str) -> None:
    plot = FIGURES[name]().plot
    assert MOVES in {each.level for each in [*plot.select(GlyphRenderer), *plot.center]}
    assert MOVES not in {each.level for each in [*plot.axis, *plot.grid]}
