"""The plan of a sparse stage, or of a whole program, for one image: places, table and weights for the kernels of `interpret_one`."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from time import perf_counter
from typing import Any, ClassVar

import numpy as np
from numpy.lib.stride_tricks import as_strided
from numpy.typing import NDArray

from labkit.runtime.affine import value_codes
from labkit.runtime.arena import Place
from labkit.runtime.kernels import csr_conv_one as conv
from labkit.runtime.kernels import dense_one
from labkit.runtime.kernels._bytes import VNNI
from labkit.runtime.kernels._simd import LANES
from labkit.runtime.kernels.dense_one import TAPS, WEIGHTS
from labkit.runtime.kernels.interpret import (
    ADD_CODES,
    COLUMNS,
    DENSE_CONV,
    DENSE_LINEAR,
    DEQUANTIZE,
    LINEAR,
    QUANTIZE,
    REQUANTIZE,
    WINDOW_LINEAR,
    interpret_one,
)
from labkit.runtime.kernels.window_linear import CODES, ORDER
from labkit.runtime.plan import Plan, Stretch, Values
from labkit.runtime.rows import ROWS, taps_of
from labkit.runtime.steps import Pair, Shape, Step, bias_of
from labkit.runtime.whole import CodeStep
from labkit.runtime.windows import windows_of

MOST = 1 << 22
"""Weights and activations of a program that runs in one plan for a lone image; in larger ones little is lost between steps."""

FEW_ALONE = 4
"""Batches up to this size run image by image in one plan of all steps, if the program is small enough."""

PRODUCTS_A_STEP, GROUPED = (600_000, 24) if VNNI else (4_000_000, 8)
"""An integer program runs so only where all its images have at most so many products for each of its steps, those of grouped
convolutions counted so many times: otherwise products of bytes save more than calls between steps cost. Measured with 16 lanes, with
the kernel of `int8_direct_conv` and without."""

DENSE_CONV_FROM, DENSE_LINEAR_FROM = 0.5, 0.4
"""Shares of stored weights from which on the dense kernel of one image is faster, measured with 16 lanes."""


class OnePlan(Plan):
    """A stretch of steps, planned for one image at a time; steps on codes as `whole` rewrites them."""

    operations: ClassVar[dict[str, int]] = Plan.operations | {
        "quantize": QUANTIZE, "requantize": REQUANTIZE, "add_codes": ADD_CODES, "dequantize": DEQUANTIZE
    }  # fmt: skip

    def __init__(self, stretch: Stretch) -> None:
        super().__init__(stretch, lanes=1)
        self.layout.scratch(max(conv.TILES) * LANES + max((p.plane for p in self.places.values()), default=0))  # a tile reads on
        self._inputs, self._outputs = stretch.inputs, stretch.outputs
        self.freeze()
        self._call = (self.arena, self.table, self.limits, *self.weights)
        views = {n: self._view(self.places[n]) for n in (*self._inputs, *self._outputs)}
        self._views_in = [(n, views[n], views[n].shape) for n in self._inputs]
        self._views_out = [(n, views[n], (1, *self.shapes[n])) for n in self._outputs]

    def run(self, values: Values, spent: list[float] | None = None) -> None:
        """Compute the stage's outputs from its inputs; the arguments are those of `SparseStage.run`."""
        images = len(values[self._inputs[0]])
        if images == 1:
            self._run_one(values, spent)
            return
        made: dict[int, list[NDArray[np.float32]]] = {n: [] for n in self._outputs}
        for image in range(images):
            part = {n: values[n][image : image + 1] for n in self._inputs}
            self._run_one(part, spent)
            for n, parts in made.items():
                parts.append(part[n])
        values.update({n: np.concatenate(parts) for n, parts in made.items()})

    def _run_one(self, values: Values, spent: list[float] | None) -> None:
        start = 0.0 if spent is None else perf_counter()
        for n, view, shape in self._views_in:
            view[...] = values[n].reshape(shape)
        if spent is None:
            interpret_one(*self._call)
        else:
            start += self._timed(spent)
        for n, view, shape in self._views_out:
            values[n] = view.copy().reshape(shape)
        if spent is not None:
            spent[-1] += perf_counter() - start

    def conv_row(self, step: Step, shape: Shape, source: Place, to: Place, pooled: bool) -> list[int]:
        (channels, height, width), (s_y, s_x), start = shape, step.stride, source.corner(*step.padding)
        dense = _runs_dense(step)
        if height == width == 1:
            return self._linear_row(step, source, to)
        rows, columns = source.rows + 2 * step.padding[0], source.columns + 2 * step.padding[1]
        x, planes = start, _Planes(source.pitch, source.plane, step.stride)
        if s_y * s_x > 1:
            pitch = -(-columns // s_x)
            planes = _Planes(pitch, -(-rows // s_y) * pitch, step.stride)
            x = self.layout.scratch(source.channels * s_y * s_x * planes.phase + LANES * max(conv.TILES))
        height = height // 2 * 2 if pooled else height
        size = (height - 1) * planes.pitch + width
        tiles = dense_one.TILES if dense else conv.TILES
        variant = min(range(len(tiles)), key=lambda n: -(-size // (tiles[n] * LANES)) * (tiles[n] + (0.2 if dense else 3)))
        tile = tiles[variant] * LANES
        line_plane = -(-(size + 2 * LANES) // tile) * tile
        line = self.layout.scratch(-(-channels // dense_one.OUTPUTS) * dense_one.OUTPUTS * line_plane)
        extra: dict[int, int] = {}
        if dense:
            first, bias, weights, taps = self._pack_dense(step, planes, [dense_one.OUTPUTS])
            variant, extra = DENSE_CONV + variant, {WEIGHTS: weights, TAPS: taps}
        else:
            first, bias = self._pack(step, planes)
        row = [variant, x, planes.pitch, size, line, line_plane, first, bias, channels, to.inside, to.pitch, to.plane, height, width]
        row += [int(pooled), start, source.pitch, source.plane, source.channels, rows, columns, s_y, s_x, planes.phase]
        return _spread(extra, row)

    def _linear_row(self, step: Step, source: Place, to: Place) -> list[int]:
        """Return the row of a linear layer, in the form that takes the least time."""
        channels, start, planes = to.channels, source.corner(*step.padding), _Planes(source.pitch, source.plane, (1, 1))
        dense = _runs_dense(step)
        if to.plane > 1 or step.groups > 1:
            return [LINEAR, start, 0, 0, 0, 0, *self._pack(step, planes), channels, to.inside, 0, to.plane]
        whole = step.kernel == (source.rows, source.columns) and (source.plane, source.border) == (source.rows * source.columns, 0)
        if not dense and whole and LANES > 4:
            windows, line = windows_of(step.weight), self.layout.scratch(LANES)
            bias = np.append(bias_of(step), np.zeros(len(windows.order) - channels, np.float32))[windows.order]
            codes = np.concatenate([windows.codes.reshape(-1), windows.order])
            first, at, bias_at, weights = self.store_blocks(codes, windows.values, bias, windows.pointers)
            columns = {CODES: at, WEIGHTS: weights, ORDER: at + windows.codes.size}
            return _spread(columns, [WINDOW_LINEAR, start, 0, 0, line, 0, first, bias_at, channels, to.inside])
        if not dense:
            return [LINEAR, start, 0, 0, 0, 0, *self._pack(step, planes), channels, to.inside, 0, to.plane]
        offsets, at, weights, taps = self._pack_dense(step, planes, [n * LANES for n in dense_one.WIDTHS])
        return _spread({WEIGHTS: weights, TAPS: taps}, [DENSE_LINEAR, start, 0, 0, 0, 0, offsets, at, channels, to.inside])

    def plain_row(self, step: Step, source: Place, other: Place, to: Place) -> list[int]:
        row = super().plain_row(step, source, other, to)
        if isinstance(step, CodeStep):
            longs, ints, floats = np.array(step.longs, np.int64), np.array(step.ints, np.int32), np.array(step.floats, np.float32)
            row += self.store_blocks(ints, np.zeros(0, np.float32), floats, longs)[:3]
        return row

    def _timed(self, spent: list[float]) -> float:
        """Run the table row by row, and return the seconds of all."""
        start = perf_counter()
        for row in range(len(self.table)):
            before = perf_counter()
            interpret_one(self.arena, self.table[row : row + 1], self.limits[row : row + 1], *self.weights)
            spent[row] += perf_counter() - before
        return perf_counter() - start

    def _pack(self, step: Step, planes: "_Planes") -> list[int]:
        """Keep a weight as offsets, values and pointers, and return where."""
        taps = taps_of(step.weight, step.groups, step.kernel)
        offsets = planes.offsets(step, taps.channels, taps.rows, taps.columns)
        return self.store(taps.pointers, offsets, taps.values, bias_of(step))

    def _pack_dense(self, step: Step, planes: "_Planes", widths: Sequence[int]) -> list[int]:
        """Keep a dense weight for `dense_one`, as many outputs together as `widths` allow; return where, and its taps."""
        weight = np.zeros((0, 0), np.float32) if step.weight is None else step.weight.unpack().astype(np.float32)
        rows = weight.reshape(len(weight), -1)
        c_out, taps = rows.shape
        channels, i, j = np.indices((taps // math.prod(step.kernel), *step.kernel)).reshape(3, -1)
        parts, start = [], 0
        while start < c_out:
            width = next((n for n in widths if c_out - start > n - min(widths)), min(widths))
            part = np.zeros((width, taps), np.float32)
            part[: c_out - start] = rows[start : start + width]
            parts.append(part.T.reshape(-1))
            start += width
        bias = np.zeros(start, np.float32)
        bias[:c_out] = bias_of(step)
        _, *starts = self.store_blocks(planes.offsets(step, channels, i, j), np.concatenate(parts), bias, np.zeros(0, np.int64))
        return [*starts, taps]

    def _view(self, place: Place) -> NDArray[np.float32]:
        """Return a value in the arena: flat where it lies in one piece, else as an array of channels, rows and columns."""
        size, whole = (place.channels, place.rows, place.columns), place.channels * place.rows * place.columns
        if not place.border and place.plane == place.rows * place.columns:
            return self.arena[place.inside : place.inside + whole]
        return as_strided(self.arena[place.inside :], size, (4 * place.plane, 4 * place.pitch, 4))


@dataclass(frozen=True)
class _Planes:
    """Where a tap finds its input: each channel has a plane of `phase` floats, `pitch` a row, for every phase of the strides."""

    pitch: int
    phase: int
    stride: Pair

    def offsets(self, step: Step, channels: NDArray[Any], rows: NDArray[Any], columns: NDArray[Any]) -> NDArray[Any]:
        """Return the floats from a tile's origin to the input of each tap."""
        i, phase_y = np.divmod(rows * step.dilation[0], self.stride[0])
        j, phase_x = np.divmod(columns * step.dilation[1], self.stride[1])
        at: NDArray[Any] = ((channels * self.stride[0] + phase_y) * self.stride[1] + phase_x) * self.phase + i * self.pitch + j
        return at


def _runs_dense(step: Step) -> bool:
    """Tell whether a weight has so few zeros that multiplying by them costs less than finding the others."""
    if step.weight is None or step.groups > 1:
        return False
    return step.weight.stored > (DENSE_CONV_FROM if step.op == "conv" else DENSE_LINEAR_FROM) * math.prod(step.weight.shape)


def few_alone(steps: Sequence[Step], shapes: Sequence[Shape]) -> int:
    """Return up to how many images a whole program gains by running image by image in one plan; 0 where it cannot."""
    weights = [step.weight for step in steps if step.weight is not None]
    size = sum(math.prod(weight.shape) for weight in weights) + sum(map(math.prod, shapes))
    known = all(step.op not in ("concat", "hardswish") and (step.op != "average_pool" or step.kernel == (1, 1)) for step in steps)
    plain = all(step.input_bits == 32 for step in steps)
    codes = value_codes(steps)
    of_floats = [step.weight for step in steps if step.weight is not None and codes[step.inputs[0]] is None]
    if not (known and plain and size <= MOST and all(weight.kind in ("dense", *ROWS) for weight in of_floats)):
        return 0
    if not any(codes):
        return FEW_ALONE
    work = sum(_work(step, shape) for step, shape in zip(steps, shapes[1:], strict=True))
    return min(FEW_ALONE, PRODUCTS_A_STEP * len(steps) // max(1, work))


def _work(step: Step, shape: Shape) -> int:
    """Return the products of a step that makes a value of a shape; those of groups take the longer."""
    if step.weight is None:
        return 0
    return (1 if step.groups == 1 else GROUPED) * math.prod(shape[1:]) * math.prod(step.weight.shape)


def _spread(values: dict[int, int], row: list[int]) -> list[int]:
    """Return a row with more values in their columns."""
    row = row + [0] * (COLUMNS - len(row))
    for column, value in values.items():
        row[column] = value
    return row
