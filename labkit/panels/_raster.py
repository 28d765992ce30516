"""A weight tensor unfolded into a picture, one cell a weight, drawn in the browser from one buffer of bytes."""

from pathlib import Path

import anywidget
import numpy as np
import traitlets

_STATIC = Path(__file__).parent / "_static"


class Raster(anywidget.AnyWidget):
    """A matrix of bytes on a canvas: 0 is a pruned weight, 1 to 255 a value from most negative to most positive."""

    _esm = _STATIC / "raster.js"
    rows = traitlets.Int(0).tag(sync=True)
    columns = traitlets.Int(0).tag(sync=True)
    cells = traitlets.Bytes(b"").tag(sync=True)
    label = traitlets.Unicode("").tag(sync=True)
    version = traitlets.Int(0).tag(sync=True)

    def show(self, cells: np.ndarray, label: str) -> None:
        """Draw a matrix.

        Args:
            cells: uint8 (rows, columns), from `encode`.
            label: what a person who cannot see it should know.
        """
        with self.hold_sync():
            self.rows, self.columns = cells.shape
            self.cells, self.label = cells.tobytes(), label
            self.version += 1


def encode(weight: np.ndarray, keep: np.ndarray | None, top: float) -> np.ndarray:
    """Return a weight as the bytes that `Raster` draws, unfolded to (outputs, inputs · height · width).

    Args:
        weight: float (c_out, c_in, kh, kw) or (outputs, inputs).
        keep: bool of the same shape, True keeps; None keeps all.
        top: the absolute value that gets the full colour.
    """
    scaled = np.clip(np.rint(weight * (127.0 / max(top, 1e-12))), -127, 127).astype(np.int16) + 128
    cells = scaled.astype(np.uint8)
    if keep is not None:
        cells = np.where(keep, cells, np.uint8(0))
    return cells.reshape(len(weight), -1)
