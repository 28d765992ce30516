"""Two settings side by side: what differs, each class with its interval, and the test images on which they disagree."""

import html
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import anywidget
import ipywidgets
import numpy as np
import traitlets

from labkit.core.params import Config
from labkit.core.recipe import Recipe
from labkit.core.records import Difference
from labkit.measure.accuracy import difference
from labkit.panels import _strip
from labkit.panels._classes import class_rows, classes_html, signed
from labkit.panels._history import LETTERS, Entry, settings
from labkit.panels._panel import View
from labkit.workbench import Workbench

KINDS = ("right → wrong", "wrong → right", "wrong → other wrong")
PICTURES = 24  # on a page
HINT = "Pin two rows of the history to see what differs between them: their settings, each class, and the images they disagree on."


@dataclass(frozen=True)
class Flips:
    """The test images of one kind of disagreement, in the order of the test set.

    Attributes:
        index: int (k,), their positions in the test set.
        first, second: int (k,), the classes that the two networks give; -1 for none.
    """

    index: np.ndarray
    first: np.ndarray
    second: np.ndarray


def flips(first: Entry, second: Entry, labels: np.ndarray) -> tuple[Flips, ...]:
    """Return the images whose prediction differs, by the kinds in `KINDS`.

    Args:
        first: one of the two entries.
        second: the other one, measured over the same images.
        labels: int (n,), of the whole test set.
    """
    index, one = _predictions(first)
    _, other = _predictions(second)
    order = np.argsort(index)
    index, one, other = index[order], one[order], other[order]
    truth, differ = labels[index], one != other
    kinds = (differ & (one == truth), differ & (other == truth), differ & (one != truth) & (other != truth))
    return tuple(Flips(index[kind], one[kind], other[kind]) for kind in kinds)


def _predictions(entry: Entry) -> tuple[np.ndarray, np.ndarray]:
    index, predictions = entry.accuracy.index, entry.accuracy.predictions
    if index is None or predictions is None:
        raise TypeError("an entry of the history must come with its predictions")
    return index.numpy(), predictions.numpy().astype(np.int64)


class FlipPictures(anywidget.AnyWidget):
    """Pages of small test images with what each of the two networks says of them."""

    _esm = Path(__file__).parent / "_static" / "flips.js"
    kinds: traitlets.List[Any] = traitlets.List([]).tag(sync=True)
    kind = traitlets.Int(0).tag(sync=True)
    page = traitlets.Int(0).tag(sync=True)
    pages = traitlets.Int(0).tag(sync=True)
    words: traitlets.List[Any] = traitlets.List([]).tag(sync=True)
    pixels = traitlets.Bytes(b"").tag(sync=True)
    wide = traitlets.Int(0).tag(sync=True)
    high = traitlets.Int(0).tag(sync=True)
    version = traitlets.Int(0).tag(sync=True)

    def show(self, found: Sequence[Flips], images: Any, classes: Sequence[str]) -> None:
        """Show the first page of the first kind that has any.

        Args:
            found: by the kinds in `KINDS`.
            images: the test set, `labkit.data.images.Images`.
            classes: names of the labels.
        """
        self._found, self._images, self._classes = found, images, classes
        self.turn(next((n for n, each in enumerate(found) if len(each.index)), 0), 0)

    def turn(self, kind: int, page: int) -> None:
        """Show a page of one kind; a page that is not there becomes the nearest that is."""
        kind = min(max(kind, 0), len(self._found) - 1)
        found = self._found[kind]
        pages = -(-len(found.index) // PICTURES)
        page = min(max(page, 0), max(pages - 1, 0))
        here = slice(page * PICTURES, (page + 1) * PICTURES)
        pixels = self._images.pixels.numpy()[found.index[here], 0]  # (b, h, w)
        truth = self._images.labels.numpy()[found.index[here]]
        with self.hold_sync():
            self.kinds = [[name, len(each.index)] for name, each in zip(KINDS, self._found, strict=True)]
            self.kind, self.page, self.pages = kind, page, pages
            self.high, self.wide = self._images.pixels.shape[2:]
            self.words = [[self._name(n) for n in three] for three in zip(truth, found.first[here], found.second[here], strict=True)]
            self.pixels = pixels.tobytes()
            self.version += 1

    def _name(self, label: int) -> str:
        return self._classes[label] if label >= 0 else "nothing"


class Comparison:
    """The card that compares the two pinned entries; empty but for a hint while there are fewer.

    Args:
        guard: makes a callback safe.
    """

    def __init__(self, guard: Any) -> None:
        self._guard = guard
        self._body = ipywidgets.VBox()
        self._body.add_class("lk-compare")
        self.view = View("The two that are pinned, compared", self._body)
        self.view.widget.add_class("is-wide")
        self.view.say(HINT)
        self._tables: ipywidgets.HTML | None = None
        self.pictures: FlipPictures | None = None
        self._shown: tuple[Entry, ...] = ()

    def show(self, pinned: tuple[Entry, ...], benches: tuple[Workbench, ...]) -> None:
        """Compare two entries, if these two are not on show already.

        Args:
            pinned: none, one or two entries.
            benches: of their networks, in the same order.
        """
        if pinned == self._shown:
            return
        same = [(each.key, each.reached) for each in pinned] == [(each.key, each.reached) for each in self._shown]
        self._shown = pinned
        if len(pinned) < 2:
            self._body.children = []
            self.view.say(HINT if not pinned else f"A is {pinned[0].label}. Pin another row to compare it with.")
            return
        first, second = pinned
        if benches[0].card.data != benches[1].card.data:
            self._body.children = []
            self.view.say("A and B are of different data sets, so that there are no images to compare them on: pin two of one data set.")
            return
        self._fill(first, second, benches[0], with_pictures=not same)

    def _fill(self, first: Entry, second: Entry, bench: Workbench, *, with_pictures: bool) -> None:
        if self._tables is None or self.pictures is None:
            self._tables, self.pictures = ipywidgets.HTML(), FlipPictures()
            self.pictures.on_msg(self._guard(self._turned))
        whole = difference(first.accuracy, second.accuracy, bench.splits.test.labels)
        found = flips(first, second, bench.splits.test.labels.numpy())
        self._tables.value = (
            f'<div class="lk-compare-tables">{figures_html(first, second)}{classes_html(class_rows(first, second, bench))}</div>'
        )
        if with_pictures:  # a latency that arrives must not turn the page back
            self.pictures.show(found, bench.splits.test, bench.splits.classes)
        self._body.children = [self._tables, self.pictures]
        self.view.say(in_words(whole, found))

    def _turned(self, _widget: object, content: dict[str, Any], _buffers: object) -> None:
        if self.pictures is not None:
            self.pictures.turn(int(content["kind"]), int(content["page"]))


def in_words(whole: Difference, found: Sequence[Flips]) -> str:
    """Say what the comparison comes to."""
    counts = ", ".join(f"{len(each.index):,} {name}" for name, each in zip(KINDS, found, strict=True))
    sure = "which the test images cannot tell from none" if whole.low <= 0 <= whole.high else "which is more than chance"
    points = f"{signed(whole.share)} points (95 % interval {signed(whole.low)} to {signed(whole.high)})"
    return f"From A to B the accuracy changes by {points}, {sure}. Of {whole.n:,} images, {counts}."


def figures_html(first: Entry, second: Entry) -> str:
    """Return what differs in settings, and the strip's figures, side by side."""
    rows = [(name, a, b) for name, a, b in [*setting_rows(first.recipe, second.recipe), *figure_rows(first, second)]]
    body = "".join(f'<tr><th scope="row">{_e(name)}</th><td>{_e(a)}</td><td>{_e(b)}</td></tr>' for name, a, b in rows)
    head = "".join(
        f'<th scope="col"><b class="lk-letter">{letter}</b> {_e(entry.label)}</th>'
        for letter, entry in zip(LETTERS, (first, second), strict=True)
    )
    return f'<table class="lk-figures"><caption>Settings that differ, and figures</caption><thead><tr><td></td>{head}</tr></thead><tbody>{body}</tbody></table>'


def setting_rows(first: Recipe, second: Recipe) -> list[tuple[str, str, str]]:
    """Return (setting, in the first, in the second) of every setting in which two recipes differ."""
    rows = [("network", first.network, second.network), ("seed", str(first.seed), str(second.seed))]
    for n in range(max(len(first.steps), len(second.steps))):
        one, other = (recipe.steps[n] if n < len(recipe.steps) else None for recipe in (first, second))
        rows.append((f"step {n + 1}", one.method if one else "–", other.method if other else "–"))
        rows.append(("layers", one.layers if one else "–", other.layers if other else "–"))
        said = [_said(step.config) if step else {} for step in (one, other)]
        rows += [(name, said[0].get(name, "–"), said[1].get(name, "–")) for name in said[0] | said[1]]
    return [row for row in rows if row[1] != row[2]]


def _said(config: Config) -> dict[str, str]:
    """Return each setting of a config in words, by its name in words."""
    out = {}
    for path, text in settings(config).items():
        name = path[-1].replace("_", " ")
        out[name] = text.removeprefix(f"{name} ")
    return out


def figure_rows(first: Entry, second: Entry) -> list[tuple[str, str, str]]:
    """Return (figure, of the first, of the second) for the strip's five figures and the share of zeros."""

    def figures(entry: Entry) -> dict[str, str]:
        found, timing = entry.accuracy, entry.timing
        late = "not measured" if timing is None else f"{timing.latency.median_ms:.2f} ms, {timing.ratio:.1f}× as fast as dense"
        return {
            "accuracy": f"{found.share:.2%} ± {50 * (found.high - found.low):.2f}",
            "zeros": f"{entry.zeros:.1%}",
            "size on disk": _strip.kilobytes(entry.size),
            "MACs": f"{_strip.millions(entry.cost.effective_macs)} of {_strip.millions(entry.cost.macs)}",
            "latency here": late,
            "energy, modelled": f"{entry.energy_uj:.1f} µJ",
        }

    one, other = figures(first), figures(second)
    return [(name, one[name], other[name]) for name in one]


def _e(text: str) -> str:
    return html.escape(text)
