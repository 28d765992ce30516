"""Two networks class by class: accuracy of both, and the difference on the same images with its interval."""

import html
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from labkit.core.records import Accuracy, Difference
from labkit.measure.accuracy import difference, per_class
from labkit.panels._network_entry import NetworkEntry
from labkit.workbench import Workbench


@dataclass(frozen=True)
class ClassRow:
    """One class of the data set.

    Attributes:
        name: of the class.
        first, second: accuracy of the two networks on its test images.
        difference: second less first, on the same images.
    """

    name: str
    first: Accuracy
    second: Accuracy
    difference: Difference


def class_rows(first: NetworkEntry, second: NetworkEntry, bench: Workbench) -> list[ClassRow]:
    """Compare two entries class by class, over the same test images."""
    labels, classes = bench.splits.test.labels, bench.splits.classes
    one, other = per_class(first.accuracy, labels), per_class(second.accuracy, labels)
    return [
        ClassRow(classes[n], one[n], other[n], difference(_within(first.accuracy, labels, n), _within(second.accuracy, labels, n), labels))
        for n in sorted(one)
    ]


def _within(accuracy: Accuracy, labels: Any, label: int) -> Accuracy:
    """Return the accuracy's predictions on the images of one class; only those, its counts are not of them."""
    if accuracy.index is None or accuracy.predictions is None:
        raise TypeError("an entry of the history must come with its predictions")
    is_there = labels[accuracy.index] == label
    return replace(accuracy, index=accuracy.index[is_there], predictions=accuracy.predictions[is_there])


def classes_html(rows: Sequence[ClassRow]) -> str:
    """Return a table of the classes: accuracy of both, and the difference as a bar with its interval, in points."""
    reach = max([0.01, *(max(abs(row.difference.low), abs(row.difference.high)) for row in rows)])
    body = "".join(
        f'<tr><th scope="row">{html.escape(row.name)}</th><td>{row.first.share:.1%}</td><td>{row.second.share:.1%}</td>'
        f"<td>{signed(row.difference.share)} <small>({signed(row.difference.low)} to {signed(row.difference.high)})</small></td>"
        f'<td class="lk-difference-cell" aria-hidden="true">{_bar(row.difference, reach)}</td></tr>'
        for row in rows
    )
    return (
        '<table class="lk-classes"><caption>Accuracy on each class; difference in points with its 95 % interval</caption>'
        '<thead><tr><th scope="col">class</th><th scope="col">A</th><th scope="col">B</th><th scope="col">B less A</th>'
        f'<td></td></tr></thead><tbody>{body}</tbody></table>'
    )  # fmt: skip


def _bar(found: Difference, reach: float) -> str:
    """Return the difference as a bar from the middle, with a line over its interval; all in percent of the cell."""

    def place(value: float) -> float:
        return 50 + 50 * value / reach

    low, high = sorted((place(0), place(found.share)))
    kind = "is-up" if found.share >= 0 else "is-down"
    bar = f'<span class="lk-difference-bar {kind}" style="left:{low:.1f}%;width:{high - low:.1f}%"></span>'
    line = (
        f'<span class="lk-difference-line" style="left:{place(found.low):.1f}%;width:{place(found.high) - place(found.low):.1f}%"></span>'
    )
    return f'<div class="lk-difference">{bar}{line}</div>'


def signed(share: float) -> str:
    """Return a share in points, with its sign."""
    points = round(100 * share, 1)
    return f"{'+' if points > 0 else '−' if points < 0 else '±'}{abs(points):.1f}"
