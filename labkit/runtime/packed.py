"""Packed stages: linear layers that run on their packed weights, each by the kernel of its format.

Weights are laid out for the kernel once, when the program is made; what lies in memory may be larger than in the file.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from time import perf_counter
from typing import Any

import numpy as np
from numpy.typing import NDArray

from labkit.formats import Format
from labkit.formats.csr import CsrTensor
from labkit.formats.n_m import NMTensor
from labkit.formats.vector_sparse import VectorSparseTensor
from labkit.runtime import coded
from labkit.runtime._layer import FEW, Layer, Values, one_by_one
from labkit.runtime.codes import codes_of
from labkit.runtime.kernels import csr_linear, n_m_linear, vector_linear
from labkit.runtime.kernels._simd import LANES, aligned, on_a_line
from labkit.runtime.kernels._taps import packed
from labkit.runtime.kernels._vectors import TOGETHER
from labkit.runtime.kernels.transpose import stretches
from labkit.runtime.rows import ROWS, as_rows
from labkit.runtime.steps import INF, Shape, Step, bias_of

FEW_ROWS = 2
"""Up to so many samples go through a kernel for one sample, as with `FEW`, for compressed sparse rows, whose kernel for one sample
reads a single input for each weight."""


class PackedStage:
    """A stretch of linear layers; the counterpart of `SparseStage` and `DenseStage`.

    Args:
        steps: (number of the value it makes, step), in execution order.
        shapes: of all values of the program.
        outside: numbers of the values that are read after the stage.

    Attributes:
        names: of the steps.
    """

    def __init__(self, steps: Sequence[tuple[int, Step]], shapes: Sequence[Shape], outside: set[int]) -> None:
        self.names = [step.name for _, step in steps]
        self._layers = [(number, step.inputs[0], layer_of(step)) for number, step in steps]

    def run(self, values: dict[int, Values], spent: list[float] | None = None) -> None:
        """Read the stage's inputs from `values`, (n, features), and add what each step makes.

        Args:
            values: by number; changed.
            spent: seconds of each step and, last, of getting in and out; added to, when given.
        """
        for row, (number, source, layer) in enumerate(self._layers):
            start = perf_counter()
            x = np.ascontiguousarray(values[source], np.float32)
            before = perf_counter()
            values[number] = layer(x)
            if spent is not None:
                spent[row] += perf_counter() - before
                spent[-1] += before - start


def can_run(weight: Format) -> bool:
    """Tell whether a linear layer with this weight has a kernel here; others run on unpacked weights."""
    if isinstance(weight, VectorSparseTensor | NMTensor):
        return weight.values.dtype == np.float32
    return weight.kind in ROWS or coded.looks_up(weight)


def layer_of(step: Step) -> Layer:
    """Return the layer that does a step for whose weight `can_run` holds, or whose inputs are rounded."""
    weight = step.weight
    if step.input_bits == 8:
        return coded.Rounded(step, _rounded_layer(replace(step, bias=None, low=-INF, high=INF, input_bits=32)))
    if isinstance(weight, VectorSparseTensor):
        return _VectorSparse(weight, step)
    if isinstance(weight, NMTensor):
        return _NM(weight, step)
    if weight is not None and weight.kind in ROWS:
        return _Csr(as_rows(weight), step)
    if (codes := codes_of(weight)) is None:
        raise TypeError(f"{step.name} has no packed weight that a kernel runs on")
    return coded.on_floats(codes, step)


def _rounded_layer(step: Step) -> Layer:
    """Return the layer that multiplies inputs which are whole numbers in [-127, 127]."""
    if (codes := codes_of(step.weight)) is not None:
        return coded.on_bytes(codes.whole(), step)
    return layer_of(step) if step.weight and can_run(step.weight) else coded.Unpacked(step)


class _Columns:
    """What layers share that treat many samples as columns: bias and limits, and where input and sums lie, padded and aligned.

    Args:
        rows: outputs, padded to what the kernel computes.
        step: the layer.
        kernels: samples at a time → kernel.
        weights: that the kernels take.
    """

    def __init__(self, rows: int, step: Step, kernels: Mapping[int, Any], *weights: Any) -> None:
        self._out, inputs = step.weight.shape if step.weight else (0, 0)
        self.bias = np.zeros(rows, np.float32)
        self.bias[: self._out] = bias_of(step)
        self._kernels, self._wide = kernels, max(kernels)
        limits = np.float32(step.low), np.float32(step.high)
        self._arrays = aligned(inputs * self._wide), aligned(rows * self._wide), *weights, self.bias, *limits

    def run(self, x: Values) -> Values:
        """Return what x (n, inputs) becomes, (n, out)."""
        out = np.empty((len(x), self._out), np.float32)
        x = np.ascontiguousarray(x)
        for wide, first, last in stretches(len(x), self._wide):
            self._kernels[wide](x, out, *self._arrays, first, last)
        return out


class _Csr:
    def __init__(self, weight: CsrTensor, step: Step) -> None:
        self._step = step
        (out, width), values, columns = weight.shape, weight.values.astype(np.float32), weight.columns.astype(np.int32)
        taps = packed(columns, values)
        self._row = on_a_line(taps), weight.pointers.astype(np.int64)
        most = min(-(-width // csr_linear.INPUTS), len(taps) // max(1, out * csr_linear.LEAST))
        per_block = -(-width // max(1, most))
        blocks = max(1, -(-width // max(1, per_block)))
        place = columns // max(1, per_block) * out + weight.index.rows
        order = np.argsort(place, kind="stable")
        pointers = np.concatenate([[0], np.cumsum(np.bincount(place, minlength=blocks * out))]).astype(np.int64)
        self._columns = _Columns(out, step, csr_linear.MANY, on_a_line(taps[order]), pointers)
        self._y = np.zeros(out, np.float32)

    def __call__(self, x: Values) -> Values:
        if len(x) <= FEW_ROWS:
            return one_by_one(x, self._step, self._one)
        return self._columns.run(x)

    def _one(self, row: Values) -> Values:
        csr_linear.csr_linear_one(*self._row, row, self._y)
        return self._y


class _VectorSparse:
    def __init__(self, weight: VectorSparseTensor, step: Step) -> None:
        self._step, self._block = step, weight.block
        self._weights = on_a_line(weight.values), weight.index.columns.astype(np.int32), weight.index.pointers.astype(np.int64)
        rows = (len(self._weights[2]) - 1) * weight.block
        self._columns = _Columns(rows, step, vector_linear.MANY[weight.block], *self._weights)
        self._y = aligned(len(self._columns.bias))

    def __call__(self, x: Values) -> Values:
        if len(x) <= FEW:
            return one_by_one(x, self._step, self._one)
        return self._columns.run(x)

    def _one(self, row: Values) -> Values:
        vector_linear.ONE[self._block](*self._weights, row, self._y)
        return self._y[: len(bias_of(self._step))]


class _NM:
    def __init__(self, weight: NMTensor, step: Step) -> None:
        self._step, self._m = step, weight.m
        chunk = n_m_linear.INPUTS // weight.m * weight.n
        out, places = weight.shape[0], weight.columns
        slots = places.shape[1]
        per = n_m_linear.PER_WORD[weight.m.bit_length() - 1]
        rows = LANES * TOGETHER
        values = np.zeros((-(-out // rows) * rows, -(-slots // per) * per), np.float32)
        indices = np.zeros(values.shape, np.uint32)
        values[:out, :slots], indices[:out, :slots] = weight.values.reshape(out, slots), places % weight.m
        by_block = (len(values) // LANES, LANES, values.shape[1])
        words = indices.reshape(*by_block[:2], -1, per) << (np.arange(per, dtype=np.uint32) * np.uint32(weight.m.bit_length() - 1))
        words = np.bitwise_or.reduce(words, axis=3).transpose(0, 2, 1)
        self._one_weights = on_a_line(values.reshape(by_block).transpose(0, 2, 1)), on_a_line(words.astype(np.uint32)).view(np.int32)
        self._starts = np.arange(values.shape[1]) // weight.n * weight.m
        self._x = aligned((values.shape[1] // weight.n + 1) * weight.m + 2 * 16)
        self._y = aligned(len(values))
        taps = _chunks(packed(places, weight.values.reshape(places.shape)), chunk)
        self._columns = _Columns(out + out % 2, step, n_m_linear.MANY, taps, chunk)

    def __call__(self, x: Values) -> Values:
        if len(x) <= FEW:
            return one_by_one(x, self._step, self._one)
        return self._columns.run(x)

    def _one(self, row: Values) -> Values:
        self._x[: len(row)] = row
        n_m_linear.ONE[self._m](*self._one_weights, self._starts, self._x, self._y)
        return self._y[: len(bias_of(self._step))]


def _chunks(taps: NDArray[np.int64], chunk: int) -> NDArray[np.int64]:
    """Return taps (out, slots), `chunk` slots of every row after the other, as the kernel for many samples reads them.

    An odd number of rows gets one of zeros.
    """
    even = np.concatenate([taps, np.zeros((len(taps) % 2, taps.shape[1]), np.int64)])
    return on_a_line(np.concatenate([even[:, start : start + chunk].reshape(-1) for start in range(0, taps.shape[1], chunk)] or [even[0]]))
