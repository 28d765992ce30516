"""Dense float32 steps, delegated to torch in channels_last.

Where this torch has oneDNN's fused operations, convolutions and linear layers run by them with weights laid out beforehand
and their ReLU or ReLU6 inside. Below `FUSE_FROM` images the plain operation is faster: a fused call costs some 20 µs more.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from time import perf_counter
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from labkit.runtime.steps import Pair, Shape, Step, bias_of, value_shapes

FUSE_FROM = 8
TRANSPOSED_TO = 600_000
"""Entries of the largest weight of a linear layer that lies transposed in memory: its product is then faster than torch's of
rows by rows and than oneDNN's, that of a larger one slower."""

_RELU, _RELU6 = (0.0, float("inf")), (0.0, 6.0)

Call = Callable[..., Tensor]


class DenseStage:
    """A stretch of steps that torch runs; the counterpart of `SparseStage`.

    Args:
        steps: (number of the value it makes, step), in execution order.
        shapes: of all values of the program.
        outside: numbers of the values that are read after the stage.

    Attributes:
        names: of the steps.
    """

    def __init__(self, steps: Sequence[tuple[int, Step]], shapes: Sequence[Shape], outside: set[int]) -> None:
        made = {number for number, _ in steps}
        self.names = [step.name for _, step in steps]
        self._inputs = sorted({n for _, step in steps for n in step.inputs} - made)
        self._outputs = sorted(made & outside)
        self._calls = [(number, step.inputs, lower(step, shapes[step.inputs[0]])) for number, step in steps]
        last_use = {n: row for row, (_, step) in enumerate(steps) for n in step.inputs}
        self._spent_after = [[n for n, row in last_use.items() if row == k and n not in outside] for k in range(len(steps))]

    def run(self, values: dict[int, NDArray[np.float32]], spent: list[float] | None = None) -> None:
        """Read the stage's inputs from `values`, (n, c, h, w) or (n, features), and add its outputs.

        Args:
            values: by number; changed.
            spent: seconds of each step and, last, of getting in and out; added to, when given.
        """
        with torch.inference_mode():
            start = perf_counter()
            tensors = {n: _as_tensor(values[n]) for n in self._inputs}
            for row, (number, inputs, call) in enumerate(self._calls):
                before = perf_counter()
                tensors[number] = call(*(tensors[n] for n in inputs))
                for n in self._spent_after[row]:
                    del tensors[n]
                if spent is not None:
                    start += perf_counter() - before
                    spent[row] += perf_counter() - before
            for n in self._outputs:
                values[n] = tensors[n].numpy()
            if spent is not None:
                spent[-1] += perf_counter() - start


def lower(step: Step, shape: Shape) -> Call:
    """Return the torch call that does a step.

    Args:
        step: what to do.
        shape: of its first input, without the batch.
    """
    if step.op == "conv" and any(excess(step.kernel, step.padding, step.dilation)):
        return _padded(step, shape)
    if step.op == "conv":
        return _with_fusion(step, _conv(step), _fused_conv(step, shape))
    if step.op == "linear":
        return _linear(step)
    return partial(_PLAIN[step.op], step)


def _as_tensor(value: NDArray[np.float32]) -> Tensor:
    tensor = torch.from_numpy(value)
    return tensor.contiguous(memory_format=torch.channels_last) if tensor.dim() == 4 else tensor


def _parameters(step: Step) -> tuple[Tensor, Tensor]:
    if step.weight is None:
        raise TypeError(f"{step.name} must have a weight")
    weight = torch.from_numpy(step.weight.unpack().astype(np.float32))
    layout = torch.channels_last if weight.dim() == 4 else torch.contiguous_format
    return weight.contiguous(memory_format=layout), torch.from_numpy(bias_of(step).copy())


def _with_fusion(step: Step, plain: Call, fused: Call | None) -> Call:
    """Return a call that takes the fused operation for batches that are worth it, and applies the limits otherwise."""

    def call(x: Tensor) -> Tensor:
        if fused is not None and len(x) >= FUSE_FROM:
            return fused(x)
        return _limit(step, plain(x))

    return call


def _limit(step: Step, x: Tensor) -> Tensor:
    """Apply a step's limits to a fresh tensor, in place."""
    if (step.low, step.high) == _RELU:
        return x.relu_()
    return x.clamp_(step.low, step.high) if step.clips else x


def _attribute(step: Step) -> tuple[str, list[float], str] | None:
    """Return what oneDNN calls a step's limits; None where it has no name for them."""
    if (step.low, step.high) == _RELU:
        return "relu", [], ""
    if (step.low, step.high) == _RELU6:
        return "hardtanh", [0.0, 6.0], ""
    return None if step.clips else ("none", [], "")


def _conv(step: Step) -> Call:
    weight, bias = _parameters(step)
    return partial(F.conv2d, weight=weight, bias=bias, stride=step.stride, padding=step.padding, dilation=step.dilation, groups=step.groups)


def excess(kernel: Pair, padding: Pair, dilation: Pair) -> Pair:
    """Return by how much the padding is wider than what a window reaches beyond its first pixel.

    With such padding a window may lie wholly outside of the image, and oneDNN's kernels then read what is not theirs: the
    process dies, or sums are of anything (seen with torch 2.14 on random geometries, of floats and of bytes, fused and not).
    """
    extra = [max(0, p - d * (k - 1)) for p, d, k in zip(padding, dilation, kernel, strict=True)]
    return extra[0], extra[1]


def _padded(step: Step, shape: Shape) -> Call:
    """Return the call of a convolution whose excess of padding is written out as zeros beforehand."""
    (rows, columns), (channels, height, width) = excess(step.kernel, step.padding, step.dilation), shape
    inner = replace(step, padding=(step.padding[0] - rows, step.padding[1] - columns))
    call = lower(inner, (channels, height + 2 * rows, width + 2 * columns))
    return lambda x: call(F.pad(x, (columns, columns, rows, rows)).contiguous(memory_format=torch.channels_last))


def _fused_conv(step: Step, shape: Shape) -> Call | None:
    attribute, (weight, bias) = _attribute(step), _parameters(step)
    if attribute is None or is_misread(step, shape) or not _has_onednn("_convolution_pointwise"):
        return None
    geometry: list[Any] = [list(step.padding), list(step.stride), list(step.dilation), step.groups]
    packed = torch.ops.mkldnn._reorder_convolution_weight(weight, *geometry, [64, *shape])

    def call(x: Tensor) -> Tensor:
        y: Tensor = torch.ops.mkldnn._convolution_pointwise(x, packed, bias, *geometry, *attribute)
        return y

    return call


def is_misread(step: Step, shape: Shape) -> bool:
    """Tell whether oneDNN's fused or integer convolution may not be trusted: one channel in and a single row or column out.

    With strides above 1 its numbers are then of anything (torch 2.14), while the plain operation's are right.
    """
    return shape[0] == 1 and 1 in value_shapes([replace(step, inputs=(0,))], shape)[1][1:]


def _linear(step: Step) -> Call:
    weight, bias = _parameters(step)
    if weight.numel() > TRANSPOSED_TO:
        return _with_fusion(step, partial(F.linear, weight=weight, bias=bias), _fused_linear(step))
    columns = weight.t().contiguous()
    return lambda x: _limit(step, torch.addmm(bias, x, columns))


def _fused_linear(step: Step) -> Call | None:
    attribute, (weight, bias) = _attribute(step), _parameters(step)
    if attribute is None or not _has_onednn("_linear_pointwise"):
        return None
    packed = torch.ops.mkldnn._reorder_linear_weight(weight, 64)

    def call(x: Tensor) -> Tensor:
        y: Tensor = torch.ops.mkldnn._linear_pointwise(x, packed, bias, *attribute)
        return y

    return call


def _has_onednn(name: str) -> bool:
    return torch.backends.mkldnn.is_available() and hasattr(torch.ops.mkldnn, name)


def _max_pool(step: Step, x: Tensor) -> Tensor:
    return _limit(step, F.max_pool2d(x, step.kernel, step.stride, step.padding, ceil_mode=step.rounds_up))


def _average_pool(step: Step, x: Tensor) -> Tensor:
    mean = x.mean(dim=(2, 3), keepdim=True) if step.kernel == (1, 1) else F.adaptive_avg_pool2d(x, step.kernel)
    return _limit(step, mean)


def _concat(step: Step, *parts: Tensor) -> Tensor:
    return _limit(step, torch.cat(parts, 1))


def _hardswish(step: Step, x: Tensor) -> Tensor:
    return _limit(step, F.hardswish(x))


def _add(step: Step, x: Tensor, other: Tensor) -> Tensor:
    return _limit(step, x + other)


def _flatten(step: Step, x: Tensor) -> Tensor:
    return x.flatten(1) if not step.clips else x.flatten(1).clamp(step.low, step.high)


def _clip(step: Step, x: Tensor) -> Tensor:
    return x.clamp(step.low, step.high)


_PLAIN: dict[str, Call] = {
    "max_pool": _max_pool,
    "average_pool": _average_pool,
    "add": _add,
    "concat": _concat,
    "flatten": _flatten,
    "hardswish": _hardswish,
    "clip": _clip,
}
