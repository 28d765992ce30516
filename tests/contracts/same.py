"""Whether two values are the same, to the last bit, however they are nested."""

import copy
import dataclasses
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn


def differences(a: Any, b: Any, where: str = "value") -> Iterator[str]:
    """Yield one sentence for each place where two values differ; NaN equals NaN, +0 and -0 differ."""
    if type(a) is not type(b):
        yield f"{where} is a {type(a).__name__} and a {type(b).__name__}"
    elif isinstance(a, Tensor):
        yield from _arrays(_as_array(a), _as_array(b), where)
    elif isinstance(a, np.ndarray):
        yield from _arrays(a, b, where)
    elif isinstance(a, nn.Module):
        yield from differences(state_of(a), state_of(b), where)
    elif dataclasses.is_dataclass(a) and not isinstance(a, type):
        for field in dataclasses.fields(a):
            yield from differences(getattr(a, field.name), getattr(b, field.name), f"{where}.{field.name}")
    elif isinstance(a, Mapping):
        if list(a) != list(b):
            yield f"{where} has the keys {list(a)} and {list(b)}"
        for key in a.keys() & b.keys():
            yield from differences(a[key], b[key], f"{where}[{key!r}]")
    elif isinstance(a, list | tuple):
        if len(a) != len(b):
            yield f"{where} has {len(a)} and {len(b)} entries"
        for n, (left, right) in enumerate(zip(a, b, strict=False)):
            yield from differences(left, right, f"{where}[{n}]")
    elif isinstance(a, float | complex):
        if repr(a) != repr(b):
            yield f"{where} is {a!r} and {b!r}"
    elif not (callable(a) or a == b):
        yield f"{where} is {a!r} and {b!r}"


def snapshot(thing: Any) -> Any:
    """Return a copy of what a method was given, to be compared with it afterwards."""
    return state_of(thing) if isinstance(thing, nn.Module) else copy.deepcopy(thing)


def state_of(model: nn.Module) -> dict[str, Any]:
    """Return everything of a model that a method could change: values, modes, gradients, hooks, structure."""
    modules = {name: (type(m).__name__, m.training, sorted(m.__dict__), _hooks(m)) for name, m in model.named_modules()}
    parameters = {name: (p.detach().clone(), p.requires_grad, p.grad is None, tuple(p.stride())) for name, p in model.named_parameters()}
    buffers = {name: b.detach().clone() for name, b in model.named_buffers()}
    return {"modules": modules, "parameters": parameters, "buffers": buffers}


def _hooks(module: nn.Module) -> dict[str, int]:
    return {name: len(value) for name, value in vars(module).items() if name.endswith("_hooks") and value is not None}


def _as_array(tensor: Tensor) -> np.ndarray:
    dense = tensor.detach().cpu()
    dense = dense.to_dense() if dense.layout is not torch.strided else dense
    return dense.contiguous().view(torch.int16).numpy() if dense.dtype is torch.bfloat16 else dense.contiguous().numpy()


def _arrays(a: np.ndarray, b: np.ndarray, where: str) -> Iterator[str]:
    if a.dtype != b.dtype or a.shape != b.shape:
        yield f"{where} is {a.dtype}{a.shape} and {b.dtype}{b.shape}"
    elif a.tobytes() != b.tobytes():
        yield f"{where} differs in {int((a != b).sum())} of {a.size} entries"
