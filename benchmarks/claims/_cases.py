"""The two kinds of cases that most claims are made of: what a recipe gets right, and how fast calls are side by side."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import torch

from benchmarks.claims._claim import Case, Figure, Scale, ratio_interval, right
from labkit import flow
from labkit.core.recipe import Recipe
from labkit.core.records import Compressed, Latency, Masks
from labkit.core.seeds import generator
from labkit.data.images import Splits
from labkit.measure import latency
from labkit.models import zoo
from labkit.train import recalibrate_batch_norm
from labkit.workbench import Workbench, workbench


def networks() -> list[str]:
    """Return the networks for Fashion-MNIST whose checkpoints are there."""
    there = [name for name in zoo.names() if (zoo.CHECKPOINTS / f"{name}.json").exists()]
    return [name for name in there if zoo.card(name).data == "fashion-mnist"]


def accuracy_case(name: str, recipe: Recipe, scale: Scale, change: Callable[[Workbench, Splits], Compressed] | None = None) -> Case:
    """Return the case that carries a recipe out and records which test images are right.

    Args:
        name: of the case.
        recipe: decides the outcome.
        scale: how many images.
        change: makes the network, where it takes more than the recipe.
    """

    def measure() -> dict[str, Any]:
        bench = workbench(recipe.network)
        splits = replace(bench.splits, train=bench.splits.train[: scale.train], test=bench.splits.test[: scale.test])
        made = change(bench, splits) if change else flow.compress(bench.dense, recipe, splits)
        predict = flow.predictor(made)
        predictions = torch.cat([predict(x).argmax(1) for x, _ in splits.test.batches(128)])
        return right(predictions, splits.test.labels)

    return Case(name, recipe.network, measure, {"recipe": recipe.to_dict()})


def recalibrated(bench: Workbench, splits: Splits, recipe: Recipe, batches: int) -> Compressed:
    """Carry a recipe out and measure batch norm anew, which recipes do after surgery only."""
    made = flow.compress(bench.dense, recipe, splits)
    recalibrate_batch_norm(made.model, splits.train, batches)
    return made


def shuffled(bench: Workbench, splits: Splits, recipe: Recipe, batches: int) -> Compressed:
    """Drop as many weights of each layer as the recipe does, at places drawn under its seed; then as `recalibrated`."""
    masks: Masks = flow.choose(bench.dense, recipe, 0, splits)
    keep = {}
    for name, mask in masks.keep.items():
        order = torch.randperm(mask.numel(), generator=generator(recipe.seed, "random mask", name))
        keep[name] = mask.flatten()[order].view_as(mask)
    made = flow.apply(bench.dense, Masks(keep))
    recalibrate_batch_norm(made.model, splits.train, batches)
    return made


def timed_case(name: str, network: str, batch: int, networks: Callable[[], Mapping[str, Callable[[], Any]]], scale: Scale) -> Case:
    """Return the case that times several calls in one interleaved run on one thread."""

    def measure() -> dict[str, Any]:
        found = latency.compare(networks(), rounds=scale.rounds, batch=batch, threads=1)
        ratios = {call: latency.ratio(found["dense"], each) for call, each in found.items()}
        return {call: _times(each) | {"ratio": ratios[call].median} for call, each in found.items()}

    return Case(name, network, measure, {"batch": batch})


def _times(found: Latency) -> dict[str, Any]:
    return {"median_ms": found.median_ms, "low_ms": found.low_ms, "high_ms": found.high_ms, "runs": found.runs, "notes": list(found.notes)}


def speed_figures(runs: Mapping[str, Any], call: str, what: str) -> list[Figure]:
    """Return how many times faster than dense a call is, with its interval over the runs, and one run's times with quartiles."""
    first = next(iter(runs.values()))
    times = [("dense, median and quartiles", first["dense"]), ("it, median and quartiles", first[call])]
    shown = [Figure(name, case["median_ms"], case["low_ms"], case["high_ms"], "ms") for name, case in times]
    return [Figure(f"speed-up, {what}", *ratio_interval([case[call]["ratio"] for case in runs.values()]), "×"), *shown]
