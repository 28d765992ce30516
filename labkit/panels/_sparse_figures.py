"""The figures of lab 07: speed against zeros by kind of sparsity, bytes by format, and where the time goes."""

from collections.abc import Callable, Mapping, Sequence

from bokeh.models import ColumnDataSource, FixedTicker, Legend, LegendItem, NumeralTickFormatter, Range1d, Span, TapTool

from labkit.crossover import KINDS, Point, crossing
from labkit.execution import Spent
from labkit.panels._energy_figures import axis_end
from labkit.panels._figures import MARKERS, MOVES, Figure, Palette

SLOWEST, FASTEST = 0.25, 32.0
RATIOS = (0.25, 0.5, 1, 2, 4, 8, 16, 32)
FORMATS = {"dense": "dense", "bitmap": "bitmap", "csr": "CSR", "vector_sparse": "blocks", "n_m": "N:M"}
MOST_OF_DENSE = 1.6  # of the bytes of dense, where the axis ends
OTHERS = ("the rest", "in and out")


class CrossoverPlot(Figure):
    """How many times faster than dense each kind is, over its share of zeros; what is below the line at 1 loses.

    Args:
        batch: as the axis calls it.
    """

    def __init__(self, batch: str) -> None:
        super().__init__(f"share of zeros, {batch}", "× dense", Range1d(0.2, 1.0), Range1d(SLOWEST, FASTEST), 300, log="y")
        self.plot.xaxis.formatter = NumeralTickFormatter(format="0%")
        self.plot.yaxis.ticker = FixedTicker(ticks=list(RATIOS))
        self.plot.yaxis.major_label_overrides = {ratio: f"{ratio:g}×" for ratio in RATIOS}
        self._one = Span(location=1.0, dimension="width", line_width=1.5)
        self.here = Span(location=0.0, dimension="height", line_dash="dashed", line_width=1.5, level=MOVES)
        self.plot.add_layout(self._one)
        self.plot.add_layout(self.here)
        nothing: dict[str, list[float]] = {"x": [], "y": [], "low": [], "high": []}
        self.sources = {kind: ColumnDataSource(dict(nothing)) for kind in KINDS}
        self.crossings = {kind: ColumnDataSource({"x": [], "y": []}) for kind in KINDS}
        self._glyphs = {}
        for kind, marker in zip(KINDS, MARKERS, strict=False):
            source = self.sources[kind]
            line = self.plot.line("x", "y", source=source, line_width=2)
            spread = self.plot.segment("x", "low", "x", "high", source=source, line_width=2, line_alpha=0.5)
            dots = self.plot.scatter("x", "y", source=source, marker=marker, size=8, line_color=None)
            ring = self.plot.scatter("x", "y", source=self.crossings[kind], marker="circle", size=15, fill_color=None, line_width=2.5)
            self._glyphs[kind] = (line, spread, dots, ring)
        items = [LegendItem(label=name, renderers=list(self._glyphs[kind][::2])) for kind, name in KINDS.items()]
        self.legend = Legend(items=items, ncols=2, location="left", padding=0, spacing=8, margin=4)
        self.legend.background_fill_alpha, self.legend.border_line_color = 0.0, None
        self.plot.add_layout(self.legend, "above")

    def show(self, points: Sequence[Point]) -> None:
        """Draw a sweep, of one batch."""
        with self.widget.together():
            for kind in KINDS:
                own = sorted((point for point in points if point.kind == kind), key=lambda point: point.zeros)
                self.sources[kind].data = {
                    "x": [point.zeros for point in own],
                    "y": [point.ratio.median for point in own],
                    "low": [point.ratio.low for point in own],
                    "high": [point.ratio.high for point in own],
                }
                starts = crossing(own)
                is_seen = starts is not None and starts > own[0].zeros
                self.crossings[kind].data = {"x": [starts] if is_seen else [], "y": [1.0] if is_seen else []}

    def mark(self, zeros: float) -> None:
        """Draw the line at the share of zeros that is chosen."""
        if self.here.location != zeros:
            with self.widget.together():
                self.here.location = zeros

    def colour(self, palette: Palette) -> None:
        for (line, spread, dots, ring), colour in zip(self._glyphs.values(), palette.series, strict=False):
            line.glyph.line_color = spread.glyph.line_color = dots.glyph.fill_color = ring.glyph.line_color = colour
        self._one.line_color = palette.text
        self.here.line_color = palette.faint
        self.legend.label_text_color = palette.text
        self.legend.label_text_font_size = "12px"


class FormatBars(Figure):
    """Bytes of one layer in each format; a bar that reaches beyond the line takes more than dense."""

    def __init__(self) -> None:
        names = list(FORMATS.values())
        super().__init__("kB", "", Range1d(0, 1), names[::-1], 220)
        self.source = ColumnDataSource({"name": names, "kilobytes": [0.0] * len(names), "strength": [1.0] * len(names)})
        bars = {"y": "name", "left": 0, "right": "kilobytes", "height": 0.66, "source": self.source}
        self._bars = self.plot.hbar(**bars, line_color=None, fill_alpha="strength", level=MOVES)
        self._dense = Span(location=0.0, dimension="height", line_width=1.5, level=MOVES)
        self.plot.add_layout(self._dense)

    def show(self, sizes: Mapping[str, int], dense_bytes: int) -> None:
        """Draw the bytes by format; the smallest in full colour. The axis stays while the layer does.

        Args:
            sizes: bytes of what is left of the layer.
            dense_bytes: of the layer before any of it.
        """
        dense = dense_bytes / 1e3
        values = [min(sizes[kind] / 1e3, MOST_OF_DENSE * dense) for kind in FORMATS]
        least = min(values)
        with self.widget.together():
            self.source.data = {
                "name": list(FORMATS.values()),
                "kilobytes": values,
                "strength": [1.0 if value == least else 0.45 for value in values],
            }
            if self._dense.location != dense:
                self._dense.location = dense
                self.plot.x_range.end = MOST_OF_DENSE * dense

    def colour(self, palette: Palette) -> None:
        self._bars.glyph.fill_color = palette.accent
        self._dense.line_color = palette.text


class TimeBars(Figure):
    """Milliseconds of each layer, over those of the dense network behind them; a click on a bar chooses the layer.

    Args:
        chosen: called with the name of the layer that a person clicked.
    """

    def __init__(self, chosen: Callable[[str], None]) -> None:
        super().__init__("ms a call, measured", "", Range1d(0, 1), ["–"], 300)
        self.source = ColumnDataSource({"name": ["–"], "ms": [0.0], "dense": [0.0], "strength": [1.0]})
        common = {"y": "name", "left": 0, "source": self.source, "line_color": None}
        self._dense = self.plot.hbar(right="dense", height=0.86, **common)
        self._now = self.plot.hbar(right="ms", height=0.5, fill_alpha="strength", **common)
        for bars in (self._dense, self._now):
            bars.nonselection_glyph = bars.selection_glyph = None
        self.plot.add_tools(TapTool(renderers=[self._dense, self._now]))
        items = [LegendItem(label="dense", renderers=[self._dense]), LegendItem(label="now", renderers=[self._now])]
        self.legend = Legend(items=items, orientation="horizontal", location="left", padding=0, spacing=12, margin=4)
        self.legend.background_fill_alpha, self.legend.border_line_color = 0.0, None
        self.plot.add_layout(self.legend, "above")
        self._chosen = chosen
        self.source.selected.on_change("indices", self._tapped)

    def show(self, rows: Sequence[Spent], chosen: str) -> None:
        """Draw the layers from the top; `chosen` is the one in full colour."""
        names = [row.name for row in rows]
        end = axis_end(max((value for row in rows for value in (row.ms, row.dense_ms)), default=1.0))
        with self.widget.together():
            if list(self.plot.y_range.factors) != names[::-1]:
                self.plot.y_range.factors = names[::-1]
            if self.plot.x_range.end != end:
                self.plot.x_range.end = end
            self.source.data = {
                "name": names,
                "ms": [row.ms for row in rows],
                "dense": [row.dense_ms for row in rows],
                "strength": [1.0 if name == chosen else 0.55 for name in names],
            }
            index = names.index(chosen) if chosen in names else 0
            for item in self.legend.items:
                item.index = index

    def colour(self, palette: Palette) -> None:
        self._dense.glyph.fill_color = palette.faint
        self._dense.glyph.fill_alpha = 0.55
        self._now.glyph.fill_color = palette.accent
        self.legend.label_text_color = palette.text
        self.legend.label_text_font_size = "12px"

    def _tapped(self, _attr: str, _old: Sequence[int], new: Sequence[int]) -> None:
        if new:
            name = list(self.source.data["name"])[new[0]]
            self.source.selected.indices = []  # so that the same bar can be clicked again
            if name not in OTHERS:
                self._chosen(name)
