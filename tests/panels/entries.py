"""Entries of a history on the digits network, measured as a lab measures them."""

from dataclasses import replace

from labkit.core.progress import SILENT
from labkit.core.records import Accuracy, Latency
from labkit.panels._measured import Measured
from labkit.panels._network_entry import NetworkEntry, entry_of
from labkit.panels.pruning_granularity import State, with_setting
from labkit.workbench import Timing, Workbench


def state(sparsity: float = 0.5, granularity: str = "weight") -> State:
    made = with_setting(State(network="digits-small", layer="fc"), "prune", ("ratio", "sparsity"), sparsity, lambda _: False)
    return with_setting(made, "prune", ("granularity",), granularity, lambda _: False)


def measured(bench: Workbench, of: State, label: str = "a setting", timing: Timing | None = None) -> NetworkEntry:
    recipe = of.recipe("digits")
    made = bench.compress(recipe)
    *_, accuracy = bench.accuracy(made, SILENT)
    found = Measured(of.network, bench.sketch(recipe), len(bench.file(made)), bench.cost(made), accuracy)
    return entry_of(of, label, replace(found, timing=timing, timing_is_current=timing is not None), bench)


def timing(median_ms: float = 2.0) -> Timing:
    return Timing(Latency(median_ms, 1.9, 2.1, 40, 1, 64), Latency(4.0, 3.9, 4.1, 40, 1, 64), 4.0 / median_ms, 1.8, 2.2)


def with_predictions(entry: NetworkEntry, predictions: list[int], labels: object) -> NetworkEntry:
    """Return the entry as if its network had given these classes for the first images of the set."""
    import torch

    given = torch.tensor(predictions)
    correct = int((given == labels[: len(given)]).sum())  # type: ignore[index]
    found = Accuracy(correct, len(given), 0.1, 0.9, len(given), index=torch.arange(len(given)), predictions=given.char())
    return replace(entry, accuracy=found)
