"""Sparse stages: consecutive steps that run on groups of images by the kernels of `csr_conv` and `lanes`.

A group is `LANES` images, and it runs through all steps before the next group begins.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from time import perf_counter
from typing import Any

import numpy as np
from numpy.typing import NDArray

from labkit.formats import Format, PlainFormat
from labkit.formats.csr import CsrTensor
from labkit.runtime.arena import Layout, Place
from labkit.runtime.kernels import csr_conv as conv
from labkit.runtime.kernels import lanes
from labkit.runtime.kernels._simd import LANES, aligned
from labkit.runtime.kernels.interpret import ADD, AVERAGE_POOL, CLIP, COLUMNS, MAX_POOL, interpret
from labkit.runtime.steps import Shape, Step, bias_of

ROWS = ("csr", "csr_codebook", "csr_int8")
SPARSE = (*ROWS, "n_m", "vector_sparse")
"""Formats that are laid out as compressed sparse rows when a program is made: of linear layers, of convolutions."""

_CACHE = 40 << 10  # bytes that a tile may read before its input channels are split into blocks: about a first-level cache

Values = dict[int, NDArray[np.float32]]


@dataclass(frozen=True)
class _Packed:
    """Weights of one step as the kernel reads them; see `csr_conv`."""

    pointers: NDArray[np.int64]
    offsets: NDArray[np.int32]
    values: NDArray[np.float32]
    blocks: int


class SparseStage:
    """A stretch of steps, planned for one shape of input.

    Args:
        steps: (number of the value it makes, step), in execution order.
        shapes: of all values of the program.
        outside: numbers of the values that are read after the stage.

    Attributes:
        names: of the rows of its table: a layer's, or a layer's and the pooling's that is fused into it.
    """

    def __init__(self, steps: Sequence[tuple[int, Step]], shapes: Sequence[Shape], outside: set[int]) -> None:
        made = {number for number, _ in steps}
        self._inputs = sorted({n for _, step in steps for n in step.inputs} - made)
        self._outputs = sorted(made & outside)
        self._shapes, self._steps = shapes, list(steps)
        self._plan = _Plan(self)
        self.names = self._plan.names

    def run(self, values: Values, spent: list[float] | None = None) -> None:
        """Read the stage's inputs from `values`, (n, c, h, w) or (n, features), and add its outputs.

        Args:
            values: by number; changed.
            spent: seconds of each row of the table and, last, of getting in and out; added to, when given.
        """
        images = len(values[self._inputs[0]])
        flat_in = {n: _flat(values[n]) for n in self._inputs}
        flat_out = {n: np.empty(images * int(np.prod(self._shapes[n])), np.float32) for n in self._outputs}
        for first in range(0, images, LANES):
            self._plan.run(flat_in, flat_out, first, spent)
        for n, flat in flat_out.items():
            values[n] = _shaped(flat, images, self._shapes[n])


class _Plan:
    """Places, table and packed weights of a stage."""

    def __init__(self, stage: SparseStage) -> None:
        self.names: list[str] = []
        self._shapes, self._layout = stage._shapes, Layout()
        self._rows: list[list[int]] = []
        self._limits: list[tuple[float, float]] = []
        self._packed: list[_Packed] = []
        self._bias: list[NDArray[np.float32]] = []
        self._weights_so_far = self._pointers_so_far = 0
        fused = _fused_pools(stage)
        borders = _borders(stage)
        self._places = {n: self._place(n, borders.get(n, 0)) for n in stage._inputs}
        for number, step in stage._steps:
            if number in fused.values():
                continue
            target = fused.get(number, number)
            self._places[target] = self._places[step.inputs[0]] if step.op == "flatten" else self._place(target, borders.get(target, 0))
            self._add(step, number, target)
        self._freeze(stage)

    def run(self, inputs: Values, outputs: Values, first: int, spent: list[float] | None) -> None:
        """Compute one group of images; `inputs` and `outputs` are flat."""
        start = perf_counter()
        for n, flat in inputs.items():
            lanes.gather(flat, self._arena, self._outside[n], first)
        middle = perf_counter()
        if spent is None:
            interpret(self._arena, self._table, self._bounds, *self._weights)
        else:
            for row in range(len(self._table)):
                before = perf_counter()
                interpret(self._arena, self._table[row : row + 1], self._bounds[row : row + 1], *self._weights)
                spent[row] += perf_counter() - before
        after = perf_counter()
        for n, flat in outputs.items():
            lanes.scatter(self._arena, flat, self._outside[n], first)
        if spent is not None:
            spent[-1] += middle - start + perf_counter() - after

    def _place(self, number: int, border: int) -> Place:
        shape = self._shapes[number]
        return self._layout.value(*(shape if len(shape) == 3 else (shape[0], 1, 1)), border)

    def _add(self, step: Step, number: int, target: int) -> None:
        """Add the row of one step to the table."""
        if step.op == "flatten":
            return
        source, to = self._places[step.inputs[0]], self._places[target]
        if step.op == "conv":
            row = self._conv_row(step, self._shapes[number], source, to, pooled=target != number)
        else:
            other = self._places[step.inputs[-1]]
            geometry = [source.inside, other.inside, to.inside, to.channels, to.rows, to.columns]
            geometry += [source.pitch, source.plane, other.pitch, other.plane, to.pitch, to.plane, source.rows, source.columns]
            code = {"add": ADD, "max_pool": MAX_POOL, "average_pool": AVERAGE_POOL, "clip": CLIP}[step.op]
            row = [code, *geometry, *step.kernel, *step.stride, *step.padding]
        self._rows.append(row + [0] * (COLUMNS - len(row)))
        self._limits.append((step.low, step.high))
        self.names.append(step.name + (" + pool" if target != number else ""))

    def _conv_row(self, step: Step, shape: Shape, source: Place, to: Place, pooled: bool) -> list[int]:
        height, width = shape[1:]
        variant = _variant(height, width, step.stride[1], pooled)
        rows, pixels, _ = conv.TILES[variant]
        packed = _pack(step, source, rows, pixels)
        part = self._layout.scratch(to.channels * rows * pixels * LANES) if packed.blocks > 1 else 0
        line = self._layout.scratch(to.channels * width * LANES) if pooled else 0
        row = [
            variant,
            source.corner(*step.padding),
            to.inside,
            part,
            line,
            self._pointers_so_far,
            sum(map(len, self._bias)),
            to.channels,
            packed.blocks,
        ]
        row += [height // 2 * 2 if pooled else height, width, *step.stride, source.pitch, to.pitch, to.plane, int(pooled)]
        self._packed.append(_Packed(packed.pointers + self._weights_so_far, packed.offsets, packed.values, packed.blocks))
        self._weights_so_far += len(packed.values)
        self._pointers_so_far += len(packed.pointers)
        self._bias.append(bias_of(step))
        return row

    def _freeze(self, stage: SparseStage) -> None:
        """Turn the lists into the arrays that kernels read."""
        self._table = np.array(self._rows, np.int64).reshape(-1, COLUMNS)
        self._bounds = np.array(self._limits, np.float32).reshape(-1, 2)
        self._weights: tuple[Any, ...] = (
            np.concatenate([np.zeros(0, np.int64), *(p.pointers for p in self._packed)]),
            np.concatenate([np.zeros(0, np.int32), *(p.offsets for p in self._packed)]),
            np.concatenate([np.zeros(0, np.float32), *(p.values for p in self._packed)]),
            np.concatenate([np.zeros(0, np.float32), *self._bias]),
        )
        self._outside = {n: self._geometry(n) for n in (*stage._inputs, *stage._outputs)}
        self._arena = aligned(self._layout.size)

    def _geometry(self, number: int) -> NDArray[np.int64]:
        """Return what `gather` and `scatter` must know of a value; outside, images lie pixel by pixel, vectors in order."""
        shape, place = self._shapes[number], self._places[number]
        size, pixels = int(np.prod(shape)), place.rows * place.columns
        by_channel, by_pixel = (1, place.channels) if len(shape) == 3 else (pixels, 1)
        geometry = [
            place.inside,
            place.channels,
            place.rows,
            place.columns,
            place.pitch,
            place.plane,
            size,
            by_channel,
            by_pixel,
        ]
        return np.array(geometry, np.int64)


def _fused_pools(stage: SparseStage) -> dict[int, int]:
    """Return which poolings happen in the store of the convolution before: number of the convolution → of the pooling."""
    readers: dict[int, list[int]] = {}
    steps = dict(stage._steps)
    for number, step in stage._steps:
        for n in step.inputs:
            readers.setdefault(n, []).append(number)
    fused = {}
    for number, step in stage._steps:
        alone = number not in stage._outputs and len(readers.get(number, [])) == 1
        if step.op == "conv" and alone and _is_small_pool(steps[readers[number][0]]) and _pools(stage._shapes[number], step):
            fused[number] = readers[number][0]
    return fused


def _is_small_pool(step: Step) -> bool:
    return step.op == "max_pool" and step.kernel == step.stride == (2, 2) and step.padding == (0, 0) and not step.clips


def _pools(shape: Shape, step: Step) -> bool:
    """Whether a tile of two rows fits, so that pooling can be fused."""
    return _variant(shape[1], shape[2], step.stride[1], True) >= 0


def _variant(height: int, width: int, step: int, pooled: bool) -> int:
    """Return the number of the tile that computes an image with the least work; -1 if pooling is asked for and none pools."""
    best, chosen = float("inf"), -1
    for n, (rows, pixels, distance) in enumerate(conv.TILES):
        fits = rows <= height and pixels <= width and (pixels == 1 or distance == step) and (rows == 2 or not pooled)
        work = -(-height // rows) * -(-width // pixels) * (rows * pixels + 3)  # 3: what each weight costs besides
        if fits and work < best:
            best, chosen = work, n
    return chosen


def _borders(stage: SparseStage) -> dict[int, int]:
    """Return the zeros that each value needs around it: the widest padding of the convolutions that read it."""
    out: dict[int, int] = {}
    for _, step in stage._steps:
        if step.op == "conv":
            out[step.inputs[0]] = max(out.get(step.inputs[0], 0), *step.padding)
    return out


def _pack(step: Step, source: Place, rows: int, pixels: int) -> _Packed:
    """Turn a weight in compressed sparse rows into offsets, values and pointers, blocks of input channels apart."""
    weight = as_rows(step.weight)
    c_out, c_in = weight.shape[:2]
    k_h, k_w = weight.shape[2:] if len(weight.shape) == 4 else (1, 1)
    stored: Any = np.diff(weight.pointers.astype(np.int64))
    row = np.repeat(np.arange(c_out), stored)
    channel, within = np.divmod(weight.columns.astype(np.int64), k_h * k_w)
    i, j = np.divmod(within, k_w)
    channel += row // (c_out // step.groups) * c_in
    offsets = (channel * source.plane + i * step.dilation[0] * source.pitch + j * step.dilation[1]) * LANES
    patch = (step.stride[0] * (rows - 1) + k_h) * (step.stride[1] * (pixels - 1) + k_w) * LANES * 4
    per_block = c_in if step.groups > 1 else max(1, _CACHE // patch)
    blocks = 1 if step.groups > 1 else -(-c_in // per_block)
    block = channel // per_block if step.groups == 1 else np.zeros_like(channel)
    order = np.argsort(block * c_out + row, kind="stable")
    counts = np.bincount(block * c_out + row, minlength=blocks * c_out)
    pointers = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
    return _Packed(pointers, offsets[order].astype(np.int32), weight.values[order].astype(np.float32), blocks)


def as_rows(weight: Format | None) -> CsrTensor:
    """Return a weight of one of the formats in `SPARSE` as compressed sparse rows of floats."""
    if isinstance(weight, CsrTensor):
        return weight
    if weight is None or weight.kind not in SPARSE:
        raise TypeError("a sparse stage must have weights that know what is zero")
    keep = weight.pattern() if isinstance(weight, PlainFormat) else None
    return CsrTensor.pack(weight.unpack() + np.float32(0), keep)


def _flat(value: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return a value as a flat array that kernels were compiled for (writable, for one): images pixel by pixel."""
    pixelwise = value.transpose(0, 2, 3, 1) if value.ndim == 4 else value
    return np.require(pixelwise, np.float32, ["C", "A", "W"]).reshape(-1)


def _shaped(flat: NDArray[np.float32], images: int, shape: Shape) -> NDArray[np.float32]:
    """The reverse of `_flat`."""
    if len(shape) == 1:
        return flat.reshape(images, *shape)
    c, h, w = shape
    return flat.reshape(images, h, w, c).transpose(0, 3, 1, 2)
