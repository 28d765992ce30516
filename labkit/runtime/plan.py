"""What the plans of a sparse stage share: places in an arena, a table of operations, and the weights that its rows name."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from labkit.runtime.arena import Layout, Place
from labkit.runtime.kernels._simd import aligned, on_a_line
from labkit.runtime.kernels._taps import packed
from labkit.runtime.kernels.interpret import ADD, AVERAGE_POOL, CLIP, COLUMNS, MAX_POOL
from labkit.runtime.kernels.lanes import TO, TO_PITCH, TO_PLANE
from labkit.runtime.steps import Shape, Step

Values = dict[int, NDArray[np.float32]]

KINDS = (np.int64, np.int32, np.int64, np.float32, np.float32)
"""Types of the arrays of weights: pointers, offsets, taps, bias and dense weights."""

_NONE = np.zeros(0, np.int64)


@dataclass(frozen=True)
class Stretch:
    """What a plan is made for.

    Attributes:
        steps: (number of the value it makes, step), in execution order.
        shapes: of all values of the program.
        inputs, outputs: numbers of the values that are read from outside, and of those that are handed out.
        fused: poolings in the store of a convolution: number of the convolution → of the pooling.
        borders: zeros that values need around them.
    """

    steps: Sequence[tuple[int, Step]]
    shapes: Sequence[Shape]
    inputs: Sequence[int]
    outputs: Sequence[int]
    fused: dict[int, int]
    borders: dict[int, int]


class Plan(ABC):
    """A stretch of steps, planned for pixels of `lanes` images side by side.

    Attributes:
        operations: numbers of the operations without weights, by a step's `op`.
        names: of the rows of the table: a layer's, or a layer's and the pooling's that is fused into it.
    """

    operations: ClassVar[dict[str, int]] = {"add": ADD, "max_pool": MAX_POOL, "average_pool": AVERAGE_POOL, "clip": CLIP, "flatten": CLIP}

    def __init__(self, stretch: Stretch, lanes: int) -> None:
        self.names: list[str] = []
        self.shapes, self.layout, self.places = stretch.shapes, Layout(lanes), {}  # type: Sequence[Shape], Layout, dict[int, Place]
        self._borders = stretch.borders
        self._rows: list[list[int]] = []
        self._limits: list[tuple[float, float]] = []
        self._stored: list[tuple[NDArray[Any], ...]] = []
        self._so_far = [0] * len(KINDS)
        for n in stretch.inputs:
            self._place(n)
        for number, step in stretch.steps:
            if step.op == "flatten" and not step.clips and _only_linear(stretch.steps, number):
                self.places[number] = self.places[step.inputs[0]]
            elif number not in stretch.fused.values():
                self._add(step, number, stretch.fused.get(number, number))

    @abstractmethod
    def conv_row(self, step: Step, shape: Shape, source: Place, to: Place, pooled: bool) -> list[int]:
        """Return the row of a convolution; one whose window is the whole image stands for a linear layer.

        Args:
            step: the convolution.
            shape: of what it makes, before pooling.
            source: where its input is.
            to: where its output goes.
            pooled: whether 2×2 max pooling is fused into the store.
        """

    def plain_row(self, step: Step, source: Place, other: Place, to: Place) -> list[int]:
        """Return the row of a step without weights: its operation, its last input and where all of it lies; see `lanes`."""
        row = [self.operations[step.op], source.inside, other.inside, to.inside, to.channels, to.rows, to.columns]
        row += [source.pitch, source.plane, other.pitch, other.plane, to.pitch, to.plane, source.rows, source.columns]
        return [*row, *step.kernel, *step.stride, *step.padding]

    def store(
        self, pointers: NDArray[np.int64], offsets: NDArray[Any], values: NDArray[np.float32], bias: NDArray[np.float32]
    ) -> list[int]:
        """Keep the packed weights of a row, and return where its pointers and its bias begin."""
        starts = [self._so_far[0], self._so_far[3]]
        self._keep(pointers + self._so_far[2], _NONE, packed(offsets, values), bias, _NONE)
        return starts

    def store_blocks(
        self, offsets: NDArray[Any], weights: NDArray[np.float32], bias: NDArray[np.float32], pointers: NDArray[np.int64]
    ) -> list[int]:
        """Keep the weights of a row that has them in blocks; return where its pointers, offsets, bias and weights begin."""
        starts = [self._so_far[n] for n in (0, 1, 3, 4)]
        self._keep(pointers, offsets.reshape(-1), _NONE, bias, weights.reshape(-1))
        return starts

    def freeze(self) -> None:
        """Turn the lists into the arrays that kernels read, once all is placed."""
        self.table = np.array(self._rows, np.int64).reshape(-1, COLUMNS)
        self.limits = np.array(self._limits, np.float32).reshape(-1, 2)
        columns = zip(*self._stored, strict=True) if self._stored else ((),) * len(KINDS)
        joined = (np.concatenate([_NONE, *column], dtype=kind, casting="unsafe") for column, kind in zip(columns, KINDS, strict=True))
        self.weights = tuple(map(on_a_line, joined))
        self.arena = aligned(self.layout.size)

    def _keep(self, *arrays: NDArray[Any]) -> None:
        self._stored.append(arrays)
        self._so_far = [total + len(array) for total, array in zip(self._so_far, arrays, strict=True)]

    def _place(self, number: int) -> Place:
        shape = self.shapes[number]
        image = shape if len(shape) == 3 else (shape[0], 1, 1)
        place = self.places[number] = self.layout.value(*image, self._borders.get(number, 0))
        return place

    def _add(self, step: Step, number: int, target: int) -> None:
        """Add the row of one step to the table."""
        source, other, to = self.places[step.inputs[0]], self.places[step.inputs[-1]], self._place(target)
        if step.op in ("conv", "linear"):
            shape = self.shapes[number]
            if step.op == "linear":
                one, none = (1, 1), (0, 0)
                step = replace(step, kernel=(source.rows, source.columns), stride=one, padding=none, dilation=one, groups=1)
                shape = (*shape, 1, 1)
            row = self.conv_row(step, shape, source, to, target != number)
        elif step.op == "flatten":
            row = self.plain_row(step, source, other, source)
            row[TO], row[TO_PITCH], row[TO_PLANE] = to.start, source.columns, source.rows * source.columns
        else:
            row = self.plain_row(step, source, other, to)
        self._rows.append(row + [0] * (COLUMNS - len(row)))
        self._limits.append((step.low, step.high))
        self.names.append(step.name + (" + pool" if target != number else ""))


def _only_linear(steps: Sequence[tuple[int, Step]], number: int) -> bool:
    """Tell whether a flattened value may stay the image that it was: a linear layer finds each input where the image has it."""
    return all(step.op in ("linear", "flatten") for _, step in steps if number in step.inputs)
