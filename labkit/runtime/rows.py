"""Weights as compressed sparse rows, whatever format they come in, and one by one as the taps of a convolution."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from labkit.formats import Format, PlainFormat
from labkit.formats.csr import CsrTensor
from labkit.runtime.steps import Pair

ROWS = ("csr", "csr_codebook", "csr_int8")
SPARSE = (*ROWS, "n_m", "vector_sparse")
"""Formats that are laid out as compressed sparse rows when a program is made: of linear layers, of convolutions."""


@dataclass(frozen=True)
class Taps:
    """The stored weights of a convolution one by one, output after output.

    Attributes:
        outputs, channels, rows, columns: (stored,) output, input channel counted over all groups, place in the window.
        values: (stored,) float32.
        pointers: (c_out + 1,) int64, where the weights of each output begin.
    """

    outputs: NDArray[np.int64]
    channels: NDArray[np.int64]
    rows: NDArray[np.int64]
    columns: NDArray[np.int64]
    values: NDArray[np.float32]
    pointers: NDArray[np.int64]


def as_rows(weight: Format | None) -> CsrTensor:
    """Return a weight as compressed sparse rows of floats; a dense one loses its zeros."""
    if isinstance(weight, CsrTensor):
        return weight
    if weight is None:
        raise TypeError("a sparse stage must have weights")
    keep = weight.pattern() if isinstance(weight, PlainFormat) and weight.has_pattern else None
    return CsrTensor.pack(weight.unpack() + np.float32(0), keep)


def taps_of(weight: Format | None, groups: int, window: Pair) -> Taps:
    """Return the taps of a weight (c_out, c_in / groups, *window), or of one of a linear layer, (c_out, c_in · window)."""
    rows = as_rows(weight)
    c_out, pixels = rows.shape[0], window[0] * window[1]
    c_in = int(np.prod(rows.shape[1:])) // pixels
    pointers = rows.pointers.astype(np.int64)
    stored: Any = np.diff(pointers)
    outputs = np.repeat(np.arange(c_out), stored)
    channels, within = np.divmod(rows.columns.astype(np.int64), pixels)
    channels += outputs // (c_out // groups) * c_in
    return Taps(outputs, channels, *np.divmod(within, window[1]), rows.values.astype(np.float32), pointers)
