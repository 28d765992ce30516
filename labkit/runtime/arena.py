"""The arena of a sparse stage: where each value of a group of images lies in one flat, aligned array."""

from dataclasses import dataclass

from labkit.core.errors import ModelError
from labkit.runtime.kernels._simd import LANES

_LINE = 16  # floats in 64 bytes
MOST_FLOATS = 1 << 28


@dataclass(frozen=True)
class Place:
    """Where a value lies. Counts are in pixels, places in floats.

    Attributes:
        channels, rows, columns: of the image.
        border: zeros around it.
        start: place of the first channel's corner, border included; a multiple of 64 bytes.
        lanes: floats of a pixel: the images of a group, side by side, or one.
    """

    channels: int
    rows: int
    columns: int
    border: int
    start: int
    lanes: int = LANES

    @property
    def pitch(self) -> int:
        """Pixels from one row to the next; the zeros right of a row are those left of the next."""
        return self.columns + self.border

    @property
    def plane(self) -> int:
        """Pixels from one channel to the next; never a multiple of 16 lines, or channels would share the cache's sets."""
        pixels = (self.rows + 2 * self.border) * self.pitch + self.border
        return pixels + 4 if self.channels > 1 and pixels * self.lanes % (16 * _LINE) == 0 else pixels

    @property
    def inside(self) -> int:
        """Place of the first pixel within the border."""
        return self.corner(0, 0)

    def corner(self, above: int, left: int) -> int:
        """Place of the pixel that lies `above` rows over the image and `left` columns before it."""
        return self.start + ((self.border - above) * self.pitch + self.border - left) * self.lanes

    @property
    def end(self) -> int:
        return self.start + self.channels * self.plane * self.lanes


class Layout:
    """Hands out places one after another, for pixels of `lanes` floats."""

    def __init__(self, lanes: int = LANES) -> None:
        self.size, self._lanes = 0, lanes

    def value(self, channels: int, rows: int, columns: int, border: int) -> Place:
        """Return a place for a value."""
        place = Place(channels, rows, columns, border, self.size, self._lanes)
        self._grow(place.end)
        return place

    def scratch(self, floats: int) -> int:
        """Return where `floats` floats are free."""
        at = self.size
        self._grow(at + floats)
        return at

    def _grow(self, end: int) -> None:
        self.size = -(-end // _LINE) * _LINE
        if self.size > MOST_FLOATS:
            raise ModelError(
                f"the activations of {self._lanes} image(s) must fit {MOST_FLOATS} floats: compile the network with formats='dense'"
            )
