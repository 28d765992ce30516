"""The Bokeh figures that labs share: fixed ranges and heights, one message bundle a draw, colours for both themes."""

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from bokeh.core.json_encoder import serialize_json
from bokeh.models import ColumnDataSource, FixedTicker, NumeralTickFormatter, Range1d, TapTool
from bokeh.plotting import figure
from bokeh.protocol import Protocol
from jupyter_bokeh.widgets import BokehModel

MARKERS = ("circle", "square", "triangle", "diamond", "inverted_triangle", "hex")


@dataclass(frozen=True)
class Palette:
    """Colours of one theme; the series are Okabe and Ito's, which colour-blind readers can tell apart."""

    text: str
    grid: str
    faint: str
    accent: str
    warn: str
    series: tuple[str, ...]


LIGHT = Palette("#3d4654", "#e3e7ed", "#aab4c2", "#0072b2", "#d55e00", ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00"))
DARK = Palette("#c3cad5", "#2c3440", "#66717f", "#56b4e9", "#f0833a", ("#56b4e9", "#f0833a", "#2bc59b", "#e39cc4", "#c3e6fb", "#f2b632"))


class LiveModel(BokehModel):
    """A BokehModel that sends all changes of one draw together, and takes its picture when a page asks for one.

    jupyter_bokeh takes the picture that a new page gets when the model is made, so that what changed before the page was
    there is lost, and sends at least three messages for each change, though before the first picture there is nobody to
    tell.
    """

    _events: list[Any] | None = None
    _picture = ""  # the whole figure as JSON
    _is_stale = True  # whether the figure has changed since

    def update_from_model(self, model: Any) -> None:
        """Show `model`."""
        self._model, self._is_stale = model, True

    def get_state(self, key: Any = None, drop_defaults: bool = False) -> dict[str, Any]:
        """Return what a page is told when it opens, with a picture that is up to date; when the model is made, without."""
        state: dict[str, Any] = super().get_state(key, drop_defaults)
        if "render_bundle" in state and self.comm is not None:
            state["render_bundle"] = self._up_to_date()
        return state

    def _up_to_date(self) -> str:
        if self._is_stale:
            self._is_stale = False  # first: another thread may change the figure meanwhile
            self._picture = serialize_json(self._model_to_traits(self._model))
            self._model.document.on_change_dispatch_to(self)
        return self._picture

    @contextmanager
    def together(self) -> Iterator[None]:
        """Collect the changes made inside and send them as one patch."""
        events: list[Any] = []
        self._events = events
        try:
            yield
        finally:
            self._events = None
            if events:
                self._send_patch(events)

    def refresh(self) -> None:
        """Send the whole figure as it is now, unless it is as it was when it was last sent."""
        if self._is_stale:
            self.send_state("render_bundle")

    def _sync_model(self, model: Any, content: dict[str, Any], buffers: list[Any]) -> None:
        """Take what a person chose; the page also sends back, as news, every change that it was sent."""
        if content.get("kind") != "ModelChanged" or content.get("attr") == "indices":
            super()._sync_model(model, content, buffers)

    def _document_patched(self, event: Any) -> None:
        self._is_stale = True
        if event.setter is self:
            return
        if self._events is not None:
            self._events.append(event)
        else:
            self._send_patch([event])

    def _send_patch(self, events: list[Any]) -> None:
        message = Protocol().create("PATCH-DOC", events)
        for payload in (message.header_json, message.metadata_json, message.content_json):
            self.send({"msg": "patch", "payload": payload})
        for buffer in message.buffers:
            self.send({"msg": "patch", "payload": json.dumps(buffer.ref)})
            self.send({"msg": "patch"}, [buffer.to_bytes()])


MOVES = "overlay"
"""The level of whatever follows a slider: Bokeh paints it on a canvas of its own, and leaves axes, grid and labels, which take
most of the time, as they are. Glyphs there may not reach beyond the ranges, since nothing cuts them off; and a legend of such
glyphs must be there too, or it is painted before they have colours."""


class Figure:
    """A Bokeh figure with what every figure of a lab has in common.

    Args:
        x, y: axis labels, with units.
        x_range, y_range: fixed ends, or a list of names.
        height: pixels; the width follows the page.
        log: axes that are logarithmic: "", "y" or "xy".
    """

    def __init__(self, x: str, y: str, x_range: object, y_range: object, height: int = 220, *, log: str = "") -> None:
        self.plot = figure(
            **{f"{axis}_axis_type": "log" for axis in log},
            x_axis_label=x,
            y_axis_label=y,
            x_range=x_range,
            y_range=y_range,
            height=height,
            sizing_mode="stretch_width",
            tools="",
            toolbar_location=None,
            background_fill_color=None,
            border_fill_color=None,
            outline_line_color=None,
            min_border_right=12,
        )

    @cached_property
    def widget(self) -> LiveModel:
        """The figure in the page. Made when it is whole: each part that is added later has Bokeh walk all of it again."""
        widget = LiveModel(self.plot)
        widget.layout.width = "100%"
        return widget

    def paint(self, palette: Palette) -> None:
        """Give axes and grid the colours of a theme."""
        with self.widget.together():
            self._paint(palette)

    def _paint(self, palette: Palette) -> None:
        for axis in self.plot.axis:
            axis.axis_label_text_color = axis.major_label_text_color = palette.text
            axis.axis_line_color = axis.major_tick_line_color = palette.faint
            axis.minor_tick_line_color = None
            axis.axis_label_text_font_style = "normal"
            axis.axis_label_text_font_size = axis.major_label_text_font_size = "12px"
        for grid in self.plot.grid:
            grid.grid_line_color = palette.grid
        self.colour(palette)

    def colour(self, palette: Palette) -> None:
        """Give the glyphs the colours of a theme; a figure says how."""
        raise TypeError(f"{type(self).__name__} must say how its glyphs are coloured")


class Histogram(Figure):
    """Weights of a layer before (outline) and after (filled), on bins that stay while the layer stays."""

    BINS = 81

    def __init__(self) -> None:
        super().__init__("weight", "weights in a bin", Range1d(-1, 1), Range1d(0, 1))
        nothing = [0.0] * self.BINS  # lists: a few numbers cost less as text than as buffers with messages of their own
        self.source = ColumnDataSource({"left": nothing, "right": nothing, "before": nothing, "after": nothing})
        self._after = self.plot.quad(
            left="left", right="right", bottom=0, top="after", source=self.source, line_color=None, legend_label="after", level=MOVES
        )
        self._before = self.plot.quad(
            left="left", right="right", bottom=0, top="before", source=self.source, fill_color=None, legend_label="before", level=MOVES
        )
        self.plot.legend.background_fill_alpha = 0
        self.plot.legend.border_line_color = None
        self.plot.legend.level = MOVES
        self._layer = ""

    def show(self, before: np.ndarray, after: np.ndarray, layer: str) -> None:
        """Draw the weights before, and those that are kept, after; both flat float arrays.

        Args:
            before: every weight of the layer.
            after: those that are left of it.
            layer: whose they are; the bins stay while it stays.
        """
        top = float(np.abs(before).max()) or 1.0
        edges = np.linspace(-top, top, self.BINS + 1)
        kept = np.histogram(np.clip(after, -top, top), edges)[0].tolist()
        with self.widget.together():
            if self._layer == layer:
                self.source.data["after"] = kept
                return
            counts = np.histogram(before, edges)[0].tolist()
            self.plot.x_range.start, self.plot.x_range.end = -top * 1.02, top * 1.02
            self.plot.y_range.end = max(counts) * 1.08
            self.source.data = {"left": edges[:-1].tolist(), "right": edges[1:].tolist(), "before": counts, "after": kept}
            self._layer = layer

    def colour(self, palette: Palette) -> None:
        self._after.glyph.fill_color = palette.accent
        self._before.glyph.line_color = palette.faint
        self.plot.legend.label_text_color = palette.text
        self.plot.legend.label_text_font_size = "12px"


class LayerBars(Figure):
    """How much of each layer is kept; a click on a bar chooses the layer.

    Args:
        chosen: called with the name of the layer that a person clicked.
    """

    def __init__(self, chosen: Callable[[str], None]) -> None:
        super().__init__("weights kept", "", Range1d(0, 1), ["–"])
        self.source = ColumnDataSource({"layer": ["–"], "kept": [0.0], "strength": [1.0]})
        self._all = self.plot.hbar(y="layer", left=0, right=1, height=0.72, source=self.source, line_color=None)
        self._kept = self.plot.hbar(
            y="layer", left=0, right="kept", height=0.72, source=self.source, line_color=None, fill_alpha="strength", level=MOVES
        )
        for renderer in (self._all, self._kept):
            renderer.nonselection_glyph = renderer.selection_glyph = None
        self.plot.xaxis.formatter = NumeralTickFormatter(format="0%")
        self.plot.xaxis.ticker = FixedTicker(ticks=[0, 0.25, 0.5, 0.75, 1])
        self.plot.add_tools(TapTool(renderers=[self._all]))
        self._chosen = chosen
        self.source.selected.on_change("indices", self._tapped)

    def show(self, kept: dict[str, float], chosen: str) -> None:
        """Draw the share kept of each layer, by name."""
        layers = list(kept)
        with self.widget.together():
            if list(self.plot.y_range.factors) != layers[::-1]:
                self.plot.y_range.factors = layers[::-1]
            strength = [1.0 if layer == chosen else 0.45 for layer in layers]
            self.source.data = {"layer": layers, "kept": list(kept.values()), "strength": strength}

    def colour(self, palette: Palette) -> None:
        self._all.glyph.fill_color = palette.grid
        self._kept.glyph.fill_color = palette.accent

    def _tapped(self, _attr: str, _old: Sequence[int], new: Sequence[int]) -> None:
        if new:
            self._chosen(list(self.source.data["layer"])[new[0]])
