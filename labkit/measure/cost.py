"""Parameters, multiply-accumulates (MACs) and activations of a network, counted while it computes one image.

Each entry of a convolution's weight (c_out, c_in/groups, k_h, k_w) is multiplied once at every output position of its own
output channel, so that MACs = entries × positions, whatever groups, stride and dilation are; a transposed convolution
multiplies once at every *input* position; a linear layer once. Effective MACs count only the entries that are not zero.
Positions whose window reaches into the padding count in full, as in every published count.

Convolutions and linear layers are caught where torch computes them, so that a module of one's own that calls
`F.conv2d` with a slice of its weight, or with a masked one, is counted by what it really uses. Products of two
activations (attention) are not counted.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.parameter import is_lazy
from torch.overrides import TorchFunctionMode

from labkit.core.errors import ModelError
from labkit.core.records import Cost, LayerCost

_KINDS: dict[Callable[..., Any], str] = {
    F.conv1d: "conv",
    F.conv2d: "conv",
    F.conv3d: "conv",
    F.conv_transpose1d: "conv_transpose",
    F.conv_transpose2d: "conv_transpose",
    F.conv_transpose3d: "conv_transpose",
    F.linear: "linear",
}


@dataclass(frozen=True)
class _Call:
    """One product that was computed: where, of what kind, with what, how often each weight was used, how much was written."""

    name: str
    kind: str
    weight: Tensor
    bias: Tensor | None
    uses: int
    written: int


def cost(model: nn.Module, example: Tensor) -> Cost:
    """Count what `model` holds and does for one image. The model is left as it was.

    Args:
        model: any torch module that takes one tensor; it is run once, in eval mode.
        example: (b, …), a batch that it accepts; only the first image is used.

    Raises:
        ModelError: the model does not accept the example.
    """
    calls = _calls(model, example)
    parameters = list(model.parameters())
    return Cost(
        parameters=sum(p.numel() for p in parameters),
        nonzeros=sum(_nonzeros(p) for p in parameters),
        macs=sum(call.weight.numel() * call.uses for call in calls),
        effective_macs=sum(_nonzeros(call.weight) * call.uses for call in calls),
        activations=tuple(call.written for call in calls),
    )


def layers(model: nn.Module, example: Tensor) -> list[LayerCost]:
    """Count each layer by itself, in order of execution; a layer that runs twice is one entry. See `cost`."""
    rows: dict[tuple[str, int], list[_Call]] = {}
    for call in _calls(model, example):
        rows.setdefault((call.name, id(call.weight)), []).append(call)
    return [_layer(calls) for calls in rows.values()]


def _layer(calls: list[_Call]) -> LayerCost:
    call, uses = calls[0], sum(each.uses for each in calls)
    own = [call.weight] if call.bias is None else [call.weight, call.bias]
    return LayerCost(
        name=call.name,
        kind=call.kind,
        weight_shape=tuple(call.weight.shape),
        parameters=sum(t.numel() for t in own),
        nonzeros=sum(_nonzeros(t) for t in own),
        macs=call.weight.numel() * uses,
        effective_macs=_nonzeros(call.weight) * uses,
        output_elements=sum(each.written for each in calls),
    )


def _nonzeros(tensor: Tensor) -> int:
    return int(torch.count_nonzero(tensor))


def _calls(model: nn.Module, example: Tensor) -> list[_Call]:
    """Run the model on one image and return every product of a weight, in order."""
    if example.ndim < 2 or not len(example):
        raise ModelError(f"the example must be a batch (b, …) of at least one image, got shape {tuple(example.shape)}")
    if any(is_lazy(p) for p in model.parameters()):
        raise ModelError("the network has parameters without a shape (lazy modules): run it once on a batch before counting")
    recorder = _Recorder()
    with torch.no_grad(), _left_as_it_was(model), _names_told(model, recorder), recorder:
        try:
            model(example[:1])
        except (RuntimeError, ValueError, TypeError, IndexError, AssertionError) as error:
            reason = (str(error).strip() or type(error).__name__).splitlines()[0]
            raise ModelError(f"the network does not accept an input of the shape {tuple(example.shape)}: {reason}") from error
    return recorder.calls


class _Recorder(TorchFunctionMode):
    """Writes down each convolution and linear layer that torch computes meanwhile, under the name of the running module."""

    def __init__(self) -> None:
        super().__init__()
        self.calls: list[_Call] = []
        self.running = [""]

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        out = func(*args, **(kwargs or {}))
        if func in _KINDS:
            self.calls.append(_call(self.running[-1], func, out, args, kwargs or {}))
        return out


def _call(name: str, func: Callable[..., Any], out: Tensor, args: tuple[Any, ...], kwargs: dict[str, Any]) -> _Call:
    given = dict(zip(("input", "weight", "bias"), args, strict=False)) | kwargs
    x, weight, bias = given["input"], given["weight"], given.get("bias")
    kind = _KINDS[func]
    if kind == "linear":
        uses = out.numel() // max(len(weight), 1)
    else:
        positions = (x if kind == "conv_transpose" else out).shape[-(weight.ndim - 2) :]
        uses = positions.numel()
        if out.ndim == weight.ndim:  # with a batch, as a rule of one image
            uses *= len(out)
        if kind == "conv" and weight.shape[1] == 1 and len(weight) > 1 and x.shape[-(weight.ndim - 1)] > 1:
            kind = "depthwise"
    return _Call(name, kind, weight, bias, uses, out.numel())


@contextmanager
def _left_as_it_was(model: nn.Module) -> Iterator[None]:
    """Run it in eval mode, then give each module its own mode back, and the buffers that something else has moved."""
    modules = [(module, module.training, dict(module._buffers)) for module in model.modules()]
    values = [(buffer, buffer.clone()) for buffer in model.buffers()]
    for module, _, _ in modules:
        module.training = False  # not by eval(), which a module may have made to do more
    try:
        yield
    finally:
        for module, mode, buffers in modules:
            module.training = mode
            module._buffers.update(buffers)
        for buffer, value in values:
            if not torch.equal(buffer, value):
                buffer.copy_(value)


@contextmanager
def _names_told(model: nn.Module, recorder: _Recorder) -> Iterator[None]:
    """Tell the recorder which module is running, by hooks that are gone afterwards."""
    handles = []
    for name, module in model.named_modules():
        handles.append(module.register_forward_pre_hook(lambda _m, _x, name=name: recorder.running.append(name), prepend=True))
        handles.append(module.register_forward_hook(lambda _m, _x, _y: _drop(recorder.running), always_call=True))
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def _drop(names: list[str]) -> None:
    names.pop()
