"""From a program of floats to one of integers: weights become int8, biases int32, and every value bytes.

Source     Jacob et al. 2017, arXiv:1712.05877, section 2: cards `linear`, `integer_matmul`.
Deviation  A channel whose weights are tiny beside its bias, or beside what the next layer can tell apart, takes a larger
           scale than its weights ask for, so that its bias fits an int32 and its multiplier its shift.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from labkit.core.errors import ModelError
from labkit.formats import PlainFormat
from labkit.formats.linear import LinearTensor
from labkit.runtime.affine import KEEP, is_integer
from labkit.runtime.calibrate import INPUT
from labkit.runtime.steps import Affine, Step, bias_of

_MOST_BIAS = 2.0**30
_LEAST_MULTIPLIER = 2.0**-31


def as_integers(steps: Sequence[Step], activations: Mapping[str, tuple[float, int]], *, exact: bool = True) -> list[Step]:
    """Return the steps that do the same on codes: floats go in and come out, everything between is integers.

    Args:
        steps: of floats, in execution order; weights are plain, or linear codes of at most 8 bits, which stay.
        activations: (scale, zero point) of the input, called "input", and of each step's result.
        exact: see `Affine`.

    Raises:
        ModelError: an activation has no codes, or a layer cannot be done in integers.
    """
    out = [Step("quantize", INPUT, (0,), codes=_codes_of(INPUT, activations, exact))]
    codes = [out[0].codes]
    for number, step in enumerate(steps, start=1):
        read = codes[step.inputs[0]]
        if read is None:
            raise ModelError(f"{step.name} reads what is no longer codes")
        makes: Affine | None = read if step.op in KEEP else None
        if makes is None and not (step.weight is not None and number == len(steps)):
            makes = _codes_of(step.name, activations, exact)
        step = replace(step, inputs=tuple(n + 1 for n in step.inputs), codes=makes)
        out.append(step if step.weight is None else _layer(step, read))
        codes.append(makes)
    if codes[-1] is not None:
        out.append(Step("dequantize", "output", (len(out),)))
    return out


def _codes_of(name: str, activations: Mapping[str, tuple[float, int]], exact: bool) -> Affine:
    if name not in activations:
        raise ModelError(f"the activation {name!r} has no scale: hand calibration images to compile, or calibrate it before")
    scale, zero = activations[name]
    return Affine(float(np.float32(scale)), int(zero), exact)


def _layer(step: Step, read: Affine) -> Step:
    """Return a layer with integer weight and bias."""
    bias = bias_of(step).astype(np.float64)
    if not is_integer(step):
        if not isinstance(step.weight, PlainFormat):
            kind = step.weight.kind if step.weight is not None else "no"
            raise ModelError(
                f"{step.name} has {kind} weights: integer layers take plain ones or linear codes of at most 8 bits, without groups"
            )
        step = replace(step, weight=_symmetric(step.weight.unpack(), bias, read, step.codes))
    scales: Any = getattr(step.weight, "scales", None)
    whole = np.rint(bias / (scales.astype(np.float64) * read.scale))
    if np.abs(whole).max(initial=0) >= 2**31:
        raise ModelError(f"a bias of {step.name} does not fit 32 bits in units of its weights' scale: give that channel a larger one")
    return replace(step, bias=whole.astype(np.int32))


def _symmetric(weight: NDArray[Any], bias: NDArray[np.float64], read: Affine, makes: Affine | None) -> LinearTensor:
    """Return a weight (out, …) as int8 codes in [-127, 127], with a scale for each output."""
    rows = np.abs(weight.reshape(len(weight), -1))
    scales = (rows.max(axis=1, initial=0) / np.float32(127)).astype(np.float32)
    least = np.abs(bias) / (read.scale * _MOST_BIAS)
    if makes is not None:
        least = np.maximum(least, _LEAST_MULTIPLIER * makes.scale / read.scale)
    scales = np.where(scales < np.finfo(np.float32).tiny, np.float32(1), scales)
    scales = np.maximum(scales, least.astype(np.float32))
    codes = np.rint(weight / scales.reshape(-1, *[1] * (weight.ndim - 1)))
    return LinearTensor.pack(np.clip(codes, -127, 127).astype(np.int8), scales)
