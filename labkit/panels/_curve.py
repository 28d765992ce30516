"""A curve that grows while a job runs: loss against training step, with the range following what there is."""

from collections.abc import Sequence

from bokeh.models import ColumnDataSource, Range1d

from labkit.panels._figures import Figure, Palette

MOST_POINTS = 400  # that are drawn; a longer run is thinned


class CurvePlot(Figure):
    """One growing line.

    Args:
        x, y: axis labels, with units.
    """

    def __init__(self, x: str, y: str) -> None:
        super().__init__(x, y, Range1d(0, 1), Range1d(0, 1), height=160)
        self.source = ColumnDataSource({"x": [], "y": []})
        self._line = self.plot.line("x", "y", source=self.source, line_width=2)

    def show(self, points: Sequence[tuple[float, float]], total: float) -> None:
        """Draw (x, y) points; x runs to `total`, y from 0 to the largest."""
        thinned = points[:: max(1, len(points) // MOST_POINTS)]
        top = max((y for _, y in points), default=1.0)
        with self.widget.together():
            self.source.data = {"x": [x for x, _ in thinned], "y": [y for _, y in thinned]}
            if points and self.plot.x_range.end != total:
                self.plot.x_range.end = total
            if not 0.5 < top / self.plot.y_range.end <= 1.0:
                self.plot.y_range.end = top * 1.1

    def colour(self, palette: Palette) -> None:
        self._line.glyph.line_color = palette.accent
