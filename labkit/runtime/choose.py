"""Which format each weight of a program takes: the one that was asked for, what the rule gives, or what was measured."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from labkit.core.errors import FileFormatError, ModelError
from labkit.formats import Format, not_zero_bits, smallest
from labkit.runtime.steps import Shape, Step, value_shapes
from labkit.runtime.winograd import pays

CONV_DENSITY = 0.5
LINEAR_DENSITY = 0.3
PATTERN_DENSITY = 0.5
SMALL_SHARE = 0.1
"""The rule: a convolution is sparse if at most half of its weights are not zero, a linear layer if at most three tenths are, or
half of them in whole blocks of outputs or as N:M, where that takes fewer bytes. A convolution with less than a tenth of all
convolutions' products goes with the majority of those products, since changing the layout around it would cost more than it
saves. Beside sparse convolutions, a dense one that Winograd's algorithm fits runs in their layout."""

FORMATS = ("dense", "csr", "n_m", "vector_sparse")
ANY = ("auto", "rule", *FORMATS)
"""What can be asked for: "auto" measures (see `labkit.runtime.fastest`), "rule" goes by the share of zeros and gives the same on
every machine, the others take one format for all weights."""

_SPARSE_LINEAR = ("csr", "n_m", "vector_sparse")


def with_formats(steps: list[Step], image: Shape, batch: int, formats: str) -> list[Step]:
    """Return the steps with each weight in the format that was asked for; a weight that is coded already keeps its own.

    Args:
        steps: in execution order, with dense or coded weights.
        image: (c, h, w) of the input, or (features,).
        batch: images at once; only "auto" asks.
        formats: one of `ANY`.

    Raises:
        ModelError: the network cannot take such inputs.
    """
    try:
        value_shapes(steps, image)
    except FileFormatError as error:
        raise ModelError(f"the network cannot take inputs of shape {image}: {error}") from error
    if formats == "auto":
        from labkit.runtime.fastest import measured

        return measured(steps, image, batch)
    return rule(steps, image) if formats == "rule" else [packed(step, formats) if _is_dense(step) else step for step in steps]


def rule(steps: list[Step], image: Shape) -> list[Step]:
    """Return the steps with each dense weight in the format that the rule gives."""
    products = [n if step.op == "conv" else 0 for n, step in zip(products_of(steps, image), steps, strict=True)]
    sparse = [step.op == "conv" and _is_dense(step) and density(step) <= CONV_DENSITY for step in steps]
    total = sum(products)
    majority = sum(n for n, chosen in zip(products, sparse, strict=True) if chosen) * 2 > total
    sparse = [majority if 0 < n < SMALL_SHARE * total else chosen for n, chosen in zip(products, sparse, strict=True)]
    ruled = [_ruled(step, chosen) if _is_dense(step) else step for step, chosen in zip(steps, sparse, strict=True)]
    if not any(sparse):
        return ruled
    shapes = value_shapes(steps, image)[1:]
    return [replace(step, images_innermost=_is_dense(step) and pays(step, shape[1:])) for step, shape in zip(ruled, shapes, strict=True)]


def packed(step: Step, *formats: str) -> Step:
    """Return a step with its weight in that one of the formats which takes the fewest bytes."""
    return replace(step, weight=smallest(_weight(step), formats))


def density(step: Step) -> float:
    """Return the share of a step's weights that are not zero."""
    weight = _weight(step)
    return float(np.count_nonzero(not_zero_bits(weight))) / max(1, weight.size)


def products_of(steps: Sequence[Step], image: Shape) -> list[int]:
    """Return the multiply-accumulates of each step for one image, zeros counted; 0 for a step without a weight."""
    shapes = value_shapes(steps, image)[1:]
    return [
        0 if step.weight is None else math.prod(shape[1:]) * math.prod(step.weight.shape) for step, shape in zip(steps, shapes, strict=True)
    ]


def _is_dense(step: Step) -> bool:
    return step.weight is not None and step.weight.kind == "dense"


def _ruled(step: Step, is_sparse: bool) -> Step:
    """Return a step as the rule has it: a linear layer in the sparse format of the fewest bytes, or dense where too much is left."""
    if step.op != "linear":
        return packed(step, "csr") if is_sparse else step
    if density(step) > PATTERN_DENSITY:
        return step
    smaller = packed(step, *_SPARSE_LINEAR)
    is_rows = smaller.weight is not None and smaller.weight.kind == "csr"
    return step if is_rows and density(step) > LINEAR_DENSITY else smaller


def _weight(step: Step) -> np.ndarray[Any, Any]:
    return np.zeros(0, np.float32) if step.weight is None else step.weight.unpack()


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
