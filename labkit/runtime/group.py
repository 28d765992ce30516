"""The plan of a sparse stage for groups of `LANES` images: places, table and weights for the kernels of `csr_conv` and `lanes`."""

from time import perf_counter

import numpy as np
from numpy.typing import NDArray

from labkit.runtime.arena import Place
from labkit.runtime.kernels import csr_conv as conv
from labkit.runtime.kernels import lanes, winograd_conv
from labkit.runtime.kernels._simd import LANES
from labkit.runtime.kernels.interpret import LINEAR, WINOGRAD, interpret
from labkit.runtime.plan import Plan, Stretch, Values
from labkit.runtime.rows import taps_of
from labkit.runtime.steps import Pair, Shape, Step, bias_of
from labkit.runtime.winograd import pays, transformed

_CACHE = 40 << 10  # bytes that a tile may read before its input channels are split into blocks: about a first-level cache
_LEAST = 16  # weights of an output that a block must hold on average, or resting the sums between blocks costs more than it saves
_AT_ONCE = 256  # floats of an image that are transposed at once on the way in or out, unless a channel has more


class GroupPlan(Plan):
    """A stretch of steps, planned for `LANES` images at a time."""

    def __init__(self, stretch: Stretch) -> None:
        self._shared, self._shared_floats = 0, 0
        super().__init__(stretch, LANES)
        places = {n: self.places[n] for n in (*stretch.inputs, *stretch.outputs)}
        self._scratch = self.layout.scratch(LANES * max(_AT_ONCE, *(place.rows * place.columns for place in places.values())))
        self._geometry = {n: self._geometry_of(place) for n, place in places.items()}
        self._inputs, self._outputs = stretch.inputs, stretch.outputs
        self.freeze()

    def run(self, values: Values, spent: list[float] | None = None) -> None:
        """Compute the stage's outputs from its inputs; the arguments are those of `SparseStage.run`."""
        images = len(values[self._inputs[0]])
        inputs = {n: _flat(values[n]) for n in self._inputs}
        outputs = {n: np.empty((images, *self.shapes[n]), np.float32) for n in self._outputs}
        for first in range(0, images, LANES):
            start = perf_counter()
            for n, (flat, by_pixel) in inputs.items():
                lanes.gather(flat, self.arena, self._geometry[n], first, by_pixel)
            middle = perf_counter()
            self._compute(spent)
            after = perf_counter()
            for n, out in outputs.items():
                lanes.scatter(self.arena, out.reshape(-1), self._geometry[n], first)
            if spent is not None:
                spent[-1] += middle - start + perf_counter() - after
        values.update(outputs)

    def conv_row(self, step: Step, shape: Shape, source: Place, to: Place, pooled: bool) -> list[int]:
        channels, height, width = shape
        if pays(step, (height, width)):
            return self._winograd_row(step, shape, source, to, pooled)
        variant = LINEAR if height == width == 1 else variant_of((height, width), step.stride[1], pooled)
        tile = conv.TILES[variant][:2] if variant != LINEAR else (1, 1)
        starts, blocks = self._pack(step, source, tile)
        part = self.layout.scratch(channels * tile[0] * tile[1] * LANES) if blocks > 1 else 0
        line = self.layout.scratch(channels * width * LANES) if pooled else 0
        row = [variant, source.corner(*step.padding), to.inside, part, line, *starts, channels, blocks]
        return [*row, height // 2 * 2 if pooled else height, width, *step.stride, source.pitch, to.pitch, to.plane, int(pooled)]

    def _winograd_row(self, step: Step, shape: Shape, source: Place, to: Place, pooled: bool) -> list[int]:
        channels, height, width = shape
        tiles = (height // 2) * (width // 2) if pooled else -(-height // 2) * -(-width // 2)
        work = [-(-channels // outputs) * outputs * -(-tiles // vectors) * vectors for outputs, vectors in winograd_conv.TILES]
        variant = work.index(min(work))
        outputs, vectors = winograd_conv.TILES[variant]
        inputs, sums = winograd_conv.scratch(source.channels, outputs, vectors)
        at = self._scratch_of(inputs + sums)
        none = np.zeros(0, np.int64)
        _, _, bias, weights = self.store_blocks(none, transformed(step.weight, outputs), bias_of(step), none)
        row = [WINOGRAD + variant, source.corner(*step.padding), to.inside, at, at + inputs, weights, bias, channels, source.channels]
        return [*row, height // 2 * 2 if pooled else height, width, source.plane, 0, source.pitch, to.pitch, to.plane, int(pooled)]

    def _scratch_of(self, floats: int) -> int:
        """Return where so many floats are free while a row runs: the same place for all rows, as far as it is large enough."""
        if floats > self._shared_floats:
            self._shared, self._shared_floats = self.layout.scratch(floats), floats
        return self._shared

    def _compute(self, spent: list[float] | None) -> None:
        if spent is None:
            interpret(self.arena, self.table, self.limits, *self.weights)
            return
        for row in range(len(self.table)):
            before = perf_counter()
            interpret(self.arena, self.table[row : row + 1], self.limits[row : row + 1], *self.weights)
            spent[row] += perf_counter() - before

    def _pack(self, step: Step, source: Place, tile: Pair) -> tuple[list[int], int]:
        """Keep a weight as offsets, values and pointers, blocks of input channels apart; return where, and the number of blocks."""
        taps, (s_y, s_x), (k_h, k_w) = taps_of(step.weight, step.groups, step.kernel), step.stride, step.kernel
        offsets = (taps.channels * source.plane + taps.rows * step.dilation[0] * source.pitch + taps.columns * step.dilation[1]) * LANES
        patch = (s_y * (tile[0] - 1) + k_h) * (s_x * (tile[1] - 1) + k_w) * LANES * 4
        c_out = len(taps.pointers) - 1
        splits = step.groups == 1 and tile != (1, 1)
        most = min(-(-source.channels * patch // _CACHE), len(taps.values) // (_LEAST * c_out)) if splits else 1
        per_block = -(-source.channels // max(1, most))
        blocks = -(-source.channels // per_block)
        place = taps.channels // per_block * c_out + taps.outputs
        order = np.argsort(place, kind="stable")
        pointers = np.concatenate([[0], np.cumsum(np.bincount(place, minlength=blocks * c_out))]).astype(np.int64)
        return self.store(pointers, offsets[order], taps.values[order], bias_of(step)), blocks

    def _geometry_of(self, place: Place) -> NDArray[np.int64]:
        """Return what `gather` and `scatter` must know of a value."""
        pixels = place.rows * place.columns
        size, at_once = place.channels * pixels, max(1, _AT_ONCE // pixels)
        geometry = [place.inside, place.channels, place.rows, place.columns, place.pitch, place.plane, size, at_once, self._scratch]
        return np.array(geometry, np.int64)


def variant_of(size: Pair, step: int, pooled: bool) -> int:
    """Return the number of the tile that computes an image with the least work; -1 if pooling is asked for and none pools.

    Args:
        size: height and width of the output.
        step: distance between the inputs of neighbouring outputs of a row.
        pooled: whether the tile must have two rows, whose maxima are taken.
    """
    best, chosen, (height, width) = float("inf"), -1, size
    for n, (rows, pixels, distance) in enumerate(conv.TILES):
        fits = rows <= height and pixels <= width and (pixels == 1 or distance == step) and (rows == 2 or not pooled)
        work = -(-height // rows) * -(-width // pixels) * (rows * pixels + 3)  # 3: what each weight costs besides
        if fits and work < best:
            best, chosen = work, n
    return chosen


def _flat(value: NDArray[np.float32]) -> tuple[NDArray[np.float32], bool]:
    """Return a value as a flat array that kernels were compiled for (writable, for one), and whether its channels lie innermost."""
    pixelwise = value.transpose(0, 2, 3, 1) if value.ndim == 4 else value
    by_pixel = not value.flags.c_contiguous and pixelwise.flags.c_contiguous
    return np.require(pixelwise if by_pixel else value, np.float32, ["C", "A", "W"]).reshape(-1), by_pixel
