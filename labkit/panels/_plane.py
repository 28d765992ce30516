"""The plane of everything that was measured: accuracy against a cost to choose, with its Pareto front."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from bokeh.models import ColumnDataSource, FixedTicker, NumeralTickFormatter, Range1d, TapTool, Whisker

from labkit.panels._figures import LIGHT, MARKERS, Figure, Palette

FLOORS = (0.8, 0.5, 0.0)  # where the axis of accuracies may begin: few, so that it seldom moves


@dataclass(frozen=True)
class Axis:
    """A cost that accuracy is drawn against.

    Attributes:
        label: of the axis, with its unit.
        unit: behind a figure.
        is_log: whether equal distances are equal ratios.
        is_gain: whether more of it is better.
        better: what a setting with less of the cost is called.
    """

    label: str
    unit: str
    is_log: bool
    is_gain: bool
    better: str


AXES = MappingProxyType(
    {
        "size on disk": Axis("size on disk, kB", "kB", True, False, "smaller"),
        "MACs": Axis("MACs per image with a weight not zero, millions", "M", True, False, "cheaper"),
        "latency here": Axis("latency of a batch here, ms", "ms", True, False, "faster"),
        "speed here": Axis("times as fast as dense here", "× dense", True, True, "faster"),
        "share of zeros": Axis("share of weights that are gone", "", False, True, "sparser"),
    }
)


@dataclass(frozen=True)
class Dot:
    """A network in the plane.

    Attributes:
        key: what a click on it chooses.
        label: what it is, in words.
        series: the curve that it belongs to.
        accuracy: share of test images.
        costs: by the name of the axis; None where not measured.
    """

    key: str
    label: str
    series: str
    accuracy: float
    costs: dict[str, float | None]


def front(points: Sequence[tuple[float, float]]) -> list[int]:
    """Return which points no other point beats: none costs no more and is at least as accurate, one of the two better.

    Args:
        points: (cost, accuracy); of a cost less is better.

    Returns:
        Their positions by rising cost. Points that are equal in both stand or fall together.
    """
    order = sorted(range(len(points)), key=lambda n: (points[n][0], -points[n][1]))
    best, held = -math.inf, None
    out = []
    for n in order:
        cost, accuracy = points[n]
        if accuracy > best or (accuracy == best and cost == held):
            out.append(n)
            best, held = accuracy, cost
    return out


def stairs(points: Sequence[tuple[float, float]], end: float) -> tuple[list[float], list[float]]:
    """Return x and y of the line of the best accuracy that can be had, through points by worsening x, up to `end`."""
    x: list[float] = []
    y: list[float] = []
    for here, accuracy in points:
        x += [here, here] if x else [here]
        y += [y[-1], accuracy] if y else [accuracy]
    return ([*x, end], [*y, y[-1]]) if x else ([], [])


def ticks(low: float, high: float) -> list[float]:
    """Return the values 1, 2 and 5 times a power of ten within [low, high], both above 0."""
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    values = [digit * 10.0**power for power in powers for digit in (1, 2, 5)]
    return [value for value in values if low * 0.999 <= value <= high * 1.001]


class Plane(Figure):
    """Accuracy against a cost: a dot for each setting that settled, the present one ringed, the dense network, the front.

    Args:
        chosen: called with the key of a dot that a person clicked.
    """

    def __init__(self, chosen: Callable[[str], None]) -> None:
        super().__init__("", "test accuracy", Range1d(0, 1), Range1d(0, 1), height=240)
        self.axis = next(iter(AXES))
        self.past = ColumnDataSource({name: [] for name in ("x", "y", "marker", "colour", "series", "alpha", "edge", "key")})
        self.now = ColumnDataSource({name: [] for name in ("x", "y", "low", "high")})
        self.line, self.dense, self.pinned = (ColumnDataSource({name: [] for name in ("x", "y", "text")}) for _ in range(3))
        self._line = self.plot.line("x", "y", source=self.line, line_width=1.5, line_alpha=0.8)
        self._dense = self.plot.scatter("x", "y", marker="star", size=15, source=self.dense, line_color=None, legend_label="dense")
        self._past = self.plot.scatter(
            "x", "y", marker="marker", fill_color="colour", fill_alpha="alpha", line_color="edge", size=10, source=self.past, legend_field="series"
        )  # fmt: skip
        self._past.nonselection_glyph = self._past.selection_glyph = None
        self._now = self.plot.scatter("x", "y", marker="circle", size=18, source=self.now, fill_color=None, line_width=2.5)
        self._bar = Whisker(base="x", lower="low", upper="high", source=self.now, line_width=2)
        self._pins = self.plot.text(
            "x", "y", "text", source=self.pinned, x_offset=8, y_offset=-4, text_font_size="13px", text_font_style="bold"
        )
        self.plot.add_layout(self._bar)
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
        """The settings on the front, cheapest first; the dense network, which competes as well, is not among them."""
        dots = self._shown()
        cheapest = sorted((n for n in self._front if n < len(dots)), key=lambda n: dots[n].costs[self.axis] or 0.0)
        return [dots[n] for n in (reversed(cheapest) if AXES[self.axis].is_gain else cheapest)]

    def choose(self, axis: str) -> None:
        """Draw against another cost."""
        self.axis = axis
        self.leave()
        self._draw()

    def leave(self) -> None:
        """Ring nothing."""
        self.now.data = {"x": [], "y": [], "low": [], "high": []}

    def show_now(self, costs: dict[str, float | None], y: float, low: float, high: float) -> None:
        """Draw the present setting at its cost with its interval; nothing where that cost is not measured yet."""
        cost = costs[self.axis]
        some = [] if cost is None else [self._place(cost)]
        self.now.data = {"x": some, "y": [y] * len(some), "low": [low] * len(some), "high": [high] * len(some)}

    def show_past(self, dots: Sequence[Dot], dense: Dot, letters: dict[str, str]) -> None:
        """Draw what was measured.

        Args:
            dots: the settings, of one network.
            dense: the network before any of it.
            letters: of the pinned ones, by key.
        """
        self._dots, self._whole, self._letters = tuple(dots), dense, letters
        self._names += [name for name in dict.fromkeys(dot.series for dot in dots) if name not in self._names]
        self._draw()

    def mark_of(self, series: str) -> int:
        """Return the number of a series, which decides its marker and colour."""
        return self._names.index(series)

    def _shown(self) -> list[Dot]:
        return [dot for dot in self._dots if dot.costs[self.axis] is not None]

    def _place(self, cost: float) -> float:
        return math.log10(max(cost, 1e-9)) if AXES[self.axis].is_log else cost

    def _draw(self) -> None:
        whole, axis = self._whole, AXES[self.axis]
        if whole is None:
            return
        dots = self._shown()
        all_dots = [*dots, *([whole] if whole.costs[self.axis] is not None else [])]
        costs = [dot.costs[self.axis] or 0.0 for dot in all_dots]
        on_front = front([(-cost if axis.is_gain else cost, dot.accuracy) for cost, dot in zip(costs, all_dots, strict=True)])
        self._front = set(on_front)
        with self.widget.together():
            self._set_ranges(costs, [dot.accuracy for dot in all_dots])
            end = self.plot.x_range.start if axis.is_gain else self.plot.x_range.end
            x, y = stairs([(self._place(costs[n]), all_dots[n].accuracy) for n in on_front], end)
            self.line.data = {"x": x, "y": y, "text": [""] * len(x)}
            self.dense.data = _texts([(self._place(costs[len(dots)]), whole.accuracy, "dense")] if len(all_dots) > len(dots) else [])
            places = [self._place(cost) for cost in costs[: len(dots)]]
            lettered = [(x, dot.accuracy, self._letters[dot.key]) for x, dot in zip(places, dots, strict=True) if dot.key in self._letters]
            self.pinned.data = _texts(lettered)
            self.past.data = {
                "x": places,
                "y": [dot.accuracy for dot in dots],
                "marker": [MARKERS[self.mark_of(dot.series) % len(MARKERS)] for dot in dots],
                "series": [dot.series for dot in dots],
                "alpha": [1.0 if n in self._front else 0.45 for n in range(len(dots))],
                "key": [dot.key for dot in dots],
                **self._coloured(dots),
            }

    def _set_ranges(self, costs: Sequence[float], accuracies: Sequence[float]) -> None:
        axis = AXES[self.axis]
        self.plot.xaxis.axis_label = axis.label
        self.plot.y_range.start = next(floor for floor in FLOORS if floor == 0 or min(accuracies, default=1.0) > floor + 0.02)
        if not axis.is_log:
            self.plot.x_range.start, self.plot.x_range.end = -0.03, 1.0
            self.plot.xaxis.ticker = FixedTicker(ticks=[0, 0.2, 0.4, 0.6, 0.8, 1])
            self.plot.xaxis.major_label_overrides = {n / 5: f"{n / 5:.0%}" for n in range(6)}
            return
        top = max(costs, default=1.0)
        low, high = min([*costs, top / 12]) / 1.15, top * 1.3
        self.plot.x_range.start, self.plot.x_range.end = math.log10(low), math.log10(high)
        values = ticks(low, high)
        places = [math.log10(value) for value in values]
        self.plot.xaxis.ticker = FixedTicker(ticks=places)
        self.plot.xaxis.major_label_overrides = {place: f"{value:,g}" for place, value in zip(places, values, strict=True)}

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


def _texts(points: Sequence[tuple[float, float, str]]) -> dict[str, list[float] | list[str]]:
    return {"x": [x for x, _, _ in points], "y": [y for _, y, _ in points], "text": [text for _, _, text in points]}
