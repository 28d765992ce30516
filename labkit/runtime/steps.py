"""Steps: what a program does, in execution order, as plain values that a file can hold.

Value 0 is the input; step number k (from 0) makes value k + 1. An image value is (c, h, w), a vector value (features,),
the batch left out.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from labkit.core.errors import FileFormatError
from labkit.formats import Format

Pair = tuple[int, int]
Shape = tuple[int, ...]

INF = math.inf
MOST_VALUES = 1 << 26  # entries of one image's activation: a small file must not ask for all memory
OPS = ("add", "average_pool", "clip", "concat", "conv", "dequantize", "flatten", "hardswish", "linear", "max_pool", "quantize")
MOST_INPUTS = 64


@dataclass(frozen=True)
class Affine:
    """What the codes of a value stand for: r = scale · (q - zero), with q in [0, 255].

    Attributes:
        scale: a float32, as Python's float.
        zero: the code of 0.
        exact: whether sums become codes by a fixed-point multiplier, as card `requantize` says; else the delegate may round
            them in float, which comes within one code.
    """

    scale: float
    zero: int
    exact: bool = True


@dataclass(frozen=True, eq=False)
class Step:
    """One operation.

    Attributes:
        op: one of `OPS`; `average_pool` divides the whole image into `kernel` parts, `concat` joins channels, `clip` does nothing
            but limit, `quantize` turns floats into codes.
        name: of the layer, as in the model.
        inputs: numbers of the values it reads.
        weight: of `conv` (c_out, c_in / groups, k_h, k_w) and `linear` (c_out, c_in).
        bias: (c_out,) float32, or None; of a layer that reads codes (c_out,) int32, in units of S_w · S_x.
        kernel, stride, padding, dilation: of `conv` and `max_pool`, vertical and horizontal.
        groups: of `conv`.
        rounds_up: a last window of `max_pool` that reaches beyond the image counts too (torch's `ceil_mode`).
        low, high: the result is limited to [low, high]; ReLU is (0, inf).
        input_bits: 8 where a linear layer's inputs are rounded to bytes, each sample by its own largest value; else 32.
        codes: what the codes that it makes stand for; None where it makes floats.
        images_innermost: whether a convolution with a dense weight runs on groups of images, as one with a sparse weight always does.
    """

    op: str
    name: str
    inputs: tuple[int, ...]
    weight: Format | None = None
    bias: NDArray[Any] | None = None
    kernel: Pair = (1, 1)
    stride: Pair = (1, 1)
    padding: Pair = (0, 0)
    dilation: Pair = (1, 1)
    groups: int = 1
    low: float = -INF
    high: float = INF
    rounds_up: bool = False
    input_bits: int = 32
    codes: Affine | None = None
    images_innermost: bool = False

    @property
    def clips(self) -> bool:
        return self.low > -INF or self.high < INF


def value_shapes(steps: Sequence[Step], image: Shape) -> list[Shape]:
    """Return the shape of every value, without the batch, checking that the steps fit each other.

    Args:
        steps: in execution order.
        image: (c, h, w) of the input, or (features,).

    Raises:
        FileFormatError: a step reads a value that is not there yet, or one of a shape that it cannot treat.
    """
    shapes = [tuple(image)]
    for step in steps:
        where = f"the step {step.name[:60]!r} ({step.op[:20]})"
        arity = 2 if step.op == "add" else max(1, len(step.inputs)) if step.op == "concat" else 1
        if step.op not in OPS or len(step.inputs) != arity or not all(0 <= n < len(shapes) for n in step.inputs):
            raise FileFormatError(f"{where} must be one of {', '.join(OPS)} and read {arity} earlier value(s), got {step.inputs}")
        if not step.low <= 0 <= step.high:
            raise FileFormatError(f"{where} must limit to a range around 0, got [{step.low}, {step.high}]")
        if step.input_bits != 32 and (step.input_bits != 8 or step.op != "linear"):
            raise FileFormatError(f"{where} must have inputs of 32 bits, or of 8 if it is linear, got {step.input_bits}")
        if step.images_innermost and step.op != "conv":
            raise FileFormatError(f"{where} must not ask for groups of images: only a convolution may")
        shape = _RULES[step.op](step, [shapes[n] for n in step.inputs], where)
        if min(shape) < 1 or math.prod(shape) > MOST_VALUES:
            raise FileFormatError(f"{where} must make at most {MOST_VALUES} values an image, got shape {shape}")
        shapes.append(shape)
    return shapes


def bias_of(step: Step) -> NDArray[np.float32]:
    """Return the bias of a convolution or linear layer; zeros where there is none."""
    if step.bias is not None:
        return step.bias
    return np.zeros(step.weight.shape[0] if step.weight else 0, np.float32)


def _conv(step: Step, inputs: list[Shape], where: str) -> Shape:
    weight = _weight(step, 4, where)
    if len(inputs[0]) != 3 or inputs[0][0] != weight[1] * step.groups or weight[0] % step.groups or tuple(weight[2:]) != step.kernel:
        raise FileFormatError(f"{where} cannot apply a weight of {weight} in {step.groups} groups to an input of {inputs[0]}")
    return (weight[0], *_windows(step, inputs[0], where))


def _linear(step: Step, inputs: list[Shape], where: str) -> Shape:
    weight = _weight(step, 2, where)
    if inputs[0] != (weight[1],):
        raise FileFormatError(f"{where} cannot apply a weight of {weight} to an input of {inputs[0]}")
    return (weight[0],)


def _max_pool(step: Step, inputs: list[Shape], where: str) -> Shape:
    if len(inputs[0]) != 3 or any(2 * p > k for p, k in zip(step.padding, step.kernel, strict=True)) or step.dilation != (1, 1):
        raise FileFormatError(f"{where} must pool images, with padding of at most half its window")
    return (inputs[0][0], *_windows(step, inputs[0], where))


def _average_pool(step: Step, inputs: list[Shape], where: str) -> Shape:
    if len(inputs[0]) != 3:
        raise FileFormatError(f"{where} must pool images, got {inputs[0]}")
    if not all(1 <= k <= size for k, size in zip(step.kernel, inputs[0][1:], strict=True)):
        raise FileFormatError(f"{where} must pool to at most {inputs[0][1:]} parts, got {step.kernel}")
    return (inputs[0][0], *step.kernel)


def _concat(step: Step, inputs: list[Shape], where: str) -> Shape:
    if len({shape[1:] for shape in inputs}) > 1 or len({len(shape) for shape in inputs}) > 1:
        raise FileFormatError(f"{where} cannot join {', '.join(map(str, inputs))[:200]}: all but the channels must agree")
    return (sum(shape[0] for shape in inputs), *inputs[0][1:])


def _add(step: Step, inputs: list[Shape], where: str) -> Shape:
    if inputs[0] != inputs[1]:
        raise FileFormatError(f"{where} cannot add {inputs[0]} and {inputs[1]}")
    return inputs[0]


def _windows(step: Step, image: Shape, where: str) -> Pair:
    """Return height and width after windows slid over an image."""
    sizes = []
    for n in (0, 1):
        k, s, p, d = step.kernel[n], step.stride[n], step.padding[n], step.dilation[n]
        if not (1 <= k <= 1024 and 1 <= s <= 1024 and 0 <= p <= 1024 and 1 <= d <= 1024):
            raise FileFormatError(f"{where} has a window {k}, stride {s}, padding {p} or dilation {d} that is out of range")
        room = image[1 + n] + 2 * p - d * (k - 1) - 1
        beyond = step.rounds_up and room % s > 0 and (room // s + 1) * s < image[1 + n] + p  # a window begins in image or padding
        sizes.append(room // s + 1 + beyond)
    return sizes[0], sizes[1]


def _weight(step: Step, dimensions: int, where: str) -> Shape:
    if step.weight is None or len(step.weight.shape) != dimensions or step.groups < 1:
        raise FileFormatError(f"{where} must have a weight of {dimensions} dimensions and at least one group")
    rows = step.weight.shape[0]
    if step.bias is not None and (step.bias.shape != (rows,) or step.bias.dtype not in (np.float32, np.int32)):
        raise FileFormatError(f"{where} must have a bias of {rows} float32, or int32 where it reads codes")
    return step.weight.shape


_RULES: dict[str, Callable[[Step, list[Shape], str], Shape]] = {
    "add": _add,
    "average_pool": _average_pool,
    "clip": lambda step, inputs, where: inputs[0],
    "concat": _concat,
    "conv": _conv,
    "dequantize": lambda step, inputs, where: inputs[0],
    "flatten": lambda step, inputs, where: (math.prod(inputs[0]),),
    "hardswish": lambda step, inputs, where: inputs[0],
    "linear": _linear,
    "max_pool": _max_pool,
    "quantize": lambda step, inputs, where: inputs[0],
}


_UNUSUAL = {"codes", "images_innermost", "input_bits", "rounds_up"}


def to_plain(step: Step) -> dict[str, Any]:
    """Return all of a step but weight and bias as plain JSON values; an infinite limit is null, and inputs of 32 bits go unsaid."""
    plain = {key: list(getattr(step, key)) for key in ("inputs", "kernel", "stride", "padding", "dilation")}
    limits = {key: None if math.isinf(getattr(step, key)) else getattr(step, key) for key in ("low", "high")}
    unusual: dict[str, Any] = {"rounds_up": True} if step.rounds_up else {}  # left out where it says nothing: files keep their bytes
    unusual |= {} if step.input_bits == 32 else {"input_bits": step.input_bits}
    unusual |= {} if step.codes is None else {"codes": [step.codes.scale, step.codes.zero, step.codes.exact]}
    unusual |= {"images_innermost": True} if step.images_innermost else {}
    return plain | limits | unusual | {"op": step.op, "name": step.name, "groups": step.groups}


def from_plain(plain: Any, weight: Format | None, bias: NDArray[Any] | None) -> Step:
    """Make a step from what `to_plain` returned, trusting nothing.

    Raises:
        FileFormatError: a key is missing, unknown or of the wrong type.
    """
    keys = {"op", "name", "inputs", "kernel", "stride", "padding", "dilation", "groups", "low", "high"}
    if not isinstance(plain, Mapping) or set(plain) - _UNUSUAL != keys:
        raise FileFormatError(f"a step must have exactly {', '.join(sorted(keys))}, and may have {', '.join(sorted(_UNUSUAL))}")
    lists = {key: plain[key] for key in ("inputs", "kernel", "stride", "padding", "dilation")}
    fine = all(isinstance(each, list) and 1 <= len(each) <= MOST_INPUTS and all(type(n) is int for n in each) for each in lists.values())
    fine = fine and all(len(lists[key]) == 2 for key in lists if key != "inputs") and type(plain["groups"]) is int
    fine = fine and all(isinstance(plain[key], str) for key in ("op", "name"))
    fine = fine and all(plain.get(key, True) is True for key in ("rounds_up", "images_innermost"))
    fine = fine and type(plain.get("input_bits", 8)) is int
    fine = fine and all(plain[key] is None or type(plain[key]) in (int, float) for key in ("low", "high"))
    if not fine:
        raise FileFormatError("a step has a setting of the wrong type")
    low = -INF if plain["low"] is None else float(plain["low"])
    high = INF if plain["high"] is None else float(plain["high"])
    pairs: dict[str, Any] = {key: tuple(value) for key, value in lists.items()}
    flags = {key: key in plain for key in ("rounds_up", "images_innermost")}
    rest: dict[str, Any] = flags | {"input_bits": plain.get("input_bits", 32), "low": low, "high": high}
    codes = _affine(plain["codes"]) if "codes" in plain else None
    return Step(plain["op"], plain["name"], weight=weight, bias=bias, groups=plain["groups"], codes=codes, **rest, **pairs)


def _affine(plain: Any) -> Affine:
    fine = isinstance(plain, list) and len(plain) == 3 and type(plain[0]) in (int, float) and type(plain[1]) is int
    if not fine or type(plain[2]) is not bool:
        raise FileFormatError("the codes of a step must be a scale, a zero point and whether they are exact")
    return Affine(float(plain[0]), plain[1], plain[2])
