"""The score strip: what a configuration is worth, always in the same five cells and the same order."""

import html
from dataclasses import dataclass

import ipywidgets

from labkit.core.records import Accuracy, Cost, Latency


@dataclass(frozen=True)
class Cell:
    """One figure of the strip.

    Attributes:
        name: what it is.
        value: the figure with its unit.
        detail: how it compares, in a few words.
        is_settled: False while it is being refined or is left over from another configuration.
        title: the whole figure, for a tooltip.
    """

    name: str
    value: str
    detail: str = ""
    is_settled: bool = True
    title: str = ""


class Strip:
    """The five cells as one widget."""

    def __init__(self) -> None:
        self.widget = ipywidgets.HTML()
        self.widget.add_class("lk-strip-holder")

    def show(self, cells: tuple[Cell, ...]) -> None:
        """Draw the cells, if they differ from what is shown."""
        text = strip_html(cells)
        if text != self.widget.value:
            self.widget.value = text


def strip_html(cells: tuple[Cell, ...]) -> str:
    """Return the strip as a description list, every text escaped."""
    return f'<dl class="lk-strip" aria-live="polite">{"".join(map(_cell_html, cells))}</dl>'


def _cell_html(cell: Cell) -> str:
    kind = "lk-score" if cell.is_settled else "lk-score is-refining"
    name, value, detail, title = (html.escape(text) for text in (cell.name, cell.value, cell.detail, cell.title))
    return f'<div class="{kind}" title="{title}"><dt>{name}</dt><dd class="lk-value">{value}</dd><dd class="lk-detail">{detail}</dd></div>'


def accuracy_cell(found: Accuracy | None, dense: float, total: int, unsettled: Accuracy | None = None) -> Cell:
    """Accuracy with its 95 % interval and its difference to the dense network, in points.

    Args:
        found: so far; None before the first estimate.
        dense: share of the dense network.
        total: images of the whole test set.
        unsettled: accuracy before batch norm was measured anew, where that was done.
    """
    if found is None:
        return Cell("accuracy", "…", f"dense {dense:.1%}", is_settled=False)
    half = 50 * (found.high - found.low)
    points = 100 * (found.share - dense)
    seen = f"all {total:,} images" if found.n == total else f"{found.n:,} of {total:,} images"
    title = f"{found.correct:,} of {found.n:,} correct; 95 % interval {found.low:.2%} to {found.high:.2%}; dense {dense:.2%}"
    before = f"\u00a0· {unsettled.share:.0%} before new batch norm" if unsettled is not None else ""
    return Cell("accuracy", f"{found.share:.1%} ± {half:.1f}", f"{_signed(points)} points · {seen}{before}", found.n == total, title)


def bytes_cell(size: int, dense: int, excuse: str) -> Cell:
    """Bytes of the file that *Save model* writes; `excuse` says why where it is not smaller than the dense one."""
    detail = f"{dense / size:.1f}× smaller than {kilobytes(dense)}" if size < dense * 0.99 else excuse
    return Cell("size on disk", kilobytes(size), detail, title=f"{size:,} bytes in the packed file; dense {dense:,}")


def macs_cell(cost: Cost, dense: Cost) -> Cell:
    """Multiply-accumulates an image: what a dense engine computes, and those whose weight is not zero."""
    title = f"{cost.macs:,} MACs, {cost.effective_macs:,} with a weight that is not zero; dense {dense.macs:,}"
    of = f"{millions(dense.macs)} dense"
    if cost.effective_macs < cost.macs:
        left = "" if cost.macs == dense.macs else f"{millions(cost.macs)} in what is left, "
        of = f"with a weight that is not zero; {left}{of}"
    return Cell("MACs per image", millions(cost.effective_macs), of, title=title)


def latency_cell(found: Latency | None, ratio: float | None, excuse: str, *, is_current: bool) -> Cell:
    """Time of a batch on this machine, and how many times faster than the dense network."""
    if found is None:
        return Cell("latency here", "…", "measured once the accuracy has settled", is_settled=False)
    title = f"median of {found.runs} runs, quartiles {found.low_ms:.2f} to {found.high_ms:.2f} ms, {found.threads} thread"
    if not is_current:
        return Cell("latency here", f"{found.median_ms:.1f} ms", "of the setting before; not measured yet", False, title)
    speed = "" if ratio is None else (f"{ratio:.1f}× faster than dense" if ratio > 1.05 else excuse)
    return Cell("latency here", f"{found.median_ms:.1f} ms", f"{speed} · {images(found.batch)}", title=title)


def energy_cell(parts: dict[str, float], dense: float) -> Cell:
    """Modelled energy of one inference, and which part of it dominates."""
    total = sum(parts.values())
    largest = max(parts, key=lambda name: parts[name])
    words = {"compute": "arithmetic", "on_chip": "on-chip memory", "dram": "DRAM"}
    split = ", ".join(f"{words[name]} {value:.1f}" for name, value in parts.items())
    detail = f"modelled · {parts[largest] / total:.0%} {words[largest]}" if total else "modelled"
    return Cell("energy per image", f"{total:.0f} µJ", detail, title=f"modelled, microjoules: {split}; dense {dense:.1f}")


def kilobytes(size: int) -> str:
    """Return a size in units of 1,000 bytes."""
    return f"{size / 1e6:.2f} MB" if size >= 1e6 else f"{size / 1e3:.1f} kB"


def millions(count: int) -> str:
    """Return a count in millions."""
    return f"{count / 1e6:.2f} M"


def images(count: int) -> str:
    """Return a number of images in words."""
    return "one image" if count == 1 else f"{count} images"


def _signed(points: float) -> str:
    return f"{'+' if points >= 0 else '−'}{abs(points):.1f}"
