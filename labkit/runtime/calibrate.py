"""What range each value of a network takes: the plain way, least and largest over some images, and the codes that follow.

A better calibration fills `Compressed.activations` before `compile`, which then takes its word over this one's.
Source     Jacob et al. 2017, arXiv:1712.05877, section 2 and 3.1.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from labkit.core.errors import ConfigError, ModelError
from labkit.runtime.affine import LARGEST
from labkit.runtime.steps import Affine, Shape, Step, value_shapes

INPUT = "input"
"""What the input is called among the activations; a step's result has the step's name."""
BATCH = 64


def activation_ranges(steps: Sequence[Step], image: Shape, images: NDArray[Any]) -> dict[str, tuple[float, float]]:
    """Return the least and the largest entry of the input and of each step's result.

    Args:
        steps: of floats, in execution order.
        image: shape of an input without the batch.
        images: float32 (n, *image), as the network gets them.

    Raises:
        ConfigError: the images have another shape, or there are none.
        ModelError: a value is NaN or infinite.
    """
    from labkit.runtime.kernels.dense import DenseStage

    if images.ndim != len(image) + 1 or images.shape[1:] != tuple(image) or not len(images):
        raise ConfigError(f"calibration must be images of shape (n, {', '.join(map(str, image))}) with n of at least 1, got {images.shape}")
    numbers = range(1, len(steps) + 1)
    stage = DenseStage(list(zip(numbers, steps, strict=True)), value_shapes(steps, image), set(numbers))
    names, ranges = (INPUT, *(step.name for step in steps)), dict[str, tuple[float, float]]()
    for start in range(0, len(images), BATCH):
        values = {0: np.ascontiguousarray(images[start : start + BATCH], np.float32)}
        stage.run(values)
        for number, name in enumerate(names):
            low, high = float(values[number].min()), float(values[number].max())
            if not np.isfinite([low, high]).all():
                raise ModelError(f"the result of {name!r} holds NaN or an infinity on the images for calibration")
            before = ranges.get(name, (low, high))
            ranges[name] = min(low, before[0]), max(high, before[1])
    return ranges


def activations_of(ranges: Mapping[str, tuple[float, float]]) -> dict[str, tuple[float, int]]:
    """Return (scale, zero point) of each range, as `Compressed.activations` has them; see `affine_of`."""
    codes = {name: affine_of(low, high) for name, (low, high) in ranges.items()}
    return {name: (each.scale, each.zero) for name, each in codes.items()}


def affine_of(low: float, high: float) -> Affine:
    """Return the codes, bytes, whose range is [low, high] made to hold 0, which is a code exactly; a range of nothing has scale 1."""
    low, high = min(low, 0.0), max(high, 0.0)
    scale = np.float32((high - low) / LARGEST)
    if scale < np.finfo(np.float32).tiny:
        return Affine(1.0, 0)
    return Affine(float(scale), min(max(round(-low / float(scale)), 0), LARGEST))
