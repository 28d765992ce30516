"""Three machines that multiply a sparse matrix by a vector, step by step, on an example small enough to follow.

    csr   one row after the other: for each stored value its column names the input that it is multiplied with
    n_m   two slots for each group of four inputs; the 2-bit index of a slot chooses which of the four it takes
    eie   an array of processing elements (PEs): PE k has rows k, k + P, k + 2P, … column by column; an input that is not zero
          is sent to all of them and waits in the queue of each until it has been multiplied with its column's stored values

In the array a PE does one product a cycle, an input whose column is empty in a PE takes no cycle of it, and an input is sent
only while no queue is full. So an uneven column keeps the others waiting where queues are short.

Source     Han et al. 2016, EIE, arXiv:1602.01528; for 2:4 Mishra et al. 2021, arXiv:2104.08378.
Deviation  No pipeline: what is sent in a cycle can be worked on in that cycle; weights are not coded.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from labkit.core.errors import ConfigError
from labkit.core.params import Config, param

MACHINES = ("csr", "n_m", "eie")
N, M = 2, 4
PES = 4
MOST_STEPS = 28
_MATRIX = (
    (0, 5, -5, 0, 0, 2, 0, -2, 0, 0, 0, 2),
    (2, -5, 0, -4, -1, -3, 0, 3, 0, 0, 0, -4),
    (0, 1, 0, 0, -4, -3, 0, 0, 3, 0, -1, 3),
    (0, 5, 5, -3, 0, 0, 0, -4, 0, 2, 0, 0),
    (5, 0, -3, 0, 0, 1, 0, 0, 0, 0, 0, -2),
    (0, 3, 0, -2, 2, 0, 0, 0, -4, 0, 0, 0),
    (-5, 0, 0, -2, 0, 0, 0, -1, -3, 3, 0, -4),
    (0, 0, -3, -2, 0, 0, -5, -3, 0, 5, 0, 0),
    (-4, -1, 1, 0, 0, -1, 0, -2, 5, -1, -3, -5),
    (0, 0, 0, 3, 1, 0, 0, 3, 0, 2, 0, 0),
    (0, 0, 0, 0, -4, 0, 0, 0, -1, 0, 0, -3),
    (-1, -3, -3, 0, 5, 4, 0, -5, 0, 4, -3, 0),
)
_INPUT = (2, 2, 2, 2, 0, 0, 0, 2, 1, 1, 3, 2)
_FIRST_ROWS = {"csr": 5, "n_m": 4, "eie": 12}  # of the matrix: as many as one follows to the end

Whole = NDArray[np.int64]


@dataclass(frozen=True, kw_only=True)
class WalkConfig(Config):
    """Which machine is stepped through, and how far."""

    machine: str = param("csr", choices=MACHINES, help="csr: rows of stored values; n m: two of four; eie: an array with queues")
    step: int = param(0, low=0, high=MOST_STEPS, step=1, help="steps done; behind the last one nothing more happens")
    queue: int = param(1, low=1, high=4, step=1, unit="inputs", help="inputs that each element of the array holds, with the one in work")


@dataclass(frozen=True)
class Product:
    """One multiplication: `value` at (row, column) with the input of that column.

    Attributes:
        row, column: of the value in the matrix.
        value, x: the factors.
        slot: number of the value among those stored.
        total: of the row, after it.
    """

    row: int
    column: int
    value: int
    x: int
    slot: int
    total: int


@dataclass(frozen=True)
class Cycle:
    """What the array does in one cycle.

    Attributes:
        sent: column whose input was sent to all queues; None where none was.
        is_held: whether one was ready but some queue was full.
        queues: for each PE the columns that wait, after sending and before the products.
        products: what each PE multiplied; None where it had nothing to do.
    """

    sent: int | None
    is_held: bool
    queues: tuple[tuple[int, ...], ...]
    products: tuple[Product | None, ...]


def example(machine: str) -> tuple[Whole, Whole]:
    """Return the matrix (rows, columns) and the input (columns,) of a machine; for n_m at most two of each four are not zero."""
    matrix, x = np.array(_MATRIX[: _FIRST_ROWS[machine]], np.int64), np.array(_INPUT, np.int64)
    return (two_of_four(matrix), x) if machine == "n_m" else (matrix, x)


def two_of_four(matrix: Whole) -> Whole:
    """Return a matrix with the two of each four that have the largest absolute value; of equal ones the first."""
    groups = matrix.reshape(len(matrix), -1, M)
    order = np.argsort(-np.abs(groups), axis=2, kind="stable")
    out = groups.copy()
    np.put_along_axis(out, order[:, :, N:], 0, axis=2)
    return out.reshape(matrix.shape)


def csr_products(matrix: Whole, x: Whole) -> list[Product]:
    """Return the products in the order of compressed sparse rows."""
    out: list[Product] = []
    for row, values in enumerate(matrix):
        total = 0
        for column in np.nonzero(values)[0]:
            total += int(values[column] * x[column])
            out.append(Product(row, int(column), int(values[column]), int(x[column]), len(out), total))
    return out


def slots(matrix: Whole) -> Whole:
    """Return the column that each slot of a 2:4 matrix takes: (rows, columns / 2), rising; a spare slot holds a zero.

    Raises:
        ConfigError: more than two of four are not zero, or the columns are no multiple of four.
    """
    rows, columns = matrix.shape
    if columns % M or (np.count_nonzero(matrix.reshape(rows, -1, M), axis=2) > N).any():
        raise ConfigError(f"a 2:4 matrix must have at most {N} of each {M} columns not zero, got {matrix.tolist()}")
    groups = matrix.reshape(rows, -1, M) != 0
    first = np.sort(np.argsort(~groups, axis=2, kind="stable")[:, :, :N], axis=2)
    columns_of: Whole = (first + np.arange(columns // M)[None, :, None] * M).reshape(rows, -1)
    return columns_of


def n_m_products(matrix: Whole, x: Whole) -> list[Product]:
    """Return the products of all slots, spare ones among them."""
    out: list[Product] = []
    for row, columns in enumerate(slots(matrix)):
        total = 0
        for column in columns:
            total += int(matrix[row, column] * x[column])
            out.append(Product(row, int(column), int(matrix[row, column]), int(x[column]), len(out), total))
    return out


def array_cycles(matrix: Whole, x: Whole, pes: int = PES, depth: int = 1) -> list[Cycle]:
    """Return what an array of PEs does, cycle by cycle, until all products are done.

    Args:
        matrix: (rows, columns).
        x: (columns,); zeros are not sent.
        pes: processing elements.
        depth: inputs that each queue holds, with the one in work.

    Raises:
        ConfigError: there is no PE, or queues hold nothing.
    """
    if pes < 1 or depth < 1:
        raise ConfigError(f"array_cycles: pes and depth must be at least 1, got {pes} and {depth}")
    waiting = [int(column) for column in np.nonzero(x)[0]]
    queues: list[list[tuple[int, list[int]]]] = [[] for _ in range(pes)]  # (column, rows still to do)
    totals, cycles, done = np.zeros(len(matrix), np.int64), [], 0
    while waiting or any(queues):
        sent, ready = None, bool(waiting)
        if ready and all(len(queue) < depth for queue in queues):
            sent = waiting.pop(0)
            for k, queue in enumerate(queues):
                rows = [row for row in range(k, len(matrix), pes) if matrix[row, sent]]
                queue.extend([(sent, rows)] if rows else [])
        before = tuple(tuple(column for column, _ in queue) for queue in queues)
        products: list[Product | None] = []
        for queue in queues:
            products.append(_work(queue, matrix, x, totals, done))
            done += products[-1] is not None
        cycles.append(Cycle(sent, ready and sent is None, before, tuple(products)))
    return cycles


def _work(queue: list[tuple[int, list[int]]], matrix: Whole, x: Whole, totals: Whole, slot: int) -> Product | None:
    """Do one product of a queue, which loses it; None where it is empty."""
    if not queue:
        return None
    column, rows = queue[0]
    row = rows.pop(0)
    if not rows:
        queue.pop(0)
    totals[row] += matrix[row, column] * x[column]
    return Product(row, column, int(matrix[row, column]), int(x[column]), slot, int(totals[row]))


def busy_share(cycles: list[Cycle]) -> float:
    """Return the share of the PEs' cycles in which they multiplied: the array's load balance, 1 if all always did."""
    if not cycles:
        return 1.0
    return sum(product is not None for cycle in cycles for product in cycle.products) / (len(cycles) * len(cycles[0].products))
