"""Which format each weight of a program takes: the one that was asked for, or what the rule of "auto" gives."""

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from labkit.core.errors import FileFormatError, ModelError
from labkit.formats import Format, not_zero_bits, smallest
from labkit.runtime.steps import Shape, Step, value_shapes

CONV_DENSITY = 0.5
LINEAR_DENSITY = 0.3
PATTERN_DENSITY = 0.5
SMALL_SHARE = 0.1
"""The rule of "auto": a convolution is sparse if at most half of its weights are not zero, a linear layer if at most
three tenths are, or half of them in whole blocks of outputs or as N:M, where that takes fewer bytes. A convolution with less than a tenth of all convolutions' products goes with the majority of those
products, since changing the layout around it would cost more than it saves."""

FORMATS = ("dense", "csr", "n_m", "vector_sparse")
_SPARSE_LINEAR = ("csr", "n_m", "vector_sparse")


def with_formats(steps: list[Step], image: Shape, formats: str) -> list[Step]:
    """Return the steps with each weight in the format that was asked for, or that the rule of "auto" gives."""
    try:
        shapes = value_shapes(steps, image)
    except FileFormatError as error:
        raise ModelError(f"the network cannot take inputs of shape {image}: {error}") from error
    products = [_products(step, shape) for step, shape in zip(steps, shapes[1:], strict=True)]
    if formats != "auto":
        return [step if step.weight is None else replace(step, weight=smallest(_weight(step), [formats])) for step in steps]
    sparse = [step.op == "conv" and _density(step) <= CONV_DENSITY for step in steps]
    total = sum(products)
    majority = sum(n for n, chosen in zip(products, sparse, strict=True) if chosen) * 2 > total
    sparse = [majority if 0 < n < SMALL_SHARE * total else chosen for n, chosen in zip(products, sparse, strict=True)]
    return [
        _linear(step) if step.op == "linear" else _packed(step, "csr") if chosen else step
        for step, chosen in zip(steps, sparse, strict=True)
    ]


def _packed(step: Step, *formats: str) -> Step:
    return replace(step, weight=smallest(_weight(step), formats))


def _linear(step: Step) -> Step:
    """Return a linear layer in the sparse format that takes the fewest bytes, or dense where it is too dense for that."""
    density = _density(step)
    if density > PATTERN_DENSITY:
        return step
    packed = _packed(step, *_SPARSE_LINEAR)
    is_rows = packed.weight is not None and packed.weight.kind == "csr"
    return step if is_rows and density > LINEAR_DENSITY else packed


def _weight(step: Step) -> np.ndarray[Any, Any]:
    return np.zeros(0, np.float32) if step.weight is None else step.weight.unpack()


def _density(step: Step) -> float:
    weight = _weight(step)
    return float(np.count_nonzero(not_zero_bits(weight))) / max(1, weight.size)


def _products(step: Step, shape: Shape) -> int:
    """Return the multiply-accumulates of a convolution for one image; 0 for any other step."""
    return math.prod(shape[1:]) * math.prod(step.weight.shape) if step.op == "conv" and step.weight is not None else 0


def with_values(steps: list[Step], values: Mapping[str, Format]) -> list[Step]:
    """Return the steps with the coded values of their weights in place of what the model holds.

    Raises:
        ModelError: a value belongs to no step, or stands for other weights than the model has.
    """
    left, out = dict(values), []
    for step in steps:
        value = left.pop(f"{step.name}.weight", None)
        if value is not None:
            weight = _weight(step)
            if value.shape != weight.shape or not np.allclose(value.unpack(), weight, rtol=1e-5, atol=1e-7):
                raise ModelError(f"the value of '{step.name}.weight' must stand for the weights that the model holds: apply it first")
            step = replace(step, weight=value)
        out.append(step)
    if left:
        raise ModelError(f"the value of {min(left)!r} belongs to no convolution or linear layer of the network")
    return out
