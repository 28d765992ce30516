"""Integer steps as steps on whole numbers in float32, which the plan of one image runs by its kernels for floats.

A value that was codes holds q - Z, a weight q_w - Z_w. Sums of such are exact in float32, in whatever order they are added, as
long as no part of them can reach 2^24; a layer adds its bias afterwards, to the sum as an int32. A network with one layer for which
that is not proven, or with an operation that has no kernel here, has no such steps.
Source     Jacob et al. 2017, arXiv:1712.05877: cards `linear`, `integer_matmul`, `requantize`.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from labkit.formats import smallest
from labkit.runtime.affine import KEEP, LARGEST, code_limits, value_codes
from labkit.runtime.integer_layer import integer_codes
from labkit.runtime.integer_ops import add_factors, known
from labkit.runtime.kernels._simd import LANES
from labkit.runtime.kernels.int8_codes import multiplier_of
from labkit.runtime.steps import INF, Affine, Shape, Step

EXACT_BELOW = 1 << 24
"""Float32 holds every whole number up to this one."""

Numbered = tuple[int, Step]


@dataclass(frozen=True, eq=False)
class CodeStep(Step):
    """A step that enters, leaves, adds or rescales whole numbers; its numbers are what its kernel in `codes_one` says.

    Attributes:
        longs, ints, floats: its numbers, of 64 bits, of 32 bits and float32.
    """

    longs: Sequence[int] = ()
    ints: Sequence[int] = ()
    floats: Sequence[float] = ()


def in_whole_numbers(steps: Sequence[Step], shapes: Sequence[Shape]) -> tuple[list[Numbered], list[Shape]] | None:
    """Return the steps with those on codes rewritten; None where one cannot be, or its sums might not be exact.

    Args:
        steps: of a program.
        shapes: of its values.

    Returns:
        (number of the value it makes, step), in execution order, and the shapes of all values. Values keep their numbers; sums, which
        the program knows nothing of, have further ones.
    """
    rewriting = _Rewriting(steps, shapes)
    possible = all(rewriting.add(number, step) for number, step in enumerate(steps, start=1))
    return (rewriting.steps, rewriting.shapes) if possible else None


class _Rewriting:
    """A program whose steps are rewritten one after the other."""

    def __init__(self, steps: Sequence[Step], shapes: Sequence[Shape]) -> None:
        self.steps: list[Numbered] = []
        self.shapes = list(shapes)
        self._codes = value_codes(steps)
        self._readers: list[list[Numbered]] = [[] for _ in shapes]
        for number, step in enumerate(steps, start=1):
            for n in step.inputs:
                self._readers[n].append((number, step))
        self._done: set[int] = set()  # poolings of sums

    def add(self, number: int, step: Step) -> bool:
        """Add what does a step; return whether anything can."""
        read = [self._codes[n] for n in step.inputs]
        if number in self._done:
            return True
        if read[0] is not None and (step.weight is not None or step.op == "average_pool"):
            return self._sums(number, step, read[0])
        made = _rewritten(step, read, self.shapes[number])
        if made is not None:
            self.steps.append((number, made))
        return made is not None

    def _sums(self, number: int, step: Step, read: Affine) -> bool:
        """Add a layer or a mean: its sums, their pooling where nothing else reads them, and what becomes of them."""
        reach = max(read.zero, LARGEST - read.zero)  # of an input
        weight, layer, scales = _layer(step, read) if step.weight is not None else _mean(step, read, self.shapes[step.inputs[0]])
        if reach * int(np.abs(weight).reshape(len(weight), -1).sum(axis=1).max(initial=0)) >= EXACT_BELOW:
            return False
        layer = replace(layer, weight=smallest(weight.astype(np.float32), ("csr", "dense")))
        source, made = self._value(self.shapes[number], layer), number
        after = self._readers[number]
        if len(after) == 1 and step.op == "conv" and after[0][1].op == "max_pool" and not after[0][1].clips:
            made, pool = after[0]
            self._done.add(made)
            source = self._value(self.shapes[made], replace(pool, inputs=(source,), codes=None))
        added = np.zeros(len(weight), np.int32) if step.bias is None else step.bias
        self.steps.append((made, _rescaled(step, source, scales, added)))
        return True

    def _value(self, shape: Shape, step: Step) -> int:
        """Add a step that makes a value of its own, and return its number."""
        self.shapes.append(shape)
        self.steps.append((len(self.shapes) - 1, step))
        return len(self.shapes) - 1


def _rewritten(step: Step, read: Sequence[Affine | None], shape: Shape) -> Step | None:
    """Return what does a step without sums that makes a value of a shape; None where nothing can."""
    if step.codes is None and read[0] is None:
        return step
    if step.op == "quantize":
        codes = known(step.codes)
        return CodeStep("quantize", step.name, step.inputs, floats=(codes.scale, codes.zero))
    if step.op == "dequantize":
        return _rescaled(step, step.inputs[0], np.full(shape[0], known(read[0]).scale), np.zeros(shape[0], np.int32))
    if step.op == "add":
        factors = add_factors(step, [known(each) for each in read])
        return CodeStep("add_codes", step.name, step.inputs, low=_limits(step)[0], high=_limits(step)[1], longs=factors.tolist())
    if step.op in KEEP:
        low, high = _limits(step) if step.clips else (-INF, INF)
        return replace(step, codes=None, low=low, high=high)
    return None


def _layer(step: Step, read: Affine) -> tuple[NDArray[np.int64], Step, NDArray[np.float64]]:
    """Return q_w - Z_w of a layer, the step that sums, and what its sums are multiplied with."""
    codes, zeros, scales = integer_codes(step)
    weight = codes.astype(np.int64)
    if zeros is not None:
        weight -= zeros.reshape(-1, *[1] * (weight.ndim - 1))
    scales = scales * read.scale
    sums = replace(step, bias=None, codes=None, low=-INF, high=INF)
    return weight, sums, scales if step.codes is None else scales / step.codes.scale


def _mean(step: Step, read: Affine, image: Shape) -> tuple[NDArray[np.int64], Step, NDArray[np.float64]]:
    """Return the same of a mean over the whole image: a convolution by ones, each channel alone."""
    channels, *size = image
    sums = Step("conv", step.name, step.inputs, kernel=(size[0], size[1]), groups=channels)
    scales = np.full(channels, read.scale / (math.prod(size) * known(step.codes).scale))
    return np.ones((channels, 1, *size), np.int64), sums, scales


def _rescaled(step: Step, source: int, scales: NDArray[np.float64], added: NDArray[np.int32]) -> Step:
    """Return the step that makes codes or floats, as `step` does, of a value that holds sums."""
    if step.codes is None:
        bits = np.ascontiguousarray(scales, np.float64).view(np.int64).tolist()
        return CodeStep("dequantize", f"{step.name} + floats", (source,), low=step.low, high=step.high, longs=bits, ints=added.tolist())
    low, high = _limits(step)
    numbers = np.ones((3, -(-len(added) // LANES) * LANES), np.int32)
    numbers[0, : len(added)] = added
    numbers[1:, : len(added)] = np.array([multiplier_of(float(scale), step.name) for scale in scales]).T
    return CodeStep("requantize", f"{step.name} + codes", (source,), low=low, high=high, ints=numbers.reshape(-1).tolist())


def _limits(step: Step) -> tuple[float, float]:
    """Return the least and the largest code of a step, less its zero point."""
    low, high = code_limits(step)
    return float(low - known(step.codes).zero), float(high - known(step.codes).zero)
