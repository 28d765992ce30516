"""Tracing beside threads that run or trace networks of their own."""

import threading
from collections.abc import Callable

import torch
from torch import fx, nn

from labkit.models import zoo
from labkit.models.tracing import symbolic_trace

CALL = nn.Module.__call__


def test_the_trace_is_that_of_torch() -> None:
    model = zoo.build("resnet-small").eval()
    ours, theirs = symbolic_trace(model), fx.symbolic_trace(model)
    assert str(ours.graph) == str(theirs.graph)
    x = torch.randn(2, 1, 28, 28)
    assert torch.equal(ours(x), model(x))


class Slow(nn.Module):
    """Waits in its forward until another thread has done something in the middle of the trace."""

    def __init__(self, meanwhile: Callable[[], None]) -> None:
        super().__init__()
        self.linear = nn.Linear(2, 2)
        self.meanwhile = meanwhile

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        thread = threading.Thread(target=self.meanwhile)
        thread.start()
        thread.join(30)
        result: torch.Tensor = self.linear(x)
        return result


def test_a_network_that_another_thread_runs_meanwhile_is_left_alone() -> None:
    other, outputs = nn.Sequential(nn.Linear(3, 3), nn.ReLU()), []
    x = torch.randn(4, 3)
    traced = symbolic_trace(Slow(lambda: outputs.append(other(x))))
    assert torch.equal(outputs[0], other(x))
    assert [node.target for node in traced.graph.nodes if node.op == "call_module"] == ["linear"]


def test_many_threads_trace_and_run_at_once() -> None:
    failures: list[BaseException] = []

    def work(seed: int) -> None:
        model = nn.Sequential(nn.Linear(4, 4), nn.ReLU(), nn.Linear(4, 2))
        try:
            for _ in range(30):
                assert len(symbolic_trace(model).graph.nodes) == 5
                model(torch.randn(2, 4))
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=work, args=(n,)) for n in range(4)]
    for each in threads:
        each.start()
    for each in threads:
        each.join(60)
    assert not failures
    assert nn.Module.__call__ is CALL
