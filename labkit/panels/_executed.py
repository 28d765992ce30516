"""What lab 07 says of a network that is executed: bytes by format, where the time goes, why it is no faster."""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from labkit.execution import Spent
from labkit.measure.energy import roofline
from labkit.measure.roof import Roof
from labkit.panels._sparse_figures import FORMATS
from labkit.panels._strip import kilobytes

HINT = "Six shares of zeros in each kind, for one image and for 64: about ten seconds for a small layer, longer for a convolution."


def why_slow(how: str) -> str:
    """Say why a network in this format is not faster than dense."""
    if how == "dense":
        return "not faster: this format multiplies by every zero"
    return "not faster: finding what stays costs what leaving out the zeros saves"


def what_is_left(keep: NDArray[np.bool_], *, is_smaller: bool) -> NDArray[np.bool_]:
    """Return which entries of a layer are stored: all of `keep`, or of the smaller layer that whole channels leave."""
    if not is_smaller:
        return keep
    rows = keep.reshape(len(keep), -1).any(1)
    inputs = keep.any(axis=(0, *range(2, keep.ndim)))
    return keep[rows][:, inputs]


def formats_in_words(layer: str, sizes: Mapping[str, int], keep: NDArray[np.bool_], left: NDArray[np.bool_]) -> str:
    """Say which format takes the fewest bytes, and what the others take."""
    least = min(sizes, key=lambda kind: sizes[kind])
    told = ", ".join(f"{FORMATS[kind]} {kilobytes(size)}" for kind, size in sizes.items())
    shape = " × ".join(map(str, left.shape))
    smaller = f" What is left is a layer of {shape}." if left.shape != keep.shape else ""
    return (
        f"{layer}, {1 - keep.mean():.0%} zeros, float32: {told}. Fewest: {FORMATS[least]}.{smaller} "
        f"Line: the dense layer, {kilobytes(4 * keep.size)}. Blocks are 4 or 8 outputs, N:M has the slots of its fullest group."
    )


def times_in_words(rows: Sequence[Spent], here: Roof | None, layer: str, *, is_current: bool) -> str:
    """Say what the layers take, what takes time besides, and what limits the layer in view.

    Args:
        rows: what was measured, perhaps of the setting before.
        here: of this machine, once measured.
        layer: the one in view.
        is_current: whether `rows` are of the setting on show.
    """
    if here is None or not any(row.ms for row in rows):
        return "Each layer is timed once the accuracy has settled. Open circles: the most that this machine permits a layer."
    total, dense = sum(row.ms for row in rows), sum(row.dense_ms for row in rows)
    besides = sum(row.ms for row in rows if not row.format)
    stale = "" if is_current else "Of the setting before; it is being measured anew. "
    said = (
        f"{stale}{total:.3g} ms a call, dense {dense:.3g} ms in labkit’s own program; {besides / total:.0%} goes to what has no weights. "
    )
    row = next((row for row in rows if row.name == layer), None)
    if row is None or not row.format:
        return said
    most = roofline(row.intensity, here.peak_gflops, here.bandwidth_gbps) if row.intensity else 0.0
    limit = "reading memory" if row.intensity < here.ridge else "arithmetic"
    return (
        f"{said}{layer}: {row.ms:.3g} ms ({FORMATS.get(row.format, row.format)}), dense {row.dense_ms:.3g}. Of weights that are not zero "
        f"it does {row.intensity:.2g} operations a byte and reached {row.gflops:.3g} · 10⁹ a second; {limit} permits {most:.3g}. "
        f"What lies above the sloping line had its weights in a cache."
    )
