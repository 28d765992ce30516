"""Three sparse machines, step by step, as HTML: the matrix, the input, what is stored, and what is being multiplied."""

import html
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import ipywidgets
import numpy as np

from labkit import dataflow
from labkit.dataflow import PES, Cycle, M, Product, WalkConfig, Whole
from labkit.panels._controls import Control, ControlSet
from labkit.panels._panel import View

TITLE = "Step by step: how a machine finds its zeros"


@dataclass(frozen=True)
class Seen:
    """A machine after some steps.

    Attributes:
        matrix, x: of the example.
        done: products done so far, in order.
        now: those of the last step.
        step, steps: how many are done, and how many there are.
        cycle: the array's last one; None for the other machines and before the first.
        busy: share of the cycles of the array's elements in which they multiply, over the whole run.
    """

    matrix: Whole
    x: Whole
    done: tuple[Product, ...]
    now: tuple[Product, ...]
    step: int
    steps: int
    cycle: Cycle | None = None
    busy: float = 1.0

    @property
    def is_at_end(self) -> bool:
        return self.step == self.steps


@cache
def seen(config: WalkConfig) -> Seen:
    """Return the machine of a config after its steps."""
    matrix, x = dataflow.example(config.machine)
    if config.machine == "eie":
        cycles = dataflow.array_cycles(matrix, x, depth=config.queue)
        step = min(config.step, len(cycles))
        worked = [tuple(product for product in cycle.products if product is not None) for cycle in cycles]
        done = tuple(product for products in worked[:step] for product in products)
        last = cycles[step - 1] if step else None
        return Seen(matrix, x, done, worked[step - 1] if step else (), step, len(cycles), last, dataflow.busy_share(cycles))
    products = (dataflow.csr_products if config.machine == "csr" else dataflow.n_m_products)(matrix, x)
    step = min(config.step, len(products))
    return Seen(matrix, x, tuple(products[:step]), tuple(products[max(step - 1, 0) : step]), step, len(products))


class Walk:
    """The card with the machine, its steps and its picture.

    Args:
        changed: called with path and value when a person moves one of its controls.
    """

    def __init__(self, changed: Callable[[tuple[str, ...], Any], None]) -> None:
        controls = [Control(("machine",)), Control(("step",)), Control(("queue",), needed=lambda config: config.machine == "eie")]
        self.controls = ControlSet("", controls, changed)
        self.picture = ipywidgets.HTML()
        self.picture.add_class("lk-walk-holder")
        self.view = View(TITLE, ipywidgets.VBox([self.controls.widget, self.picture]), is_wide=True)

    def show(self, config: WalkConfig) -> None:
        """Draw a machine after its steps."""
        self.controls.show(config)
        found = seen(config)
        text = walk_html(config.machine, found)
        if text != self.picture.value:
            self.picture.value = text
        self.view.say(in_words(config, found))


def in_words(config: WalkConfig, found: Seen) -> str:
    """Say what the last step did."""
    if config.machine == "eie":
        return _array_in_words(config, found)
    if not found.now:
        stored = f"{found.steps} stored values stand for {found.matrix.size} weights"
        finds = (
            "a column beside each says which input it takes" if config.machine == "csr" else "two bits beside each say which of four inputs"
        )
        return f"{stored}: {finds}. Move the step slider."
    (now,) = found.now
    where = f"its column says input {now.column}" if config.machine == "csr" else f"its bits {_bits(now.column)} choose input {now.column}"
    end = " That was the last one." if found.is_at_end else ""
    return f"Step {found.step} of {found.steps}, row {now.row}: {_n(now.value)} is stored, {where}, {_n(now.value)} · {_n(now.x)} makes the row {_n(now.total)}.{end}"


def _array_in_words(config: WalkConfig, found: Seen) -> str:
    room = "queues of one input" if config.queue == 1 else f"queues of {config.queue} inputs"
    whole = f"With {room} all takes {found.steps} cycles, and the elements multiply in {found.busy:.0%} of theirs."
    if found.cycle is None:
        return f"Element k has the rows k, k + {PES}, k + {2 * PES}, and each input that is not zero goes to all of them. {whole}"
    sent = f"input {found.cycle.sent} is sent" if found.cycle.sent is not None else "no input is sent"
    why = ", since a queue is full" if found.cycle.is_held else ""
    idle = PES - len(found.now)
    return f"Cycle {found.step}: {sent}{why}; {idle} of {PES} elements have nothing to do. {whole}"


def walk_html(machine: str, found: Seen) -> str:
    """Return the picture of a machine; what it shows is said in the view's sentence too."""
    below = _queues(found) if machine == "eie" else _slots(machine, found)
    return f'<div class="lk-walk" aria-hidden="true">{_matrix(machine, found)}<div class="lk-walk-side">{below}</div></div>'


def _matrix(machine: str, found: Seen) -> str:
    done = {(each.row, each.column) for each in found.done}
    now = {(each.row, each.column) for each in found.now}
    sums = {each.row: each.total for each in found.done}
    rows = [_row("x", [_cell(_n(x), _input_class(machine, column, found)) for column, x in enumerate(found.x)], "", "is-input")]
    for row, values in enumerate(found.matrix):
        cells = []
        for column, value in enumerate(values):
            kind = "is-now" if (row, column) in now else "is-done" if (row, column) in done else "is-stored" if value else ""
            edge = " is-edge" if machine == "n_m" and column % M == 0 and column else ""
            cells.append(_cell(_n(value) if value or (row, column) in now else "·", f"{kind}{edge}"))
        name = f"PE {row % PES}" if machine == "eie" else str(row)
        rows.append(_row(name, cells, _n(sums[row]) if row in sums else "", f"is-pe-{row % PES}" if machine == "eie" else ""))
    return f'<table class="lk-walk-matrix"><tbody>{"".join(rows)}</tbody></table>'


def _input_class(machine: str, column: int, found: Seen) -> str:
    if any(each.column == column for each in found.now):
        return "is-now"
    edge = " is-edge" if machine == "n_m" and column % M == 0 and column else ""
    in_group = machine == "n_m" and any(each.column // M == column // M for each in found.now)
    return f"{'is-offered' if in_group else '' if found.x[column] else 'is-zero'}{edge}"


def _slots(machine: str, found: Seen) -> str:
    """Draw the arrays that are stored, with the slot of the last step marked."""
    slot = found.step - 1
    products = (dataflow.csr_products if machine == "csr" else dataflow.n_m_products)(found.matrix, found.x)
    index = [str(each.column) if machine == "csr" else _bits(each.column) for each in products]
    rows = [("values", [_n(each.value) for each in products]), ("columns" if machine == "csr" else "2 bits each", index)]
    out = "".join(_strip(name, values, [slot]) for name, values in rows)
    if machine == "n_m":
        return out
    pointers = np.concatenate([[0], np.cumsum(np.count_nonzero(found.matrix, axis=1))])
    row = found.now[0].row if found.now else -1
    return out + _strip("row starts", [str(n) for n in pointers], [row, row + 1] if found.now else [])


def _queues(found: Seen) -> str:
    """Draw the array: what waits in front of each element, and what it multiplies."""
    cycle, out = found.cycle, []
    for k in range(PES):
        waiting = cycle.queues[k] if cycle is not None else ()
        product = cycle.products[k] if cycle is not None else None
        chips = "".join(f"<span>x{column}</span>" for column in waiting) or "<em>empty</em>"
        does = f"{_n(product.value)} · {_n(product.x)} → row {product.row}" if product is not None else "waits"
        kind = "is-busy" if product is not None else "is-idle"
        out.append(f'<div class="lk-pe {kind} is-pe-{k}"><b>PE {k}</b><div class="lk-queue">{chips}</div><div>{does}</div></div>')
    return f'<div class="lk-pes">{"".join(out)}</div>'


def _row(name: str, cells: Sequence[str], total: str, kind: str) -> str:
    return f'<tr class="{kind}"><th>{html.escape(name)}</th>{"".join(cells)}<td class="is-sum">{total}</td></tr>'


def _cell(text: str, kind: str) -> str:
    return f'<td class="{kind.strip()}">{text}</td>'


def _strip(name: str, values: Iterable[str], marked: Sequence[int]) -> str:
    cells = "".join(f'<span class="{"is-now" if n in marked else ""}">{value}</span>' for n, value in enumerate(values))
    return f'<div class="lk-slots"><b>{name}</b><div>{cells}</div></div>'


def _bits(column: int) -> str:
    return f"{column % M:02b}"


def _n(number: Any) -> str:
    return str(int(number)).replace("-", "−")
