"""The science that a lab's panel is handed: one trained network on the bench, and what can be done to it at each of three speeds.

Instant are `compress` for pruning steps, `file` and `cost`; live are `accuracy` and `latency`; jobs are `compress` with steps
that train. A panel only knows these callables, so it is tested without a network and without a browser.
"""

import copy
import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import cache, cached_property

import numpy as np
from torch import Size, Tensor, count_nonzero

from labkit import data, flow, models, runtime
from labkit.core.progress import SILENT, Progress
from labkit.core.recipe import Recipe
from labkit.core.records import Accuracy, Compressed, Cost, Latency, LayerCost, Masks
from labkit.core.seeds import generator
from labkit.data.images import Splits
from labkit.measure import accuracy, latency
from labkit.measure.cost import cost, layers
from labkit.models import packed, zoo
from labkit.models.layers import compressible
from labkit.train import FitConfig, fit, start

TIMED_STEPS = 6
KEPT_RESULTS = 16  # of jobs; each holds one network of at most 2 MB


@dataclass(frozen=True)
class Kept:
    """What a job made of a recipe.

    Attributes:
        compressed: the network.
        reached: share of the last step's training that was done when it was cancelled; None where all of it was.
    """

    compressed: Compressed
    reached: float | None = None


@dataclass(frozen=True)
class Timing:
    """A network's latency beside the dense network's, measured in one interleaved run.

    Attributes:
        latency: of the network.
        dense: of the dense network in torch, batch norm folded, channels_last.
        ratio: how many times faster than dense, median over the rounds.
        low, high: quartiles of that ratio.
    """

    latency: Latency
    dense: Latency
    ratio: float
    low: float
    high: float


@dataclass(frozen=True)
class Sketch:
    """What is instant of a pruned network: at once which weights stay, and the network itself when it is asked for.

    Attributes:
        keep: layer → bool of the shape of the *dense* layer's weight, True where a weight stays.
        notes: what the choice reports.
        is_tuned: whether the network has been trained since it was pruned.
        is_unsettled: whether batch norm will be measured anew, so that the accuracy will be another one.
        make: carries the choice out.
    """

    keep: dict[str, np.ndarray]
    notes: tuple[str, ...]
    is_tuned: bool
    is_unsettled: bool
    make: Callable[[], Compressed]

    @cached_property
    def compressed(self) -> Compressed:
        """The network; its batch norm may still be the dense one's."""
        return self.make()

    @property
    def zeros(self) -> float:
        """Share of the dense network's weights that are gone."""
        return 1 - sum(int(mask.sum()) for mask in self.keep.values()) / sum(mask.size for mask in self.keep.values())


class Workbench:
    """A trained network with its data set.

    Args:
        network: name in the zoo.
    """

    def __init__(self, network: str) -> None:
        self.network = network
        self.card = zoo.card(network)
        self.dense = Compressed(models.load(network), network)
        self.splits: Splits = data.load(self.card.data)
        self._kept: dict[str, Kept] = {}
        self._seconds_an_epoch: float | None = None

    def prepare(self) -> None:
        """Do now what the first look at the network needs: sizes, costs, weights, and the program with its kernels."""
        _ = (self.dense_file, self.dense_cost, self.layers, self._weights, self._order)
        images = self.splits.test[: flow.LATENCY_BATCH].tensor().numpy()
        for formats in ("dense", "csr"):
            runtime.compile(self.dense, flow.example(self.splits.test), formats)(images)

    @cached_property
    def dense_file(self) -> bytes:
        return self.file(self.dense)

    @cached_property
    def dense_cost(self) -> Cost:
        return cost(self.dense.model, flow.example(self.splits.test))

    @cached_property
    def _shapes(self) -> dict[str, Size]:
        return {name: each.shape for name, each in self.dense.model.named_parameters()}

    @cached_property
    def layers(self) -> tuple[LayerCost, ...]:
        """What each convolution and linear layer holds and does."""
        return tuple(layers(self.dense.model, flow.example(self.splits.test)))

    def weight(self, layer: str) -> np.ndarray:
        """Return a layer's trained weight, float32 (c_out, c_in, kh, kw) or (outputs, inputs)."""
        return self._weights[layer]

    @cached_property
    def _weights(self) -> dict[str, np.ndarray]:
        return {name: module.weight.detach().numpy() for name, module in compressible(self.dense.model).items()}

    def compress(self, recipe: Recipe, progress: Progress = SILENT) -> Compressed:
        """Carry out a recipe, starting from the longest beginning of it that was kept.

        Raises:
            LabkitError: a step cannot be carried out, or `progress` was cancelled.
        """
        for done in range(len(recipe.steps), 0, -1):
            kept = self._kept.get(_beginning(recipe, done).digest)
            if kept is not None and kept.reached is None:
                return flow.compress(kept.compressed, recipe, self.splits, progress, first=done)
        return flow.compress(self.dense, recipe, self.splits, progress)

    def remaining(self, sketch: Sketch, layer: str) -> np.ndarray:
        """Return the weights that are left of a layer, flat float32."""
        if not sketch.is_tuned:
            kept: np.ndarray = self._weights[layer][sketch.keep[layer]]
            return kept
        compressed = sketch.compressed
        weight = compressed.model.get_parameter(f"{layer}.weight").detach().numpy()
        mask = compressed.masks.get(f"{layer}.weight")
        return weight.reshape(-1) if mask is None else weight[mask.numpy()]

    def seconds_an_epoch(self, progress: Progress = SILENT) -> float:
        """Return about how long training on the shipped images takes here, an epoch; measured once, on a few steps of a copy."""
        if self._seconds_an_epoch is None:
            few = self.splits.train[: TIMED_STEPS * FitConfig().batch]
            state = start(copy.deepcopy(self.dense.model), FitConfig(lr=0.0), generator(0, "timing"))
            began = time.perf_counter()
            fit(state, few, FitConfig(lr=0.0), progress=progress)
            self._seconds_an_epoch = (time.perf_counter() - began) * len(self.splits.train) / len(few)
        return self._seconds_an_epoch

    def sketch(self, recipe: Recipe) -> Sketch:
        """Do what is instant of a recipe that is remembered or has one step: choose and apply."""
        masks: Masks = flow.choose(self.dense, recipe, 0, self.splits)
        known = self._kept.get(recipe.digest)
        whole = {name: np.ones(weight.shape, bool) for name, weight in self._weights.items()}
        keep = whole | {name: masks.keep[f"{name}.weight"].numpy() for name in whole if f"{name}.weight" in masks.keep}
        if known is not None:
            return Sketch(keep, masks.notes, is_tuned=True, is_unsettled=False, make=lambda: known.compressed)
        return Sketch(keep, masks.notes, is_tuned=False, is_unsettled=masks.recalibrate > 0, make=lambda: flow.apply(self.dense, masks))

    def keep(self, recipe: Recipe, compressed: Compressed, reached: float | None = None) -> None:
        """Remember what a job made of a recipe, so that `compress` need not do it again.

        Args:
            recipe: that was carried out.
            compressed: what came of it.
            reached: share of the last step's training that was done when it was cancelled: then the network is shown, and
                `compress` still does it again. None where all of it was done.
        """
        self._kept.pop(recipe.digest, None)
        self._kept[recipe.digest] = Kept(compressed, reached)
        while len(self._kept) > KEPT_RESULTS:
            self._kept.pop(next(iter(self._kept)))

    def has(self, recipe: Recipe) -> bool:
        """Return whether the result of a recipe is remembered."""
        return recipe.digest in self._kept

    def reached(self, recipe: Recipe) -> float | None:
        """Return the share of training that a remembered result had when it was cancelled; None for any other recipe."""
        kept = self._kept.get(recipe.digest)
        return None if kept is None else kept.reached

    def is_at_hand(self, recipe: Recipe) -> bool:
        """Return whether `sketch` gives the network of a recipe without a job."""
        return len(recipe.steps) == 1 or self.has(recipe)

    def file(self, compressed: Compressed) -> bytes:
        """Return the bytes that *Save model* would write."""
        return packed.to_file(compressed)

    def cost(self, compressed: Compressed) -> Cost:
        """Return parameters and MACs of a network; one that has the dense one's layers need not be run for that."""
        parameters = dict(compressed.model.named_parameters())
        if {name: each.shape for name, each in parameters.items()} != self._shapes:
            return cost(compressed.model, flow.example(self.splits.test))
        left = {name: int(count_nonzero(each)) for name, each in parameters.items()}
        effective = sum(row.macs // math.prod(row.weight_shape) * left[f"{row.name}.weight"] for row in self.layers)
        return replace(self.dense_cost, nonzeros=sum(left.values()), effective_macs=effective)

    def energy(self, price: Cost, size: int) -> dict[str, float]:
        """Return the modelled energy of one inference in microjoules, by part; see `flow.modelled_energy`."""
        return flow.modelled_energy(price, size)

    def accuracy(self, compressed: Compressed, progress: Progress) -> Iterator[Accuracy]:
        """Yield the accuracy on more and more of the test images, the last time on all of them."""
        yield from accuracy.stream(flow.executor(compressed, self.splits.test), self.splits.test, order=self._order, progress=progress)

    @cached_property
    def _order(self) -> Tensor:
        return accuracy.stratified_order(self.splits.test.labels)

    def latency(self, compressed: Compressed, progress: Progress, batch: int = flow.LATENCY_BATCH, formats: str = "rule") -> Timing:
        """Time a network against the dense one, one thread, interleaved, on a batch of test images.

        Args:
            compressed: the network.
            progress: asked whether to go on.
            batch: images a call.
            formats: of the weights, as `runtime.compile` takes them; at each step of a slider there is no time to measure them.
        """
        images = self.splits.test[:batch].tensor()
        with latency.limited_threads(1):
            program = runtime.compile(compressed, images, formats)
        dense, x = flow.predictor(self.dense), images.numpy()
        calls = {"it": lambda: program(x), "dense": lambda: dense(images)}
        times = latency.compare(calls, rounds=40, budget_s=2.0, batch=len(x), progress=progress)
        ratio = latency.ratio(times["dense"], times["it"])
        return Timing(times["it"], times["dense"], ratio.median, ratio.low, ratio.high)


def _beginning(recipe: Recipe, steps: int) -> Recipe:
    return replace(recipe, steps=recipe.steps[:steps])


@cache
def workbench(network: str) -> Workbench:
    """Return the bench of a network; the same one each time, since loading takes a moment."""
    return Workbench(network)
