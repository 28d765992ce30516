"""The plan of a sparse stage for one image: places, table and weights for the kernels of `csr_conv_one` and `pixels`."""

from collections.abc import Sequence
from time import perf_counter
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import as_strided
from numpy.typing import NDArray

from labkit.runtime.arena import Layout, Place
from labkit.runtime.kernels import csr_conv_one as conv
from labkit.runtime.kernels._simd import LANES, aligned
from labkit.runtime.kernels.interpret import ADD, AVERAGE_POOL, CLIP, COLUMNS, MAX_POOL, interpret_one
from labkit.runtime.rows import as_rows
from labkit.runtime.steps import Shape, Step, bias_of

Values = dict[int, NDArray[np.float32]]


class OnePlan:
    """A stretch of steps, planned for one image at a time.

    Args:
        steps: (number of the value it makes, step), in execution order.
        shapes: of all values of the program.
        ends: numbers of the values that are read from outside, and of those that are handed out.
        fused: poolings in the store of a convolution: number of the convolution → of the pooling.
        borders: zeros that values need around them.
    """

    def __init__(
        self,
        steps: Sequence[tuple[int, Step]],
        shapes: Sequence[Shape],
        ends: tuple[Sequence[int], Sequence[int]],
        fused: dict[int, int],
        borders: dict[int, int],
    ) -> None:
        self._shapes, (self._inputs, self._outputs), self._borders = shapes, ends, borders
        self._layout, self._places = Layout(lanes=1), {}  # type: Layout, dict[int, Place]
        self._rows: list[list[int]] = []
        self._limits: list[tuple[float, float]] = []
        self._stored: list[tuple[NDArray[np.int64], NDArray[np.int32], NDArray[np.float32], NDArray[np.float32]]] = []
        self._pointers_so_far = self._weights_so_far = self._bias_so_far = 0
        for n in self._inputs:
            self._place(n)
        for number, step in steps:
            if step.op == "flatten":
                self._places[number] = self._places[step.inputs[0]]
            elif number not in fused.values():
                self._add(step, number, fused.get(number, number))
        self._layout.scratch(max(conv.TILES) * LANES + max((p.plane for p in self._places.values()), default=0))  # a tile reads on
        self._freeze()

    def run(self, values: Values, spent: list[float] | None = None) -> None:
        """Compute the stage's outputs from its inputs; the arguments are those of `SparseStage.run`."""
        images = len(values[self._inputs[0]])
        outputs = {n: np.empty((images, *self._shapes[n]), np.float32) for n in self._outputs}
        for image in range(images):
            start = perf_counter()
            for n in self._inputs:
                self._views[n][...] = values[n][image].reshape(self._views[n].shape)
            middle = perf_counter()
            self._compute(spent)
            after = perf_counter()
            for n, out in outputs.items():
                out[image] = self._views[n].reshape(self._shapes[n])
            if spent is not None:
                spent[-1] += middle - start + perf_counter() - after
        values.update(outputs)

    def _compute(self, spent: list[float] | None) -> None:
        if spent is None:
            interpret_one(self._arena, self._table, self._bounds, *self._weights)
            return
        for row in range(len(self._table)):
            before = perf_counter()
            interpret_one(self._arena, self._table[row : row + 1], self._bounds[row : row + 1], *self._weights)
            spent[row] += perf_counter() - before

    def _place(self, number: int) -> Place:
        shape = self._shapes[number]
        image = shape if len(shape) == 3 else (shape[0], 1, 1)
        place = self._places[number] = self._layout.value(*image, self._borders.get(number, 0))
        return place

    def _add(self, step: Step, number: int, target: int) -> None:
        """Add the row of one step to the table."""
        source, other, to = self._places[step.inputs[0]], self._places[step.inputs[-1]], self._place(target)
        if step.op == "conv":
            row = self._conv_row(step, self._shapes[number], source, to)
            row[conv.POOLED] = int(target != number)
        else:
            code = {"add": ADD, "max_pool": MAX_POOL, "average_pool": AVERAGE_POOL, "clip": CLIP}[step.op]
            row = [code, source.inside, other.inside, to.inside, to.channels, to.rows, to.columns, source.pitch, source.plane]
            row += [other.pitch, other.plane, to.pitch, to.plane, source.rows, source.columns, *step.kernel, *step.stride, *step.padding]
        self._rows.append(row + [0] * (COLUMNS - len(row)))
        self._limits.append((step.low, step.high))

    def _conv_row(self, step: Step, shape: Shape, source: Place, to: Place) -> list[int]:
        (channels, height, width), (s_y, s_x), start = shape, step.stride, source.corner(*step.padding)
        rows, columns = source.rows + 2 * step.padding[0], source.columns + 2 * step.padding[1]
        x, pitch, phase = start, source.pitch, source.plane
        if s_y * s_x > 1:
            pitch = -(-columns // s_x)
            phase = -(-rows // s_y) * pitch
            x = self._layout.scratch(source.channels * s_y * s_x * phase + LANES * max(conv.TILES))
        size = height * pitch
        variant = min(range(len(conv.TILES)), key=lambda n: -(-size // (conv.TILES[n] * LANES)) * (conv.TILES[n] + 3))
        tile = conv.TILES[variant] * LANES
        line_plane = -(-(size + 2 * LANES) // tile) * tile
        line = self._layout.scratch(channels * line_plane)
        row = [variant, x, pitch, size, line, line_plane, self._pointers_so_far, self._bias_so_far, channels]
        row += [to.inside, to.pitch, to.plane, height, width, 0]
        self._pack(step, pitch, phase)
        return [*row, start, source.pitch, source.plane, source.channels, rows, columns, s_y, s_x, phase]

    def _pack(self, step: Step, pitch: int, phase: int) -> None:
        """Keep a weight as offsets, values and pointers; a channel has a plane for each phase of the strides."""
        weight, (s_y, s_x) = as_rows(step.weight), step.stride
        c_out, c_in, k_h, k_w = weight.shape
        stored: Any = np.diff(weight.pointers.astype(np.int64))
        row = np.repeat(np.arange(c_out), stored)
        channel, within = np.divmod(weight.columns.astype(np.int64), k_h * k_w)
        channel += row // (c_out // step.groups) * c_in
        (i, phase_y), (j, phase_x) = (np.divmod(place * step.dilation[n], step.stride[n]) for n, place in enumerate(np.divmod(within, k_w)))
        offsets = ((channel * s_y + phase_y) * s_x + phase_x) * phase + i * pitch + j
        pointers = weight.pointers.astype(np.int64) + self._weights_so_far
        self._stored.append((pointers, offsets.astype(np.int32), weight.values.astype(np.float32), bias_of(step)))
        self._pointers_so_far += len(pointers)
        self._weights_so_far += len(offsets)
        self._bias_so_far += c_out

    def _freeze(self) -> None:
        """Turn the lists into the arrays that the kernels read."""
        self._table = np.array(self._rows, np.int64).reshape(-1, COLUMNS)
        self._bounds = np.array(self._limits, np.float32).reshape(-1, 2)
        kinds = (np.int64, np.int32, np.float32, np.float32)
        self._weights = tuple(np.concatenate([np.zeros(0, kinds[n]), *(each[n] for each in self._stored)]) for n in range(4))
        self._arena = aligned(self._layout.size)
        self._views = {n: self._view(self._places[n]) for n in (*self._inputs, *self._outputs)}

    def _view(self, place: Place) -> NDArray[np.float32]:
        """Return a value in the arena as an array of channels, rows and columns."""
        size = (place.channels, place.rows, place.columns)
        return as_strided(self._arena[place.inside :], size, (4 * place.plane, 4 * place.pitch, 4))
