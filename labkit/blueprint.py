"""A network of any width and depth that nobody trained: counted, modelled, and timed with random weights.

Its shape decides what it computes, holds and moves, and how long that takes; what it would know, only training decides, so that
nothing here speaks of accuracy. At width 1 and depth 2 the shapes are those of the trained lenet-300-100 and vgg-small-bn.

    weights of a layer   entries · bits/8 bytes, or one bit an entry and kept · bits/8, whichever is less; a bias has 32 bits
    bytes of its run     4 · (weights + biases + batch · (inputs + outputs)), float32, each crossing once
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache

import numpy as np
import torch
from torch import nn

from labkit import runtime
from labkit.core.params import Config, param
from labkit.core.progress import SILENT, Progress
from labkit.core.records import Compressed, Cost, Latency, LayerCost
from labkit.core.seeds import generator
from labkit.measure import latency
from labkit.measure.cost import layers
from labkit.measure.energy import EnergyConfig, energy, intensity
from labkit.models import zoo
from labkit.models.builders import perceptron, vgg

ZOO = {"linear": "lenet-300-100", "convolutional": "vgg-small-bn"}  # whose shapes these are at width 1 and depth 2
IMAGE = (1, 28, 28)
ROUNDS, BUDGET_S = 30, 0.6


@dataclass(frozen=True, kw_only=True)
class BlueprintConfig(Config):
    """The shape of a network, and how many of its weights are zero."""

    kind: str = param("linear", choices=tuple(ZOO), help="linear layers use each weight once an image, convolutions at every position")
    width: float = param(1.0, low=0.25, high=2.0, step=0.25, unit="×", help="outputs of each layer, times those of the network in the zoo")
    depth: int = param(2, low=1, high=4, step=1, help="hidden layers; in the convolutional network, convolutions at each image size")
    sparsity: float = param(
        0.0, low=0.0, high=0.95, step=0.05, unit="share", help="zeros in each layer; they are neither stored nor multiplied"
    )

    @property
    def trained(self) -> str:
        """Name of the trained network that has this very shape; empty where there is none."""
        return ZOO[self.kind] if (self.width, self.depth, self.sparsity) == (1.0, 2, 0.0) else ""


@dataclass(frozen=True)
class CountedLayer:
    """What one layer holds, does and moves.

    Attributes:
        name: of the layer.
        macs: products an image, zeros included.
        entries, kept: of its weight, and those that are not zero.
        biases: one for each output channel; batch norm, folded, is one too.
        weight_bytes: its weights and biases as stored.
        inputs, outputs: values an image that it reads and writes.
    """

    name: str
    macs: int
    entries: int
    kept: int
    biases: int
    weight_bytes: int
    inputs: int
    outputs: int

    def intensity(self, batch: int) -> float:
        """Return the operations for each byte of its float32 run on a batch, in which everything crosses once."""
        return intensity(batch * self.macs, 4 * (self.entries + self.biases + batch * (self.inputs + self.outputs)))


@dataclass(frozen=True)
class Counted:
    """What a network holds and does, and the modelled energy of an image.

    Attributes:
        layers: in order of execution.
        cost: of the whole.
        weight_bytes: of all layers.
        skips_zeros: whether zeros are left out of what is stored.
    """

    layers: tuple[CountedLayer, ...]
    cost: Cost
    weight_bytes: int
    skips_zeros: bool

    def energy(self, chip: EnergyConfig) -> dict[str, float]:
        """Return the modelled microjoules of an image by part; see `labkit.measure.energy`."""
        return energy(self.cost, self.weight_bytes, chip, skips_zeros=self.skips_zeros)

    def moved(self, chip: EnergyConfig) -> dict[str, tuple[float, float]]:
        """Return, by layer, the bytes of weights and of activations an image between chip and DRAM; they sum to `dram_bytes`."""
        share = 1 / chip.batch if self.weight_bytes > chip.buffer else 0.0
        sizes = {layer.name: layer.outputs * chip.bits / 8 for layer in self.layers}
        return {
            layer.name: (layer.weight_bytes * share, 2 * sizes[layer.name] if sizes[layer.name] > chip.buffer else 0.0)
            for layer in self.layers
        }


@dataclass(frozen=True)
class Ran:
    """What was measured of the float32 program, one thread.

    Attributes:
        gflops: layer → 10⁹ operations a second, median over the rounds; zeros included.
        latency: of a batch.
    """

    gflops: Mapping[str, float]
    latency: Latency


def build(config: BlueprintConfig) -> nn.Module:
    """Build the network with random weights, in eval mode; it takes (n, 1, 28, 28) and gives (n, 10)."""

    def wide(c: int) -> int:
        return round(c * config.width)

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        if config.kind == "linear":
            return perceptron([wide(300), *[wide(100)] * (config.depth - 1)]).eval()
        stages = [width for c in (16, 32, 64) for width in (*[wide(c)] * config.depth, 0)]
        return vgg([*stages, wide(96)]).eval().to(memory_format=torch.channels_last)


def counted(config: BlueprintConfig, bits: int = 32) -> Counted:
    """Count a network whose weights have so many bits."""
    rows = _rows(config.kind, config.width, config.depth)
    made = tuple(_layer(row, config.sparsity, bits) for row in rows)
    entries, biases = sum(layer.entries for layer in made), sum(layer.biases for layer in made)
    cost = Cost(
        parameters=entries + biases,
        nonzeros=sum(layer.kept for layer in made) + biases,
        macs=sum(layer.macs for layer in made),
        effective_macs=sum(layer.kept * (layer.macs // layer.entries) for layer in made),
        activations=tuple(layer.outputs for layer in made),
    )
    weights, dense = sum(layer.weight_bytes for layer in made), entries * bits // 8 + 4 * biases
    return Counted(made, cost, weights, skips_zeros=weights < dense)


def run(config: BlueprintConfig, batch: int, progress: Progress = SILENT) -> Ran:
    """Compile the network dense in float32 and time each of its layers on random images, one thread.

    Raises:
        Cancelled: between two rounds, or while another measurement is waited for.
        LabkitError: another measurement did not end.
    """
    program = runtime.compile(Compressed(build(config), ZOO[config.kind]), torch.zeros(1, *IMAGE), "rule")
    images = torch.rand(batch, *IMAGE, generator=generator(0, "images")).numpy()
    profiles: list[dict[str, float]] = []
    calls = {"whole": lambda: program(images), "layers": lambda: profiles.append(_by_layer(program.profile(images)))}
    times = latency.compare(calls, rounds=ROUNDS, batch=batch, budget_s=BUDGET_S, progress=progress)
    timed = profiles[-times["layers"].runs :]  # without the warm-up
    gflops = {}
    for layer in counted(config).layers:
        median_ms = float(np.median([profile[layer.name] for profile in timed]))
        gflops[layer.name] = 2 * layer.macs * batch / max(median_ms, 1e-6) / 1e6
    return Ran(gflops, times["whole"])


def _by_layer(rows: list[tuple[str, float]]) -> dict[str, float]:
    """Return milliseconds by layer; a pooling that is fused into a convolution ("conv1 + pool") counts as its layer's."""
    return {name.partition(" + ")[0]: spent for name, spent in rows}


def trained_accuracy(config: BlueprintConfig) -> float | None:
    """Return the share of test images that the trained network of this very shape classifies correctly; None where there is none."""
    return zoo.card(config.trained).accuracy if config.trained else None


@cache
def _rows(kind: str, width: float, depth: int) -> tuple[LayerCost, ...]:
    return tuple(layers(build(BlueprintConfig(kind=kind, width=width, depth=depth)), torch.zeros(1, *IMAGE)))


def _layer(row: LayerCost, sparsity: float, bits: int) -> CountedLayer:
    channels, inputs = row.weight_shape[:2]
    entries = int(np.prod(row.weight_shape))
    kept = entries - int(sparsity * entries)
    positions = row.output_elements // channels  # stride 1 and same padding: as many in as out
    return CountedLayer(
        name=row.name,
        macs=row.macs,
        entries=entries,
        kept=kept,
        biases=channels,
        weight_bytes=min(entries * bits // 8, kept * bits // 8 + (entries + 7) // 8) + 4 * channels,
        inputs=positions * inputs,
        outputs=row.output_elements,
    )
