"""What a data set is here: labelled grey images kept as bytes, in three parts."""

import math
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from labkit.core.errors import ConfigError, DataError


@dataclass(frozen=True, eq=False)
class Images:
    """Labelled images, kept as bytes and normalised when they are used.

    Attributes:
        pixels: uint8 (n, 1, h, w).
        labels: int64 (n,).
        mean, std: of the training pixels, on the scale from 0 to 1.
    """

    pixels: Tensor
    labels: Tensor
    mean: float
    std: float

    def __post_init__(self) -> None:
        pixels, labels = self.pixels, self.labels
        fits = pixels.ndim == 4 and pixels.shape[1] == 1 and labels.shape == pixels.shape[:1]
        if not fits or pixels.dtype != torch.uint8 or labels.dtype != torch.int64:
            got = f"{pixels.dtype} {tuple(pixels.shape)} and {labels.dtype} {tuple(labels.shape)}"
            raise DataError(f"images must be uint8 (n, 1, h, w) with int64 labels (n,), got {got}")
        if not (math.isfinite(self.mean) and math.isfinite(self.std) and self.std > 0):
            raise DataError(f"images need a finite mean and a standard deviation above 0, got {self.mean} and {self.std}")

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: slice | Tensor) -> "Images":
        return Images(self.pixels[index], self.labels[index], self.mean, self.std)

    def tensor(self) -> Tensor:
        """Return the pixels as normalised float32 (n, 1, h, w)."""
        return self.pixels.float().div_(255.0).sub_(self.mean).div_(self.std)

    def batches(self, size: int) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield (float32 (b, 1, h, w), int64 (b,)) in order, b = `size` but for the last.

        Raises:
            ConfigError: `size` is below 1.
        """
        if size < 1:
            raise ConfigError(f"the size of a batch must be at least 1, got {size}")
        for start in range(0, len(self), size):
            piece = self[start : start + size]
            yield piece.tensor(), piece.labels


@dataclass(frozen=True, eq=False)
class Splits:
    """One data set in its three parts.

    Attributes:
        name: of the set ("fashion-mnist").
        classes: names of the labels, in order.
        train: what networks are trained on.
        held_out: never trained on; criteria, scans, calibration, rewards and searches use it.
        test: only reports.
        origin: where the images were read from, for people.
    """

    name: str
    classes: tuple[str, ...]
    train: Images
    held_out: Images
    test: Images
    origin: str
