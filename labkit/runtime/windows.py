"""Sparse weights of linear layers cut into windows of inputs, as `window_linear` reads them."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from labkit.formats import Format
from labkit.runtime.kernels._simd import LANES
from labkit.runtime.kernels.window_linear import CODE
from labkit.runtime.rows import as_rows

_NO_MORE = 1 << 40


@dataclass(frozen=True)
class Windows:
    """A weight in steps of `LANES` outputs.

    Attributes:
        order: (blocks · LANES,) int32, the output of each lane of each block; outputs with many weights share blocks.
        pointers: (blocks + 1,) int64, the number of each block's first step.
        codes: (steps, CODE) int32, where the window begins and, a byte for each lane, which of its inputs it takes.
        values: (steps, LANES) float32; 0 where an output has no weight in the window.
    """

    order: NDArray[np.int32]
    pointers: NDArray[np.int64]
    codes: NDArray[np.int32]
    values: NDArray[np.float32]


def windows_of(weight: Format | None) -> Windows:
    """Cut a weight (c_out, c_in): each step's window begins at the first input that is left to do for any output of its block."""
    rows = as_rows(weight)
    pointers, columns = rows.pointers.astype(np.int64), rows.columns.astype(np.int64)
    stored = np.diff(pointers)
    blocks = -(-len(stored) // LANES)
    order = np.concatenate([np.argsort(-stored, kind="stable"), np.arange(len(stored), blocks * LANES)])
    here, end = (np.concatenate([each, np.zeros(blocks * LANES - len(stored), np.int64)])[order] for each in (pointers[:-1], pointers[1:]))
    steps: list[tuple[NDArray[Any], ...]] = []  # of all blocks at once: block, window, places, number of each weight
    padded = np.append(columns, _NO_MORE)
    while (here < end).any():
        due = padded[np.where(here < end, here, -1)].reshape(blocks, LANES)
        begin = due.min(1)
        taken = due < np.minimum(begin + LANES, _NO_MORE)[:, None]
        active = begin < _NO_MORE
        number = np.where(taken, here.reshape(blocks, LANES), -1)
        places = np.where(taken, due - begin[:, None], 0)
        steps.append((np.flatnonzero(active), begin[active], places[active], number[active]))
        here = here + taken.reshape(-1)
    return _in_blocks(steps, np.append(rows.values.astype(np.float32), np.float32(0)), blocks, order.astype(np.int32))


def _in_blocks(steps: list[tuple[NDArray[Any], ...]], values: NDArray[np.float32], blocks: int, order: NDArray[np.int32]) -> Windows:
    """Sort the steps by block; `values` ends with the one for lanes without a weight."""
    none = (np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros((0, LANES), np.int64), np.zeros((0, LANES), np.int64))
    block, begin, places, number = (np.concatenate(parts) for parts in zip(none, *steps, strict=True))
    sorted_ = np.argsort(block, kind="stable")
    pointers = np.concatenate([[0], np.cumsum(np.bincount(block, minlength=blocks))]).astype(np.int64)
    packed = places[sorted_].astype(np.uint8).view(np.int32).reshape(-1, CODE - 1)
    return Windows(order, pointers, np.concatenate([begin[sorted_, None].astype(np.int32), packed], axis=1), values[number[sorted_]])
