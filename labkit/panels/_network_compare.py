"""Two networks side by side: what differs, each class with its interval, and the test images on which they disagree."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import anywidget
import numpy as np
import traitlets

from labkit.core.records import Difference
from labkit.measure.accuracy import difference
from labkit.panels._classes import class_rows, classes_html, signed
from labkit.panels._compare import Comparison, figure_rows, rows_html
from labkit.panels._network_entry import SHEET, NetworkEntry
from labkit.panels._recipe_words import setting_rows
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


def flips(first: NetworkEntry, second: NetworkEntry, labels: np.ndarray) -> tuple[Flips, ...]:
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


def _predictions(entry: NetworkEntry) -> tuple[np.ndarray, np.ndarray]:
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


class NetworkComparison(Comparison[NetworkEntry]):
    """The card that compares the two pinned networks.

    Args:
        guard: makes a callback safe.
        bench_of: gives the workbench of a network by name.
    """

    def __init__(self, guard: Any, bench_of: Callable[[str], Workbench]) -> None:
        super().__init__(HINT)
        self._guard, self._bench_of = guard, bench_of
        self.pictures: FlipPictures | None = None

    def fill(self, first: NetworkEntry, second: NetworkEntry, before: tuple[NetworkEntry, ...]) -> None:
        bench, other = (self._bench_of(entry.recipe.network) for entry in (first, second))
        if bench.card.data != other.card.data:
            self.leave("A and B are of different data sets, so that there are no images to compare them on: pin two of one data set.")
            return
        if self.pictures is None:
            self.pictures = FlipPictures()
            self.pictures.on_msg(self._guard(self._turned))
        whole = difference(first.accuracy, second.accuracy, bench.splits.test.labels)
        found = flips(first, second, bench.splits.test.labels.numpy())
        if [(each.key, each.reached) for each in before] != [(each.key, each.reached) for each in (first, second)]:
            self.pictures.show(found, bench.splits.test, bench.splits.classes)  # a latency that arrives must not turn the page back
        tables = figures_html(first, second) + classes_html(class_rows(first, second, bench))
        self.show_tables(tables, in_words(whole, found), self.pictures)

    def _turned(self, _widget: object, content: dict[str, Any], _buffers: object) -> None:
        if self.pictures is not None:
            self.pictures.turn(int(content["kind"]), int(content["page"]))


def in_words(whole: Difference, found: Sequence[Flips]) -> str:
    """Say what the comparison comes to."""
    counts = ", ".join(f"{len(each.index):,} {name}" for name, each in zip(KINDS, found, strict=True))
    sure = "which the test images cannot tell from none" if whole.low <= 0 <= whole.high else "which is more than chance"
    points = f"{signed(whole.share)} points (95 % interval {signed(whole.low)} to {signed(whole.high)})"
    return f"From A to B the accuracy changes by {points}, {sure}. Of {whole.n:,} images, {counts}."


def figures_html(first: NetworkEntry, second: NetworkEntry) -> str:
    """Return what differs in settings, and the strip's figures, side by side."""
    rows = [*setting_rows(first.recipe, second.recipe), *figure_rows(first, second, SHEET.compared)]
    return rows_html("Settings that differ, and figures", (first.label, second.label), rows)
