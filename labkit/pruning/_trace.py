"""Walk a network and find which channel positions share an index, operation by operation.

The walk sees shapes only: those that an example has on its way through a copy. Whatever it does not know it refuses by name,
because a wrong link would give a smaller network that computes something else.
"""

import copy
import operator
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch.nn import functional as F

from labkit.core.errors import ModelError
from labkit.models.tracing import symbolic_trace
from labkit.pruning._indices import Indices

_ACTIVATIONS: tuple[type[nn.Module], ...] = (
    nn.ReLU,
    nn.ReLU6,
    nn.LeakyReLU,
    nn.ELU,
    nn.SELU,
    nn.CELU,
    nn.GELU,
    nn.SiLU,
    nn.Mish,
    nn.Hardswish,
    nn.Hardsigmoid,
)
_ACTIVATIONS += (nn.Hardtanh, nn.Sigmoid, nn.Tanh, nn.Softplus, nn.Softsign, nn.Identity, nn.Dropout, nn.Dropout2d)
_POOLS = (nn.MaxPool1d, nn.MaxPool2d, nn.AvgPool1d, nn.AvgPool2d, nn.AdaptiveAvgPool1d, nn.AdaptiveAvgPool2d, nn.AdaptiveMaxPool2d)
_SAME_MODULES = (*_ACTIVATIONS, *_POOLS, nn.Upsample, nn.ZeroPad2d)
_SAME_FUNCTIONS = {
    *(F.relu, F.relu6, F.leaky_relu, F.elu, F.gelu, F.silu, F.hardswish, F.hardsigmoid, F.hardtanh, F.softplus, F.dropout, F.interpolate),
    *(F.max_pool2d, F.avg_pool2d, F.adaptive_avg_pool2d, F.adaptive_max_pool2d, F.mish, F.sigmoid, F.tanh),
    *(torch.relu, torch.sigmoid, torch.tanh, torch.abs, torch.clamp, torch.max_pool2d, operator.neg),
}
_SAME_METHODS = {"relu", "relu_", "sigmoid", "tanh", "abs", "clamp", "contiguous", "clone", "detach", "float", "to"}
_JOIN_FUNCTIONS = {operator.add, operator.iadd, operator.sub, operator.isub, operator.mul, operator.imul, operator.truediv}
_JOIN_FUNCTIONS |= {torch.add, torch.sub, torch.mul, torch.div, torch.maximum, torch.minimum}
_JOIN_METHODS = {"add", "add_", "sub", "sub_", "mul", "mul_", "div", "div_"}
_CONCATENATIONS = {torch.cat, torch.concat, torch.concatenate}


@dataclass(frozen=True)
class Link:
    """A module's axis, or for a join the indices it united, with the reason."""

    layer: str
    side: str
    index: tuple[int, ...]
    why: str


@dataclass
class Walk:
    """What the walk found; see `dependency` for what comes of it."""

    indices: Indices = field(default_factory=Indices)
    links: list[Link] = field(default_factory=list)
    joins: list[Link] = field(default_factory=list)
    fixed: dict[int, str] = field(default_factory=dict)
    norms: dict[str, str] = field(default_factory=dict)
    layers: dict[str, tuple[int, int, int, int]] = field(default_factory=dict)


def walk(model: nn.Module, example: Tensor) -> Walk:
    """Return what shares indices in `model` for inputs of `example`'s shape (n, c, h, w).

    Raises:
        ModelError: the model cannot be traced, shares a parameter or holds an operation that is not known.
    """
    _refuse_shared_parameters(model)
    try:
        traced = symbolic_trace(copy.deepcopy(model).eval())
        with torch.no_grad():  # computed, not on torch's meta device: the first batch norm there imports the whole compiler
            _Shapes(traced).run(example)
    except Exception as error:  # whatever torch raises for code that depends on values, and for inputs that do not fit
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise ModelError(f"the network cannot be traced ({reason}): its forward must not depend on values, and fit the input") from error
    found = _Walker(traced, Walk())
    for node in traced.graph.nodes:
        found.visit(node)
    return found.out


class _Shapes(fx.Interpreter):
    """Runs a traced network and notes the shape of each tensor at its node."""

    def run_node(self, n: fx.Node) -> Any:
        result = super().run_node(n)
        if isinstance(result, Tensor):
            n.meta["shape"] = result.shape
        n.meta["several"] = isinstance(result, tuple | list) and any(isinstance(each, Tensor) for each in result)
        return result


class _Walker:
    """Gives each tensor of the traced network the indices of its channel axis, axis 1."""

    def __init__(self, traced: fx.GraphModule, out: Walk) -> None:
        self.out, self._modules, self._index = out, dict(traced.named_modules()), dict[fx.Node, list[int]]()

    def visit(self, node: fx.Node) -> None:
        """Handle one operation."""
        if node.op == "output":
            for result in node.all_input_nodes:
                self._fix(self._index.get(result, []), "logits")
            return
        shape = _shape(node)
        if node.meta["several"]:
            raise self._unknown(node)
        if shape is None:
            return  # a number, a size
        index = self._indices_of(node, shape)
        if index is None:
            return  # a constant tensor: refused where it meets channels
        if len(shape) < 2 or len(index) != shape[1]:
            raise self._unknown(node)
        self._index[node] = index

    def _indices_of(self, node: fx.Node, shape: tuple[int, ...]) -> list[int] | None:
        if node.op == "placeholder":
            return self._fix(self.out.indices.fresh(shape[1]), "network input")
        if node.op == "get_attr":
            return None
        if node.op == "call_module":
            return self._module(node, self._modules[str(node.target)])
        if node.target in _SAME_FUNCTIONS or (node.op == "call_method" and node.target in _SAME_METHODS):
            return self._input(node)
        if node.target in _JOIN_FUNCTIONS or (node.op == "call_method" and node.target in _JOIN_METHODS):
            return self._join(node)
        if node.target in _CONCATENATIONS:
            return self._concatenate(node, shape)
        if node.target in (torch.flatten, "flatten", "view", "reshape", torch.reshape):
            return self._flatten(node, shape)
        if node.target in (torch.mean, "mean", torch.squeeze, "squeeze"):
            return self._reduce(node)
        raise self._unknown(node)

    def _module(self, node: fx.Node, module: nn.Module) -> list[int]:
        name, given = str(node.target), self._input(node)
        if isinstance(module, nn.Conv2d | nn.Linear):
            return self._layer(node, name, module, given)
        if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
            before = node.all_input_nodes[0]
            if before.op == "call_module" and str(before.target) in self.out.layers:
                self.out.norms[str(before.target)] = name
            self._link(name, "scale", given, "batch norm has one scale, shift, mean and variance per channel")
        elif isinstance(module, nn.PReLU) and module.num_parameters > 1:
            self._link(name, "scale", given, "PReLU has one slope per channel")
        elif isinstance(module, nn.Flatten):
            return self._flatten(node, _shape(node) or ())
        elif not isinstance(module, (*_SAME_MODULES, nn.PReLU)):
            raise self._unknown(node)
        return given

    def _layer(self, node: fx.Node, name: str, module: nn.Conv2d | nn.Linear, given: list[int]) -> list[int]:
        shape = _shape(node) or torch.Size()
        if isinstance(module, nn.Linear) and len(shape) != 2:
            raise ModelError(
                f"the linear layer '{name}' must read (n, features), its output has {len(shape)} axes: leave the network dense"
            )
        groups = module.groups if isinstance(module, nn.Conv2d) else 1
        c_out, c_in = module.weight.shape[0], len(given)
        before = self.out.layers[name][3] if name in self.out.layers else 0  # a layer may be used again
        self.out.layers[name] = (c_out, module.weight.shape[1], module.weight[0, 0].numel(), before + shape[2:].numel())
        if groups > 1 and groups == c_in:
            made = [index for index in given for _ in range(c_out // c_in)]
            self._link(name, "depthwise", made, "depthwise: each filter reads one channel and makes its own")
            return made
        self._couple(given, groups)
        self._link(name, "in", given, "reads them: columns of its weight" + (f", as many in each of {groups} groups" if groups > 1 else ""))
        made = self.out.indices.fresh(c_out)
        self._couple(made, groups)
        self._link(name, "out", made, "its filters make these channels" + (f", as many in each of {groups} groups" if groups > 1 else ""))
        return made

    def _couple(self, index: list[int], groups: int) -> None:
        """Unite the k-th channels of all groups, so that as many go from each."""
        size = len(index) // groups
        for start in range(size, len(index), size):
            self.out.indices.unite(index[:size], index[start : start + size])

    def _join(self, node: fx.Node) -> list[int]:
        tensors = [arg for arg in node.all_input_nodes if _shape(arg) is not None]
        ranks = {len(_shape(arg) or ()) for arg in tensors}
        if any(arg not in self._index for arg in tensors) or len(ranks) != 1:
            raise self._unknown(node)
        wide = [arg for arg in tensors if len(self._index[arg]) > 1] or tensors[:1]
        index = self._index[wide[0]]
        for other in wide[1:]:
            if len(self._index[other]) != len(index):
                raise self._unknown(node)
            self.out.indices.unite(index, self._index[other])
            names = " and ".join(_name(arg) for arg in (wide[0], other))
            self.out.joins.append(Link("", "", tuple(index), f"{_operation(node)} takes {names} channel by channel"))
        return index

    def _concatenate(self, node: fx.Node, shape: tuple[int, ...]) -> list[int]:
        dim = node.kwargs.get("dim", node.args[1] if len(node.args) > 1 else 0)
        parts: Any = node.args[0] if node.args else node.kwargs["tensors"]
        if not isinstance(dim, int) or dim % len(shape) != 1 or any(part not in self._index for part in parts):
            raise self._unknown(node)
        return [index for part in parts for index in self._index[part]]

    def _flatten(self, node: fx.Node, shape: tuple[int, ...]) -> list[int]:
        """Channel c becomes the columns c·h·w … (c+1)·h·w - 1."""
        before, given = _shape(node.all_input_nodes[0]) or torch.Size([0]), self._input(node)
        if len(shape) != 2 or shape[0] != before[0] or (_operation(node) in ("view", "reshape") and _sizes(node)[-1] != -1):
            raise self._unknown(node)  # a fixed number of features would not fit the smaller network
        each = shape[1] // len(given)
        return [index for index in given for _ in range(each)]

    def _reduce(self, node: fx.Node) -> list[int]:
        """Averages and squeezed axes leave the channels alone as long as they lie behind them."""
        rank = len(_shape(node.all_input_nodes[0]) or ())
        dims: Any = node.kwargs.get("dim", node.args[1] if len(node.args) > 1 else None)
        dims = (dims,) if isinstance(dims, int) else dims
        if not dims or any(not isinstance(dim, int) or dim % rank < 2 for dim in dims):
            raise self._unknown(node)
        return self._input(node)

    def _input(self, node: fx.Node) -> list[int]:
        inputs = [arg for arg in node.all_input_nodes if _shape(arg) is not None]
        if len(inputs) != 1 or inputs[0] not in self._index:
            raise self._unknown(node)
        return self._index[inputs[0]]

    def _link(self, layer: str, side: str, index: list[int], why: str) -> None:
        """Note that a module's axis has these indices; an axis that is used again keeps one set of them."""
        for link in self.out.links:
            if (link.layer, link.side) == (layer, side):
                self.out.indices.unite(link.index, index)
                return
        self.out.links.append(Link(layer, side, tuple(index), why))

    def _fix(self, index: list[int], why: str) -> list[int]:
        for each in index:
            self.out.fixed.setdefault(each, why)
        return index

    def _unknown(self, node: fx.Node) -> ModelError:
        what = type(self._modules[str(node.target)]).__name__ if node.op == "call_module" else _operation(node)
        return ModelError(
            f"labkit does not know how {what} at '{_name(node)}' links channels: prune single weights or kernels, or leave it out"
        )


def _sizes(node: fx.Node) -> list[Any]:
    """Return the sizes that `view` or `reshape` was given, one by one or as a tuple."""
    given: Any = node.args[1:] or tuple(node.kwargs.values())
    return list(given[0]) if len(given) == 1 and isinstance(given[0], tuple | list) else list(given)


def _shape(node: fx.Node) -> torch.Size | None:
    shape: torch.Size | None = node.meta.get("shape")
    return shape


def _name(node: fx.Node) -> str:
    return str(node.target) if node.op == "call_module" else node.name


def _operation(node: fx.Node) -> str:
    target: str | Callable[..., Any] = node.target
    return target if isinstance(target, str) else getattr(target, "__name__", repr(target))


def _refuse_shared_parameters(model: nn.Module) -> None:
    seen: dict[int, str] = {}
    modules = dict(model.named_modules())  # each once, also where it is used twice
    names = [f"{name}.{key}".lstrip(".") for name, module in modules.items() for key, _ in module.named_parameters(recurse=False)]
    for name in names:
        first = seen.setdefault(id(model.get_parameter(name)), name)
        if first != name:
            raise ModelError(f"'{first}' and '{name}' are one parameter: labkit cannot shrink tied weights, untie them first")
