"""The figures of lab 01: energy by part, bytes moved by layer, and the roofline of this machine."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from bokeh.models import ColumnDataSource, Legend, LegendItem, Range1d, TapTool

from labkit.measure.energy import roofline
from labkit.measure.roof import Roof
from labkit.panels._figures import MOVES, Figure, Palette

PARTS = {"compute": "arithmetic", "on_chip": "on-chip memory", "dram": "DRAM"}
NOW, FIRST = "now", "at first"
LEAST_INTENSITY, MOST_INTENSITY = 0.1, 1000.0
LEAST_GFLOPS, MOST_GFLOPS = 0.1, 1000.0


class StackedBars(Figure):
    """Horizontal bars of parts that add up, with the legend above them.

    Args:
        x: axis label, with its unit.
        parts: name of a part → what the legend calls it.
        rows: names of the bars, from the top.
        height: pixels.
    """

    def __init__(self, x: str, parts: Mapping[str, str], rows: Sequence[str], height: int = 220) -> None:
        super().__init__(x, "", Range1d(0, 1), list(rows)[::-1], height)
        self._parts = list(parts)
        self.source = ColumnDataSource(self._columns({row: [0.0] * len(parts) for row in rows}, ""))
        self.bars = [
            self.plot.hbar(
                y="row",
                left=f"{part} from",
                right=f"{part} to",
                height=0.72,
                fill_alpha="strength",
                line_color=None,
                source=self.source,
                level=MOVES,
            )
            for part in parts
        ]
        for bar in self.bars:
            bar.nonselection_glyph = bar.selection_glyph = None
        items = [LegendItem(label=label, renderers=[bar]) for label, bar in zip(parts.values(), self.bars, strict=True)]
        self.legend = Legend(items=items, orientation="horizontal", location="left", padding=0, spacing=12, margin=4, level=MOVES)
        self.legend.background_fill_alpha, self.legend.border_line_color = 0.0, None
        self.plot.add_layout(self.legend, "above")

    def show(self, rows: Mapping[str, Sequence[float]], end: float, chosen: str = "") -> None:
        """Draw the parts of each row.

        Args:
            rows: name → its parts, in order.
            end: of the axis; it should stay while rows are to be compared.
            chosen: the row in full colour; all of them if empty.
        """
        with self.widget.together():
            if list(self.plot.y_range.factors) != list(rows)[::-1]:
                self.plot.y_range.factors = list(rows)[::-1]
            if self.plot.x_range.end != end:
                self.plot.x_range.end = end
            self.source.data = self._columns(rows, chosen)
            _in_full_colour(self.legend, list(rows), chosen)

    def colour(self, palette: Palette) -> None:
        for bar, colour in zip(self.bars, (palette.series[4], palette.series[2], palette.warn), strict=False):
            bar.glyph.fill_color = colour
        self.legend.label_text_color = palette.text
        self.legend.label_text_font_size = "12px"

    def _columns(self, rows: Mapping[str, Sequence[float]], chosen: str) -> dict[str, list[str] | list[float]]:
        columns: dict[str, list[str] | list[float]] = {
            "row": list(rows),
            "strength": [1.0 if row == chosen or not chosen else 0.45 for row in rows],
        }
        reached = [0.0] * len(rows)
        for n, part in enumerate(self._parts):
            columns[f"{part} from"] = reached
            reached = [start + values[n] for start, values in zip(reached, rows.values(), strict=True)]
            columns[f"{part} to"] = reached
        return columns


class MovedBars(StackedBars):
    """Bytes between chip and DRAM, by layer; a click on a bar chooses the layer.

    Args:
        chosen: called with the name of the layer that a person clicked.
    """

    def __init__(self, chosen: Callable[[str], None]) -> None:
        super().__init__("kB an image, modelled", {"weights": "weights", "activations": "activations"}, ["–"], 260)
        self._chosen = chosen
        self.plot.add_tools(TapTool(renderers=self.bars))
        self.source.selected.on_change("indices", self._tapped)

    def colour(self, palette: Palette) -> None:
        super().colour(palette)
        self.bars[0].glyph.fill_color, self.bars[1].glyph.fill_color = palette.warn, palette.series[5]

    def _tapped(self, _attr: str, _old: Sequence[int], new: Sequence[int]) -> None:
        if new:
            self._chosen(list(self.source.data["row"])[new[0]])


@dataclass(frozen=True)
class LayerDot:
    """A layer in the roofline: operations a byte, and 10⁹ operations a second where that was measured."""

    intensity: float
    gflops: float | None = None


class Roofline(Figure):
    """Operations a second against operations a byte: the measured roof, what it permits each layer, what each layer reached."""

    def __init__(self) -> None:
        x, y = (LEAST_INTENSITY, MOST_INTENSITY), (LEAST_GFLOPS, MOST_GFLOPS)
        super().__init__("operations a byte", "10⁹ operations a second", Range1d(*x), Range1d(*y), 300, log="xy")
        self.roof = ColumnDataSource({"x": [], "y": []})
        self.source = ColumnDataSource({"x": [], "most": [], "gflops": [], "size": [], "strength": []})
        self._line = self.plot.line("x", "y", source=self.roof, line_width=2.5)
        self._most = self.plot.scatter("x", "most", source=self.source, size="size", fill_color=None, line_width=1.5, level=MOVES)
        self._found = self.plot.scatter("x", "gflops", source=self.source, size="size", line_color=None, fill_alpha="strength", level=MOVES)
        names = (("roof", self._line), ("most for a layer", self._most), ("reached", self._found))
        items = [LegendItem(label=label, renderers=[glyph]) for label, glyph in names]
        self.legend = Legend(items=items, orientation="horizontal", location="left", padding=0, spacing=10, margin=4, level=MOVES)
        self.legend.background_fill_alpha, self.legend.border_line_color = 0.0, None
        self.plot.add_layout(self.legend, "above")

    def show(self, roof: Roof | None, dots: Mapping[str, LayerDot], chosen: str) -> None:
        """Draw what is known; without a roof nothing is.

        Args:
            roof: of this machine, once measured.
            dots: by layer.
            chosen: the layer that is drawn larger.
        """
        with self.widget.together():
            if roof is None:
                return
            peak, width = roof.peak_gflops, roof.bandwidth_gbps
            self.roof.data = {"x": [LEAST_INTENSITY, roof.ridge, MOST_INTENSITY], "y": [LEAST_INTENSITY * width, peak, peak]}
            self.source.data = {
                "x": [dot.intensity for dot in dots.values()],
                "most": [roofline(dot.intensity, peak, width) for dot in dots.values()],
                "gflops": [float("nan") if dot.gflops is None else dot.gflops for dot in dots.values()],
                "size": [14.0 if layer == chosen else 8.0 for layer in dots],
                "strength": [1.0 if layer == chosen else 0.45 for layer in dots],
            }
            _in_full_colour(self.legend, list(dots), chosen)

    def colour(self, palette: Palette) -> None:
        self._line.glyph.line_color = palette.text
        self._most.glyph.line_color = palette.faint
        self._found.glyph.fill_color = palette.accent
        self.legend.label_text_color = palette.text
        self.legend.label_text_font_size = "12px"


def _in_full_colour(legend: Legend, names: list[str], chosen: str) -> None:
    """Let the legend look like what is chosen, not like the first of the names, which may be paler."""
    index = names.index(chosen) if chosen in names else 0
    for item in legend.items:
        if item.index != index:
            item.index = index


def axis_end(most: float) -> float:
    """Return the next of 1, 2, 5, 10, … above `most`, so that an axis changes seldom; 1 for nothing."""
    if most <= 0:
        return 1.0
    decade = 10.0 ** (len(f"{int(most)}") - 1) if most >= 1 else 0.1
    return next(decade * step for step in (1, 2, 5, 10) if most <= decade * step)
