"""The plan of a sparse stage for one image: places, table and weights for the kernels of `csr_conv_one` and `pixels`."""

from time import perf_counter

import numpy as np
from numpy.lib.stride_tricks import as_strided
from numpy.typing import NDArray

from labkit.runtime.arena import Place
from labkit.runtime.kernels import csr_conv_one as conv
from labkit.runtime.kernels._simd import LANES
from labkit.runtime.kernels.interpret import LINEAR, interpret_one
from labkit.runtime.plan import Plan, Stretch, Values
from labkit.runtime.rows import taps_of
from labkit.runtime.steps import Shape, Step, bias_of


class OnePlan(Plan):
    """A stretch of steps, planned for one image at a time."""

    def __init__(self, stretch: Stretch) -> None:
        super().__init__(stretch, lanes=1)
        self.layout.scratch(max(conv.TILES) * LANES + max((p.plane for p in self.places.values()), default=0))  # a tile reads on
        self._inputs, self._outputs = stretch.inputs, stretch.outputs
        self.freeze()
        self._views = {n: self._view(self.places[n]) for n in (*self._inputs, *self._outputs)}

    def run(self, values: Values, spent: list[float] | None = None) -> None:
        """Compute the stage's outputs from its inputs; the arguments are those of `SparseStage.run`."""
        images = len(values[self._inputs[0]])
        outputs = {n: np.empty((images, *self.shapes[n]), np.float32) for n in self._outputs}
        for image in range(images):
            start = perf_counter()
            for n in self._inputs:
                self._views[n][...] = values[n][image].reshape(self._views[n].shape)
            middle = perf_counter()
            self._compute(spent)
            after = perf_counter()
            for n, out in outputs.items():
                out[image] = self._views[n].reshape(self.shapes[n])
            if spent is not None:
                spent[-1] += middle - start + perf_counter() - after
        values.update(outputs)

    def conv_row(self, step: Step, shape: Shape, source: Place, to: Place, pooled: bool) -> list[int]:
        (channels, height, width), (s_y, s_x), start = shape, step.stride, source.corner(*step.padding)
        if height == width == 1:
            starts = self._pack(step, source.pitch, source.plane, (1, 1))
            return [LINEAR, start, 0, 0, 0, 0, *starts, channels, to.inside, 0, to.plane]
        rows, columns = source.rows + 2 * step.padding[0], source.columns + 2 * step.padding[1]
        x, pitch, phase = start, source.pitch, source.plane
        if s_y * s_x > 1:
            pitch = -(-columns // s_x)
            phase = -(-rows // s_y) * pitch
            x = self.layout.scratch(source.channels * s_y * s_x * phase + LANES * max(conv.TILES))
        size = height * pitch
        variant = min(range(len(conv.TILES)), key=lambda n: -(-size // (conv.TILES[n] * LANES)) * (conv.TILES[n] + 3))
        tile = conv.TILES[variant] * LANES
        line_plane = -(-(size + 2 * LANES) // tile) * tile
        line = self.layout.scratch(channels * line_plane)
        row = [variant, x, pitch, size, line, line_plane, *self._pack(step, pitch, phase, step.stride), channels]
        row += [to.inside, to.pitch, to.plane, height, width, int(pooled)]
        return [*row, start, source.pitch, source.plane, source.channels, rows, columns, s_y, s_x, phase]

    def _compute(self, spent: list[float] | None) -> None:
        if spent is None:
            interpret_one(self.arena, self.table, self.limits, *self.weights)
            return
        for row in range(len(self.table)):
            before = perf_counter()
            interpret_one(self.arena, self.table[row : row + 1], self.limits[row : row + 1], *self.weights)
            spent[row] += perf_counter() - before

    def _pack(self, step: Step, pitch: int, phase: int, stride: tuple[int, int]) -> list[int]:
        """Keep a weight as offsets, values and pointers; a channel has a plane for each phase of the strides. Return where."""
        taps = taps_of(step.weight, step.groups, step.kernel)
        i, phase_y = np.divmod(taps.rows * step.dilation[0], stride[0])
        j, phase_x = np.divmod(taps.columns * step.dilation[1], stride[1])
        offsets = ((taps.channels * stride[0] + phase_y) * stride[1] + phase_x) * phase + i * pitch + j
        return self.store(taps.pointers, offsets, taps.values, bias_of(step))

    def _view(self, place: Place) -> NDArray[np.float32]:
        """Return a value in the arena as an array of channels, rows and columns."""
        size = (place.channels, place.rows, place.columns)
        return as_strided(self.arena[place.inside :], size, (4 * place.plane, 4 * place.pitch, 4))
