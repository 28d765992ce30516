"""The plane of every setting that has settled: one figure against a cost to choose, with their Pareto front."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bokeh.models import ColumnDataSource, FixedTicker, NumeralTickFormatter, Range1d, TapTool, Whisker

from labkit.panels._figures import LIGHT, MARKERS, Figure, Palette

FLOORS = (0.8, 0.5, 0.0)  # where the axis of a share may begin upwards: few, so that it seldom moves
TOLD = 2  # settings that a sentence names


@dataclass(frozen=True)
class Axis:
    """A figure that the plane draws.

    Attributes:
        label: of the axis, with its unit.
        text: writes a figure with its unit.
        is_log: whether equal distances are equal ratios; if not, it is a share.
        is_gain: whether more of it is better.
        better: what a setting that is better by it is called.
    """

    label: str
    text: Callable[[float], str]
    is_log: bool
    is_gain: bool
    better: str

    def place(self, value: float) -> float:
        """Return where on the axis a figure is."""
        return math.log10(max(value, 1e-9)) if self.is_log else value

    def loss(self, value: float) -> float:
        """Return a figure so that less of it is better."""
        return -value if self.is_gain else value


@dataclass(frozen=True)
class Dot:
    """A setting in the plane.

    Attributes:
        key: what a click on it chooses.
        label: what it is, in words.
        series: the curve that it belongs to.
        y: the figure that is drawn upwards.
        costs: by the name of the axis; None where not measured.
    """

    key: str
    label: str
    series: str
    y: float
    costs: Mapping[str, float | None]


def front(points: Sequence[tuple[float, float]]) -> list[int]:
    """Return which points no other point beats: none costs no more and is at least as good, one of the two better.

    Args:
        points: (cost, gain); of a cost less is better, of a gain more.

    Returns:
        Their positions by rising cost. Points that are equal in both stand or fall together.
    """
    order = sorted(range(len(points)), key=lambda n: (points[n][0], -points[n][1]))
    best, held = -math.inf, None
    out = []
    for n in order:
        cost, gain = points[n]
        if gain > best or (gain == best and cost == held):
            out.append(n)
            best, held = gain, cost
    return out


def stairs(points: Sequence[tuple[float, float]], end: float) -> tuple[list[float], list[float]]:
    """Return x and y of the line of the best y that can be had, through points by worsening x, up to `end`."""
    x: list[float] = []
    y: list[float] = []
    for here, best in points:
        x += [here, here] if x else [here]
        y += [y[-1], best] if y else [best]
    return ([*x, end], [*y, y[-1]]) if x else ([], [])


def ticks(low: float, high: float) -> list[float]:
    """Return the values 1, 2 and 5 times a power of ten within [low, high], both above 0."""
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    values = [digit * 10.0**power for power in powers for digit in (1, 2, 5)]
    return [value for value in values if low * 0.999 <= value <= high * 1.001]


class Plane(Figure):
    """One figure against a cost: a dot for each setting that settled, the present one ringed, what they began with, the front.

    Args:
        chosen: called with the key of a dot that a person clicked.
        axes: the costs, by the name that a person chooses one by.
        up: what is drawn upwards.
        interval: what the bar through the ring is, in words; without them there is none.
        whole: what the legend calls that from which all settings were made; empty where there is no such thing.
    """

    def __init__(self, chosen: Callable[[str], None], axes: Mapping[str, Axis], up: Axis, interval: str = "", whole: str = "") -> None:
        super().__init__("", up.label, Range1d(0, 1), Range1d(0, 1), height=240)
        self.axes, self.up, self._interval = axes, up, interval
        self.axis = next(iter(axes))
        self.past = ColumnDataSource({name: [] for name in ("x", "y", "marker", "colour", "series", "alpha", "edge", "key")})
        self.now = ColumnDataSource({name: [] for name in ("x", "y", "low", "high")})
        self.line, self.dense, self.pinned = (ColumnDataSource({name: [] for name in ("x", "y", "text")}) for _ in range(3))
        self._line = self.plot.line("x", "y", source=self.line, line_width=1.5, line_alpha=0.8)
        legend = {"legend_label": whole} if whole else {}
        self._dense = self.plot.scatter("x", "y", marker="star", size=15, source=self.dense, line_color=None, **legend)
        self._past = self.plot.scatter(
            "x", "y", marker="marker", fill_color="colour", fill_alpha="alpha", line_color="edge", size=10, source=self.past, legend_field="series"
        )  # fmt: skip
        self._past.nonselection_glyph = self._past.selection_glyph = None
        self._now = self.plot.scatter("x", "y", marker="circle", size=18, source=self.now, fill_color=None, line_width=2.5)
        self._bar = Whisker(base="x", lower="low", upper="high", source=self.now, line_width=2, visible=bool(interval))
        self._pins = self.plot.text(
            "x", "y", "text", source=self.pinned, x_offset=8, y_offset=-4, text_font_size="13px", text_font_style="bold"
        )
        self.plot.add_layout(self._bar)
        if not up.is_log:
            self.plot.yaxis.formatter = NumeralTickFormatter(format="0%")
        self._dress()
        self.plot.add_tools(TapTool(renderers=[self._past]))
        self.past.selected.on_change("indices", self._tapped)
        self._chosen, self._palette = chosen, LIGHT
        self._names: list[str] = []  # of the series, in the order in which they came: each keeps its colour
        self._dots: tuple[Dot, ...] = ()
        self._whole: Dot | None = None
        self._letters: dict[str, str] = {}
        self._front: set[int] = set()

    def _dress(self) -> None:
        legend = self.plot.legend[0]
        legend.orientation, legend.padding, legend.margin = "horizontal", 0, 0
        legend.background_fill_alpha, legend.border_line_color = 0, None
        self.plot.add_layout(legend, "above")

    @property
    def on_front(self) -> list[Dot]:
        """The settings on the front, cheapest first; what they were made from, which competes as well, is not among them."""
        dots = self._shown()
        cheapest = sorted((n for n in self._front if n < len(dots)), key=lambda n: dots[n].costs[self.axis] or 0.0)
        return [dots[n] for n in (reversed(cheapest) if self.axes[self.axis].is_gain else cheapest)]

    def choose(self, axis: str) -> None:
        """Draw against another cost."""
        self.axis = axis
        self.leave()
        self._draw()

    def leave(self) -> None:
        """Ring nothing."""
        self.now.data = {"x": [], "y": [], "low": [], "high": []}

    def show_now(self, costs: Mapping[str, float | None], y: float, low: float, high: float) -> None:
        """Draw the present setting at its cost with its interval; nothing where that cost is not measured yet."""
        cost = costs[self.axis]
        some = [] if cost is None else [self.axes[self.axis].place(cost)]
        high, y, low = (self.up.place(each) for each in (high, y, low))
        self.now.data = {"x": some, "y": [y] * len(some), "low": [low] * len(some), "high": [high] * len(some)}

    def show_past(self, dots: Sequence[Dot], whole: Dot | None, letters: dict[str, str]) -> None:
        """Draw what has settled.

        Args:
            dots: the settings.
            whole: that from which they were made; None where there is no such thing.
            letters: of the pinned ones, by key.
        """
        self._dots, self._whole, self._letters = tuple(dots), whole, letters
        self._names += [name for name in dict.fromkeys(dot.series for dot in dots) if name not in self._names]
        self._draw()

    def mark_of(self, series: str) -> int:
        """Return the number of a series, which decides its marker and colour."""
        return self._names.index(series)

    def in_words(self) -> str:
        """Say how many settings are on the front and which, and what the marks mean."""
        if not self._dots:
            return f"Every setting that settles leaves a dot here. Ring: the present setting {self._interval}".rstrip() + "."
        axis, on_front = self.axes[self.axis], self.on_front
        told = "; ".join(f"{dot.label} ({self._figures(dot)})" for dot in on_front[::-1][:TOLD])
        more = f" and {len(on_front) - TOLD} more" if len(on_front) > TOLD else ""
        who = f"{told}{more}" if on_front else f"only {self._whole.label}" if self._whole else "nothing yet"
        s = "s" if len(self._dots) > 1 else ""
        found, ring = (" measured", f", {self._interval}") if self._interval else ("", "")
        return (
            f"{len(self._dots)} setting{s}{found}. On the front, where nothing else is both {axis.better} and {self.up.better}: {who}. "
            f"Ring: the present setting{ring}. Click a dot to go back to it."
        )

    def _figures(self, dot: Dot) -> str:
        cost = dot.costs[self.axis]
        return self.up.text(dot.y) + ("" if cost is None else f", {self.axes[self.axis].text(cost)}")

    def _shown(self) -> list[Dot]:
        return [dot for dot in self._dots if dot.costs[self.axis] is not None]

    def _draw(self) -> None:
        whole, axis, up = self._whole, self.axes[self.axis], self.up
        dots = self._shown()
        all_dots = [*dots, *([whole] if whole is not None and whole.costs[self.axis] is not None else [])]
        costs = [dot.costs[self.axis] or 0.0 for dot in all_dots]
        on_front = front([(axis.loss(cost), -up.loss(dot.y)) for cost, dot in zip(costs, all_dots, strict=True)])
        self._front = set(on_front)
        with self.widget.together():
            self._set_ranges(costs, [dot.y for dot in all_dots])
            end = self.plot.x_range.start if axis.is_gain else self.plot.x_range.end
            places = [axis.place(cost) for cost in costs]
            heights = [up.place(dot.y) for dot in all_dots]
            x, y = stairs([(places[n], heights[n]) for n in on_front], end)
            self.line.data = {"x": x, "y": y, "text": [""] * len(x)}
            spots = list(zip(places, heights, all_dots, strict=True))
            self.dense.data = _texts([(x, y, dot.series) for x, y, dot in spots[len(dots) :]])
            self.pinned.data = _texts([(x, y, self._letters[dot.key]) for x, y, dot in spots[: len(dots)] if dot.key in self._letters])
            self.past.data = {
                "x": places[: len(dots)],
                "y": heights[: len(dots)],
                "marker": [MARKERS[self.mark_of(dot.series) % len(MARKERS)] for dot in dots],
                "series": [dot.series for dot in dots],
                "alpha": [1.0 if n in self._front else 0.45 for n in range(len(dots))],
                "key": [dot.key for dot in dots],
                **self._coloured(dots),
            }

    def _set_ranges(self, costs: Sequence[float], heights: Sequence[float]) -> None:
        axis, plot = self.axes[self.axis], self.plot
        plot.xaxis.axis_label = axis.label
        if self.up.is_log:
            _set_log(plot.y_range, plot.yaxis, heights)
        else:
            plot.y_range.start = next(floor for floor in FLOORS if floor == 0 or min(heights, default=1.0) > floor + 0.02)
        if axis.is_log:
            _set_log(plot.x_range, plot.xaxis, costs)
        else:
            plot.x_range.start, plot.x_range.end = -0.03, 1.0
            plot.xaxis.ticker = FixedTicker(ticks=[0, 0.2, 0.4, 0.6, 0.8, 1])
            plot.xaxis.major_label_overrides = {n / 5: f"{n / 5:.0%}" for n in range(6)}

    def colour(self, palette: Palette) -> None:
        self._palette = palette
        self._now.glyph.line_color = self._bar.line_color = palette.warn
        self._bar.upper_head.line_color = self._bar.lower_head.line_color = palette.warn
        self._dense.glyph.fill_color = self._line.glyph.line_color = self._pins.glyph.text_color = palette.text
        self.plot.legend.label_text_color = palette.text
        self.plot.legend.label_text_font_size = "12px"
        self.past.data = dict(self.past.data) | self._coloured(self._shown())

    def _coloured(self, dots: Sequence[Dot]) -> dict[str, list[str | None]]:
        series = self._palette.series
        colours = [series[self.mark_of(dot.series) % len(series)] for dot in dots]
        return {"colour": list(colours), "edge": [self._palette.text if n in self._front else None for n in range(len(dots))]}

    def _tapped(self, _attr: str, _old: Sequence[int], new: Sequence[int]) -> None:
        if new:
            key = list(self.past.data["key"])[new[0]]
            self.past.selected.indices = []  # so that the same dot can be clicked again
            self._chosen(key)


def _set_log(over: Range1d, axis: Any, values: Sequence[float]) -> None:
    """Let an axis of logarithms reach over values above 0, a decade at least, with ticks that are written as values."""
    top = max(values, default=1.0)
    low, high = min([*values, top / 12]) / 1.15, top * 1.3
    over.start, over.end = math.log10(low), math.log10(high)
    written = ticks(low, high)
    places = [math.log10(value) for value in written]
    axis.ticker = FixedTicker(ticks=places)
    axis.major_label_overrides = {place: f"{value:,g}" for place, value in zip(places, written, strict=True)}


def _texts(points: Sequence[tuple[float, float, str]]) -> dict[str, list[float] | list[str]]:
    return {"x": [x for x, _, _ in points], "y": [y for _, y, _ in points], "text": [text for _, _, text in points]}
