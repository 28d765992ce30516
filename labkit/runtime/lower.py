"""From a torch model to a program: trace, fold batch norm, choose a format for each weight.

Each `torch.fx` node becomes one step, or becomes part of the step before it: a ReLU its limits; identity and dropout
nothing. An operation that is not listed here is refused by name.
"""

import operator
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor, fx, nn
from torch.nn import functional as F

from labkit.core.errors import ConfigError, ModelError
from labkit.core.records import Compressed
from labkit.formats import smallest
from labkit.models.fold import fold_batch_norm, trace
from labkit.models.zoo import check_finite
from labkit.runtime.calibrate import activation_ranges, activations_of
from labkit.runtime.choose import ANY, with_formats, with_values
from labkit.runtime.coded import with_inputs
from labkit.runtime.program import Program
from labkit.runtime.quantize import as_integers
from labkit.runtime.steps import Pair, Step

INTEGER = ("int8", "int8_fast")
INPUTS = ("float32", "int8")
_NOTHING = (nn.Identity, nn.Dropout, nn.Dropout2d)


def compile(  # noqa: A001  # what it is called everywhere
    compressed_or_model: Compressed | nn.Module,
    example: Tensor | np.ndarray[Any, Any],
    formats: str = "auto",
    inputs: str = "float32",
    calibration: Tensor | np.ndarray[Any, Any] | None = None,
) -> Program:
    """Compile a network into a program that computes what it computes in eval mode.

    Args:
        compressed_or_model: the network; it is not changed.
        example: an input (n, c, h, w) or (n, features), of which only the shape counts: n is the batch that "auto" measures with.
            The program takes any batch.
        formats: "auto" measures which of the formats are fastest here, with the threads that are set now; it takes about a second,
            and the first time longer, since kernels are compiled (`labkit warm` does that ahead). "rule" goes by the share of
            zeros: at once, and the same on every machine. Or one of `FORMATS` for all weights. A weight that has a coded value
            in `Compressed.values` keeps that, whatever is asked for, and a batch norm behind it stays a step of its own. "int8"
            makes everything between input and output integers, bit for bit what `labkit.runtime.simulation` says; "int8_fast"
            lets oneDNN round where that is faster, within one code of a layer's exact result.
        inputs: "float32", or "int8": linear layers whose weights are codes of at most four bits round each sample's inputs to
            bytes by its largest value, which makes their products those of integers; see `labkit.runtime.coded`.
        calibration: float32 images (n, …) as the network gets them, a few hundred, for the integer formats: each activation
            without codes in `Compressed.activations` takes the range that it has on these.

    Raises:
        ConfigError: `formats` or `inputs` is none of these, or one of the arguments does not go with the formats.
        ModelError: the model does something that cannot be lowered, a weight is NaN or infinite, or an activation has no codes.
    """
    _check(formats, inputs, calibration is not None)
    if isinstance(compressed_or_model, Compressed):
        model, note, values = compressed_or_model.model, {"network": compressed_or_model.network}, compressed_or_model.values
    else:
        model, note, values = compressed_or_model, {}, {}
    check_finite(model.state_dict())
    folded = fold_batch_norm(model, keep={name.removesuffix(".weight") for name in values})
    steps, image = _Lowering(folded).steps(), tuple(example.shape[1:])
    steps = with_values(steps, values)
    steps = with_inputs(steps) if inputs == "int8" else steps
    steps = with_formats(steps, image, max(1, len(example)), "dense" if formats in INTEGER else formats)
    if formats in INTEGER:
        known = dict(compressed_or_model.activations) if isinstance(compressed_or_model, Compressed) else {}
        if calibration is not None:
            known = activations_of(activation_ranges(steps, image, np.asarray(calibration))) | known
        steps = as_integers(steps, known, exact=formats == "int8")
    return Program(steps, image, note)


def _check(formats: str, inputs: str, calibrates: bool) -> None:
    if formats not in (*ANY, *INTEGER):
        raise ConfigError(f"compile.formats must be one of {', '.join((*ANY, *INTEGER))}, got {formats!r}")
    if inputs not in INPUTS:
        raise ConfigError(f"compile.inputs must be one of {', '.join(INPUTS)}, got {inputs!r}")
    if calibrates and formats not in INTEGER:
        raise ConfigError(f"compile.calibration is for the formats {' and '.join(INTEGER)}, not for {formats!r}: leave it out")
    if inputs != "float32" and formats in INTEGER:
        raise ConfigError(f"compile.inputs is for formats of floats: in {formats!r} all inputs are bytes, leave it out")


class _Lowering:
    """Walks a traced graph and makes steps."""

    def __init__(self, model: nn.Module) -> None:
        self._modules = dict(model.named_modules())
        self._graph = trace(model).graph
        self._steps: list[Step] = []
        self._values: dict[fx.Node, int] = {}

    def steps(self) -> list[Step]:
        """Return the steps, in execution order."""
        for node in self._graph.nodes:
            if node.op == "placeholder":
                if self._values:
                    raise ModelError(f"the network must have one input, got a second, {node.name!r}")
                self._values[node] = 0
            elif node.op == "output":
                return self._ended(node)
            else:
                self._values[node] = self._lower(node)
        raise ModelError("the network has no output")

    def _ended(self, node: fx.Node) -> list[Step]:
        result = node.args[0]
        if not isinstance(result, fx.Node) or self._values[result] != len(self._steps) or not self._steps:
            raise ModelError("the network's output must be one tensor, made by its last operation")
        return self._steps

    def _lower(self, node: fx.Node) -> int:
        """Return the number of the value that a node makes, adding a step if it needs one."""
        if node.op == "call_module":
            module = self._modules[str(node.target)]
            rule = next((rule for kind, rule in _MODULES.items() if isinstance(module, kind)), None)
            made = rule(module) if rule else None
            what, name = type(module).__name__, str(node.target)
        else:
            function = _METHODS.get(str(node.target)) if node.op == "call_method" else _FUNCTIONS.get(node.target)
            made = function(node) if function else None
            what, name = getattr(node.target, "__name__", str(node.target)), node.name
        if made is None:
            raise ModelError(f"the operation {what} ({name}) cannot be lowered: the runtime knows {', '.join(_known())}")
        sources = _sources(node)
        return self._place(replace(made, name=name, inputs=tuple(self._values[arg] for arg in sources)), sources[0])

    def _place(self, step: Step, source: fx.Node) -> int:
        """Add a step, or let it become part of the one before."""
        if step.op == "nothing":
            return step.inputs[0]
        last = self._steps[-1] if self._steps else None
        newest = step.inputs[0] == len(self._steps)
        if step.op == "clip" and last is not None and newest and last.op != "flatten" and not last.clips and len(source.users) == 1:
            self._steps[-1] = replace(last, low=step.low, high=step.high)
            return len(self._steps)
        self._steps.append(step)
        return len(self._steps)


def _pair(value: Any) -> Pair:
    return (int(value), int(value)) if isinstance(value, int) else (int(value[0]), int(value[1]))


def _dense(weight: Tensor, bias: Tensor | None, op: str, **settings: Any) -> Step:
    packed = smallest(weight.detach().float().cpu().numpy() + np.float32(0), ["dense"])  # a mask leaves -0.0, which is made +0.0
    return Step(op, "", (), packed, None if bias is None else bias.detach().float().cpu().numpy().copy(), **settings)


def _conv(conv: nn.Conv2d) -> Step:
    if conv.padding_mode != "zeros":
        raise ModelError(f"a convolution must pad with zeros, got {conv.padding_mode!r}")
    stride, dilation, kernel = _pair(conv.stride), _pair(conv.dilation), _pair(conv.kernel_size)
    if conv.padding == "same" and any(d * (k - 1) % 2 for d, k in zip(dilation, kernel, strict=True)):
        raise ModelError("a convolution with padding 'same' must have a window of odd size")
    same = (dilation[0] * (kernel[0] - 1) // 2, dilation[1] * (kernel[1] - 1) // 2)
    padding = same if conv.padding == "same" else (0, 0) if conv.padding == "valid" else _pair(conv.padding)
    return _dense(conv.weight, conv.bias, "conv", kernel=kernel, stride=stride, padding=padding, dilation=dilation, groups=conv.groups)


def _norm(norm: nn.BatchNorm1d | nn.BatchNorm2d) -> Step:
    """A batch norm that could not be folded: a depthwise 1×1 convolution does the same."""
    if norm.running_mean is None or norm.running_var is None or not isinstance(norm, nn.BatchNorm2d):
        raise ModelError("a batch norm that is not folded must be a BatchNorm2d with running statistics")
    gain = (norm.running_var.double() + norm.eps).rsqrt() * (1 if norm.weight is None else norm.weight.double())
    bias = -norm.running_mean.double() * gain + (0 if norm.bias is None else norm.bias.double())
    return _dense(gain.view(-1, 1, 1, 1), bias, "conv", groups=len(gain))


def _max_pool(kernel: Any, stride: Any, padding: Any, dilation: Any, rounds_up: bool, with_indices: bool = False) -> Step:
    if _pair(dilation) != (1, 1) or with_indices:
        raise ModelError("max pooling must have no dilation and return no indices")
    kernel, stride, padding = _pair(kernel), _pair(stride or kernel), _pair(padding)
    return Step("max_pool", "", (), kernel=kernel, stride=stride, padding=padding, rounds_up=rounds_up)


def _average_pool(size: Any) -> Step:
    out = (size, size) if isinstance(size, int) else tuple(size or ())
    if len(out) != 2 or not all(isinstance(each, int) for each in out):
        raise ModelError(f"adaptive average pooling must be to a fixed height and width, got {size}")
    return Step("average_pool", "", (), kernel=_pair(out))


def _concat(node: fx.Node) -> Step | None:
    return Step("concat", "", ()) if _argument(node, 1, "dim", 0) == 1 and len(_sources(node)) > 1 else None


def _flatten(start: int, end: int) -> Step:
    if (start, end) != (1, -1):
        raise ModelError(f"flatten must keep the batch and nothing else, got dimensions {start} to {end}")
    return Step("flatten", "", ())


def _sources(node: fx.Node) -> list[fx.Node]:
    """Return the values that a node reads, in order; a concatenation has them in a list."""
    listed = [each for arg in node.args for each in (arg if isinstance(arg, list | tuple) else (arg,))]
    return [each for each in listed if isinstance(each, fx.Node)]


def _argument(node: fx.Node, position: int, name: str, default: Any) -> Any:
    return node.args[position] if len(node.args) > position else node.kwargs.get(name, default)


def _plus(node: fx.Node) -> Step | None:
    both = len(node.args) == 2 and all(isinstance(arg, fx.Node) for arg in node.args) and node.kwargs.get("alpha", 1) == 1
    return Step("add", "", ()) if both else None


def _mean(node: fx.Node) -> Step | None:
    """Return the mean over an image, if that is what it is."""
    over = _argument(node, 1, "dim", None)
    whole = isinstance(over, list | tuple) and sorted(int(str(d)) % 4 for d in over) == [2, 3]
    return Step("average_pool", "", ()) if whole and _argument(node, 2, "keepdim", False) else None


_RELU, _RELU6, _SKIP = Step("clip", "", (), low=0.0), Step("clip", "", (), low=0.0, high=6.0), Step("nothing", "", ())
_HARDSWISH = Step("hardswish", "", ())

_MODULES: dict[Any, Callable[[Any], Step]] = {
    nn.Conv2d: _conv,
    nn.Linear: lambda linear: _dense(linear.weight, linear.bias, "linear"),
    (nn.BatchNorm1d, nn.BatchNorm2d): _norm,
    nn.ReLU6: lambda _: _RELU6,  # before Hardtanh, whose kind it is
    nn.ReLU: lambda _: _RELU,
    nn.Hardtanh: lambda module: Step("clip", "", (), low=float(module.min_val), high=float(module.max_val)),
    nn.Hardswish: lambda _: _HARDSWISH,
    nn.MaxPool2d: lambda pool: _max_pool(pool.kernel_size, pool.stride, pool.padding, pool.dilation, pool.ceil_mode, pool.return_indices),
    nn.AdaptiveAvgPool2d: lambda pool: _average_pool(pool.output_size),
    nn.Flatten: lambda flatten: _flatten(flatten.start_dim, flatten.end_dim),
    _NOTHING: lambda _: _SKIP,
}

_MAX_POOL = (("kernel_size", 1), ("stride", None), ("padding", 0), ("dilation", 1), ("ceil_mode", False))
"""Arguments of `F.max_pool2d` after its input, with what they are when left out."""

_FUNCTIONS: dict[Any, Callable[[fx.Node], Step | None]] = {
    operator.add: _plus,
    operator.iadd: _plus,
    torch.add: _plus,
    F.relu: lambda _: _RELU,
    torch.relu: lambda _: _RELU,
    F.relu6: lambda _: _RELU6,
    F.hardswish: lambda _: _HARDSWISH,
    torch.cat: _concat,
    torch.concat: _concat,
    F.dropout: lambda _: _SKIP,
    F.max_pool2d: lambda node: _max_pool(*(_argument(node, n, *each) for n, each in enumerate(_MAX_POOL, 1))),
    F.adaptive_avg_pool2d: lambda node: _average_pool(_argument(node, 1, "output_size", None)),
    torch.flatten: lambda node: _flatten(_argument(node, 1, "start_dim", 0), _argument(node, 2, "end_dim", -1)),
    torch.mean: _mean,
}

_METHODS: dict[str, Callable[[fx.Node], Step | None]] = {
    "add": _plus,
    "relu": lambda _: _RELU,
    "relu_": lambda _: _RELU,
    "flatten": _FUNCTIONS[torch.flatten],
    "mean": _mean,
    "contiguous": lambda _: _SKIP,
}


def _known() -> list[str]:
    """Return the names of what can be lowered, for the error that refuses something else."""
    kinds = [kind for key in _MODULES for kind in (key if isinstance(key, tuple) else (key,))]
    functions = [getattr(function, "__name__", str(function)) for function in _FUNCTIONS]
    return sorted({*(kind.__name__ for kind in kinds), *functions, *_METHODS} - {F.max_pool2d.__name__})  # "fn": it is a dispatcher
