"""The spine of labkit: data → model → compress → pack → run → measure → show.

`run` does the stages in order and is the place to start reading. Each arrow is a small frozen record of
`labkit.core.records`; no stage reaches past its neighbour. A method only chooses; applying its choice is done here, on a
copy, so that the caller's model never changes.
"""

import copy
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

import torch

from labkit import data as sets
from labkit import models, runtime
from labkit.core.errors import Cancelled, ConfigError, LabkitError
from labkit.core.files import read_limited
from labkit.core.progress import SILENT, Progress
from labkit.core.recipe import Recipe
from labkit.core.records import Compressed, Cost, Masks, Measurement, Weights
from labkit.core.registry import Context, find
from labkit.core.seeds import generator
from labkit.data.images import Images, Splits
from labkit.formats.file import MOST_BYTES
from labkit.measure import accuracy, cost, energy, host, latency
from labkit.models import packed, zoo
from labkit.models.fold import fold_batch_norm
from labkit.models.layers import compressible
from labkit.pruning.apply import apply_masks
from labkit.train import recalibrate_batch_norm

LATENCY_BATCH = 64  # images a call
BYTES_A_PARAMETER = 4


@dataclass(frozen=True)
class Result:
    """What a recipe comes to.

    Attributes:
        recipe: what was carried out.
        compressed: the network.
        file: the bytes of the `.labkit` file that holds it.
        program: the same network, packed for execution.
        measurement: what was measured of it.
    """

    recipe: Recipe
    compressed: Compressed
    file: bytes
    program: runtime.Program
    measurement: Measurement


def run(recipe: Recipe, progress: Progress = SILENT) -> Result:
    """Carry a recipe out from the data to the measurements.

    Raises:
        LabkitError: the recipe names what is not there, a step cannot be carried out, or `progress` was cancelled.
    """
    splits = load_data(recipe)
    dense = Compressed(models.load(recipe.network), recipe.network)
    compressed = compress(dense, recipe, splits, progress)
    file = packed.to_file(compressed)
    program = runtime.compile(compressed, example(splits.test), "rule")  # the same each time, as all of a result
    return Result(recipe, compressed, file, program, measure(compressed, file, splits.test, progress))


def load_data(recipe: Recipe) -> Splits:
    """Load the recipe's data set, which must be the one that its network was trained on."""
    trained_on = zoo.card(recipe.network).data
    if recipe.data != trained_on:
        raise ConfigError(f"{recipe.network} was trained on {trained_on}: the recipe's data must say so, got {recipe.data!r}")
    return sets.load(recipe.data)


def compress(
    start: Compressed, recipe: Recipe, splits: Splits, progress: Progress = SILENT, *, first: int = 0, settled: bool = True
) -> Compressed:
    """Carry out the recipe's steps on a copy of the network, each on what the one before it left.

    Args:
        start: the dense network, or what the steps before `first` made of it.
        recipe: the steps.
        splits: what they may train and score on.
        progress: watched, and asked whether to go on.
        first: index of the first step to carry out.
        settled: whether batch norm is measured anew where a step asks for it; a lab that sketches leaves it for later.

    Raises:
        LabkitError: a step cannot be carried out.
        Cancelled: `progress` was cancelled; its `partial` is the network that the step had reached, where it keeps one.
    """
    for n in range(first, len(recipe.steps)):  # before the first epoch, not after the last
        with _naming(recipe, n):
            compressible(start.model, recipe.steps[n].layers)
    compressed = start
    for n in range(first, len(recipe.steps)):
        try:
            value = choose(compressed, recipe, n, splits, progress)
        except Cancelled as stop:
            if stop.partial is not None:
                stop.partial = apply(compressed, stop.partial)
            raise
        with _naming(recipe, n):
            compressed = apply(compressed, value)
        if settled and isinstance(value, Masks):
            compressed = settle(compressed, value, splits, progress)
    return compressed


def settle(compressed: Compressed, masks: Masks, splits: Splits, progress: Progress = SILENT) -> Compressed:
    """Measure batch norm anew on training images, if the masks that were carried out ask for it."""
    if masks.recalibrate == 0:
        return compressed
    model = copy.deepcopy(compressed.model)
    recalibrate_batch_norm(model, splits.train, masks.recalibrate, progress=progress)
    note = f"batch norm measured anew on {masks.recalibrate} training batches"
    return replace(compressed, model=model, report=(*compressed.report, note))


def choose(compressed: Compressed, recipe: Recipe, n: int, splits: Splits, progress: Progress = SILENT) -> Any:
    """Return what the recipe's step `n` (from 0) chooses for the network that the steps before it made.

    Raises:
        LabkitError: the step cannot be carried out; the message names the step.
        Cancelled: `progress` was cancelled; what a step that trains had reached is in its `partial`.
    """
    step = recipe.steps[n]
    partial: list[Weights] = []
    call: dict[str, Callable[..., Any]] = {"original_lr": lambda: float(zoo.card(recipe.network).config["lr"])}
    call["keep_partial"] = partial.append
    masks = Masks(compressed.masks) if compressed.masks else None
    context = Context(generator(recipe.seed, step.method, str(n)), splits, step.layers, masks, progress, call=MappingProxyType(call))
    try:
        with _naming(recipe, n):
            return find(step.method).run(compressed.model, step.config, context)
    except Cancelled as stop:
        stop.partial = partial[-1] if partial else None
        raise


def apply(compressed: Compressed, value: Any) -> Compressed:
    """Apply what a method chose to a copy of the network, by the kind of value that it is."""
    for kind, change in _CHANGES.items():
        if isinstance(value, kind):
            return change(compressed, value)
    raise ConfigError(
        "a recipe's step must change the network, this method only chooses for another one: name it as a part of that one's step"
    )


def measure(compressed: Compressed, file: bytes, images: Images, progress: Progress = SILENT) -> Measurement:
    """Measure accuracy on all `images`, bytes of `file`, parameters, MACs and modelled energy."""
    progress.begin("measuring accuracy")
    found = accuracy.accuracy(executor(compressed, images), images, progress=progress)
    price = cost.cost(compressed.model, example(images))
    return Measurement(found, len(file), price, modelled_energy(price, len(file)), host=host.host())


def modelled_energy(price: Cost, size: int) -> dict[str, float]:
    """Return the modelled energy of one inference in microjoules, by part, of a network whose file has `size` bytes.

    Zeros are skipped where the file leaves them out, which is where it is smaller than the same network with every zero written.
    """
    return energy.energy(price, size, energy.EnergyConfig(), skips_zeros=size < BYTES_A_PARAMETER * price.parameters)


def with_latency(
    found: Measurement, compressed: Compressed, images: Images, progress: Progress = SILENT, formats: str = "auto"
) -> Measurement:
    """Return the measurement with the time of the packed network on a batch, measured here on one thread.

    Args:
        found: what is known already.
        compressed: the network.
        images: of which the first `LATENCY_BATCH` are the batch, or all if there are fewer.
        progress: asked whether to go on.
        formats: of the weights, as `runtime.compile` takes them.
    """
    progress.begin("measuring latency")
    batch = images[:LATENCY_BATCH].tensor().numpy()
    with latency.limited_threads(1):  # formats are chosen under the conditions of the measurement
        program = runtime.compile(compressed, batch, formats)
    return replace(found, latency=latency.measure(lambda: program(batch), batch=len(batch), budget_s=3.0, progress=progress))


def executor(compressed: Compressed, images: Images) -> accuracy.Predict:
    """Return the program of the network, which skips its zeros, as a function of images (n, c, h, w) → logits (n, classes).

    Its formats follow the rule, so that it computes the same each time; `predictor` is the same network in torch.

    Args:
        compressed: the network.
        images: whose shape it is made for.

    Raises:
        ModelError: the network cannot be compiled.
    """
    program = runtime.compile(compressed, example(images), "rule")
    return lambda x: program(x.numpy())


def predictor(compressed: Compressed) -> Callable[[torch.Tensor], torch.Tensor]:
    """Return the network as a function of images (n, c, h, w) → logits (n, classes), batch norm folded."""
    model = fold_batch_norm(compressed.model)

    @torch.inference_mode()
    def predict(x: torch.Tensor) -> torch.Tensor:
        logits: torch.Tensor = model(x.contiguous(memory_format=torch.channels_last))
        return logits

    return predict


def example(images: Images) -> torch.Tensor:
    """Return one normalised image, float32 (1, c, h, w): what shapes are traced with."""
    return images[:1].tensor()


def load_file(path: Path) -> Compressed:
    """Read a compressed network from a `.labkit` file.

    Raises:
        FileFormatError: the file is missing, damaged or not labkit's.
        UnknownNameError: it names a network that this labkit cannot build.
        ModelError: a tensor in it holds NaN or an infinity.
    """
    raw = read_limited(path, MOST_BYTES)
    try:
        return packed.from_file(raw)
    except LabkitError as error:
        raise type(error)(f"{path}: {error}") from error


@contextmanager
def _naming(recipe: Recipe, n: int) -> Iterator[None]:
    """Let an error say which step it comes from."""
    try:
        yield
    except Cancelled:
        raise
    except LabkitError as error:
        raise type(error)(f"step {n + 1} ({recipe.steps[n].method}): {error}") from error


def _apply_weights(compressed: Compressed, weights: Weights) -> Compressed:
    model = copy.deepcopy(compressed.model)
    model.load_state_dict(dict(weights.state), strict=True)
    return replace(compressed, model=model.eval(), report=(*compressed.report, *weights.notes))


_CHANGES: Mapping[type, Callable[[Compressed, Any], Compressed]] = MappingProxyType({Masks: apply_masks, Weights: _apply_weights})
