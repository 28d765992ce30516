"""Weights as compressed sparse rows, whatever sparse format they come in."""

import numpy as np

from labkit.formats import Format, PlainFormat
from labkit.formats.csr import CsrTensor

ROWS = ("csr", "csr_codebook", "csr_int8")
SPARSE = (*ROWS, "n_m", "vector_sparse")
"""Formats that are laid out as compressed sparse rows when a program is made: of linear layers, of convolutions."""


def as_rows(weight: Format | None) -> CsrTensor:
    """Return a weight of one of the formats in `SPARSE` as compressed sparse rows of floats."""
    if isinstance(weight, CsrTensor):
        return weight
    if weight is None or weight.kind not in SPARSE:
        raise TypeError("a sparse stage must have weights that know what is zero")
    keep = weight.pattern() if isinstance(weight, PlainFormat) else None
    return CsrTensor.pack(weight.unpack() + np.float32(0), keep)
