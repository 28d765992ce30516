"""Tracing a network with `torch.fx` while other threads use theirs.

While `torch.fx` traces, it replaces `nn.Module.__call__` for the whole process: a network that another thread runs
meanwhile would land in the trace or fail, and two traces at once would undo each other's replacement in the wrong order.
A lab does both, its worker measures while a slider's step traces.
"""

import threading
from collections.abc import Callable
from typing import Any

from torch import fx, nn

_ONE_AT_A_TIME = threading.RLock()


def symbolic_trace(model: nn.Module) -> fx.GraphModule:
    """Do what `torch.fx.symbolic_trace` does, and leave other threads alone; raises whatever that raises."""
    with _ONE_AT_A_TIME:
        tracer = _OwnThreadTracer()
        graph = tracer.trace(model)
        return fx.GraphModule(tracer.root, graph, type(model).__name__)


class _OwnThreadTracer(fx.Tracer):
    """Records the calls of the thread that made it, and lets those of others through."""

    def __init__(self) -> None:
        super().__init__()
        self._thread = threading.get_ident()

    def call_module(self, m: nn.Module, forward: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        if threading.get_ident() != self._thread:
            return forward(*args, **kwargs)
        return super().call_module(m, forward, args, kwargs)
