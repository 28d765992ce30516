"""Lab 02: single weights and whole channels at the very same share of zeros."""

import sys
from dataclasses import dataclass

import torch

from labkit import flow
from labkit.checks import results
from labkit.core.recipe import Recipe, Step
from labkit.core.records import Accuracy, Masks
from labkit.measure import accuracy
from labkit.models.layers import compressible
from labkit.pruning.criterion.magnitude import MagnitudeConfig
from labkit.pruning.granularity.channel import ChannelConfig
from labkit.pruning.granularity.weight import WeightConfig
from labkit.pruning.ratio.uniform_ratio import MOST, UniformRatioConfig
from labkit.workbench import Workbench, workbench

LAB, NETWORK = "02", "vgg-small-bn"
GRID = 1000  # steps of the sparsity in which channels are searched
SHARE, IMAGES, RECALIBRATE = 0.7, 2000, 20  # what the check cell measures again


@dataclass(frozen=True)
class EqualShare:
    """Two one-shot recipes that leave the same share of zeros, and what each takes away.

    Attributes:
        channels, weights: the recipes.
        channels_gone, weights_gone: weights that each takes from the network's convolutions and linear layers.
        total: weights that these have.
    """

    channels: Recipe
    weights: Recipe
    channels_gone: int
    weights_gone: int
    total: int

    @property
    def share(self) -> float:
        return self.channels_gone / self.total


def magnitude(bench: Workbench, granularity: str, sparsity: float, recalibrate: int = 0) -> Recipe:
    """Return the recipe of one magnitude step by layer, on "weight" or "channel"."""
    shape = {"weight": WeightConfig, "channel": ChannelConfig}[granularity]()
    config = MagnitudeConfig(granularity=shape, ratio=UniformRatioConfig(sparsity=sparsity), recalibrate=recalibrate)
    return Recipe(bench.network, bench.card.data, (Step(config),))


def equal_share(bench: Workbench, share: float, recalibrate: int = 0) -> EqualShare:
    """Find the sparsity of channels whose share of zeros is nearest to `share`, and match single weights to what it gives.

    A dropped channel takes the columns of its readers along, so that the share of weights grows faster than that of
    channels; channels come in whole numbers, weights can match whatever share results.

    Args:
        bench: the network.
        share: of all weights, in [0, 0.99].
        recalibrate: batches that batch norm is measured anew on after the surgery.
    """
    total = sum(layer.weight.numel() for layer in compressible(bench.dense.model).values())
    low, high = 0, int(MOST * GRID)  # grid points; halved until they are neighbours around `share`
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if gone(bench, magnitude(bench, "channel", middle / GRID)) >= share * total else (middle, high)
    pruned = {step: gone(bench, magnitude(bench, "channel", step / GRID)) for step in (low, high)}
    step, taken = min(pruned.items(), key=lambda each: abs(each[1] - share * total))
    weights = magnitude(bench, "weight", taken / total)
    return EqualShare(magnitude(bench, "channel", step / GRID, recalibrate), weights, taken, gone(bench, weights), total)


def gone(bench: Workbench, recipe: Recipe) -> int:
    """Return how many weights of convolutions and linear layers a recipe's first step takes."""
    masks: Masks = flow.choose(bench.dense, recipe, 0, bench.splits)
    names = [f"{layer}.weight" for layer in compressible(bench.dense.model)]
    return sum(int((~masks.keep[name]).sum()) for name in names if name in masks.keep)


def check() -> None:
    """Print the verdicts on lab 02, then compare single weights with channels here, on the first test images of the fixed order."""
    bench = workbench(NETWORK)
    pair = equal_share(bench, SHARE, recalibrate=RECALIBRATE)
    order = accuracy.stratified_order(bench.splits.test.labels)[:IMAGES]
    channels, weights = (_accuracy(bench, recipe, order) for recipe in (pair.channels, pair.weights))
    gain = accuracy.difference(channels, weights, bench.splits.test.labels)
    lines = (
        results.report(LAB),
        "",
        f"Measured here, {NETWORK}, batch norm measured anew after surgery, {gain.n:,} test images:",
        f"whole channels take {pair.channels_gone:,} of {pair.total:,} weights, single weights {pair.weights_gone:,}",
        results.line(results.verdict(gain.low, gain.high, at_least=0.0), "single weights keep more accuracy"),
    )
    sys.stdout.write("\n".join(lines) + "\n")


def _accuracy(bench: Workbench, recipe: Recipe, order: torch.Tensor) -> Accuracy:
    *_, seen = accuracy.stream(flow.executor(bench.compress(recipe), bench.splits.test), bench.splits.test, order=order)
    return seen
