"""Batch-norm folding: a batch norm that follows a convolution or a linear layer becomes part of its weight and bias.

Per output channel, with running mean μ and variance σ²:  w' = γ·w / √(σ² + ε),  b' = β + γ·(b − μ) / √(σ² + ε).

Source     Jacob et al. 2017, arXiv:1712.05877, section 3.2.
Deviation  none; computed in float64 and rounded once.
"""

import copy
from collections.abc import Container
from dataclasses import dataclass
from typing import Any

import torch
from torch import fx, nn

from labkit.core.errors import ModelError
from labkit.models.tracing import symbolic_trace

_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d)


@dataclass(frozen=True)
class FoldPlan:
    """Which batch norms fold.

    Attributes:
        pairs: name of a batch norm → name of the layer that it folds into.
        left: name of a batch norm that stays → why.
    """

    pairs: dict[str, str]
    left: dict[str, str]


def fold_batch_norm(model: nn.Module, keep: Container[str] = ()) -> nn.Module:
    """Return a copy of `model` in eval mode with its batch norms folded; each one that is gone is an `nn.Identity`.

    The copy's outputs equal those of `model.eval()` within rounding; names of layers and memory layout stay. Batch norms
    that cannot be folded (see `fold_plan`) stay, and so do those that would change a layer in `keep`.

    Args:
        model: the network.
        keep: names of layers whose weights must stay as they are.

    Raises:
        ModelError: the model's forward cannot be traced.
    """
    folded = copy.deepcopy(model).eval()
    modules = dict(folded.named_modules())
    for norm, layer in fold_plan(folded).pairs.items():
        if layer in keep:
            continue
        _fold_into(modules[layer], modules[norm])
        parent, _, child = norm.rpartition(".")
        setattr(modules[parent], child, nn.Identity())
    return folded


def fold_plan(model: nn.Module) -> FoldPlan:
    """Find the batch norms of `model` that can be folded, and say of the others why not.

    Raises:
        ModelError: the model's forward cannot be traced.
    """
    graph, modules = trace(model).graph, dict(model.named_modules())
    calls: dict[str, int] = {}
    for node in graph.nodes:
        if node.op == "call_module":
            calls[node.target] = calls.get(node.target, 0) + 1
    pairs, left = {}, {}
    for node in graph.nodes:
        if node.op == "call_module" and isinstance(modules[node.target], _NORMS):
            why = _why_not(node, modules, calls)
            if why:
                left[node.target] = why
            else:
                pairs[node.target] = node.args[0].target
    return FoldPlan(pairs, left)


def trace(model: nn.Module) -> fx.GraphModule:
    """Trace a model's forward with `torch.fx`.

    Raises:
        ModelError: it depends on the values of its input, or does something else that cannot be traced.
    """
    try:
        return symbolic_trace(model)
    except Exception as error:  # a forward is anybody's code: tracing it may raise anything
        raise ModelError(f"{type(model).__name__}.forward cannot be traced ({error}): it must not depend on its input's values") from error


def _why_not(node: fx.Node, modules: dict[str, Any], calls: dict[str, int]) -> str:
    """Return why a batch norm cannot be folded, "" if it can."""
    norm, source = modules[str(node.target)], node.args[0]
    if norm.running_mean is None:
        return "it keeps no running statistics"
    if not isinstance(source, fx.Node) or source.op != "call_module":
        return "it does not follow a layer"
    layer = modules[str(source.target)]
    fits = isinstance(layer, nn.Conv2d) if isinstance(norm, nn.BatchNorm2d) else isinstance(layer, nn.Linear)
    if not fits:
        return f"it follows a {type(layer).__name__}"
    if len(source.users) > 1:
        return f"{source.target} feeds something else, too"
    if calls[str(node.target)] > 1 or calls[str(source.target)] > 1:
        return "it or the layer before it is used more than once"
    return ""


@torch.no_grad()
def _fold_into(layer: nn.Conv2d | nn.Linear, norm: nn.BatchNorm1d | nn.BatchNorm2d) -> None:
    """Change weight and bias of `layer` so that it does what `norm` did after it."""
    mean, var = norm.running_mean, norm.running_var
    if mean is None or var is None:
        raise ModelError("a batch norm without running statistics cannot be folded")
    gain = (var.double() + norm.eps).rsqrt()
    if norm.weight is not None:
        gain = gain * norm.weight.double()
    before = 0 if layer.bias is None else layer.bias.double()
    bias = (before - mean.double()) * gain + (0 if norm.bias is None else norm.bias.double())
    by_row = gain.view(-1, *[1] * (layer.weight.dim() - 1))
    layer.weight.copy_(layer.weight.double() * by_row)  # in place, so that channels_last stays
    layer.bias = nn.Parameter(bias.to(layer.weight.dtype), requires_grad=layer.weight.requires_grad)
