"""Whole networks: two of the zoo, and a larger one with random weights.

Where scores are compared over all layers, the first layers, which every pixel passes, keep most of their weights: at 90 % zeros
the small VGG is left with a quarter of its products. Where they are compared within each layer, a tenth is left. Both are shown.
"""

from collections.abc import Iterator

import torch

from labkit import flow
from labkit.bench._case import Case, bits, network_case, zeros
from labkit.core.recipe import Recipe, Step
from labkit.core.records import Compressed
from labkit.data.images import Splits
from labkit.models import load
from labkit.models.builders import vgg
from labkit.pruning.criterion.magnitude import MagnitudeConfig
from labkit.pruning.ratio.uniform_ratio import UniformRatioConfig

LARGER = (32, 32, 0, 64, 64, 0, 96, 96, 0)
"""A VGG of 25 million products an image, with a pooling after every second convolution."""


def networks() -> Iterator[Case]:
    """Whole networks of the zoo, pruned by magnitude without any training afterwards."""
    for name in ("vgg-small-bn", "lenet-300-100"):
        for share, scope in ((0.0, ""), *((share, scope) for scope in ("global", "layer") for share in (0.8, 0.9, 0.95))):
            model, splits = pruned(name, load(name), share, scope)
            words = f"{share:.0%} in each layer" if scope == "layer" else ""
            for batch in (1, 64):
                yield network_case(name, model, splits.test[:batch].tensor(), zeros(share, words))


def larger_network() -> Iterator[Case]:
    """A larger VGG with random weights, each layer pruned by magnitude."""
    for share in (0.0, 0.8, 0.9, 0.95):
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            dense = vgg(LARGER).eval()
        model, splits = pruned("vgg-small-bn", dense, share, "layer")
        yield network_case("vgg 32-32-64-64-96-96", model, splits.test[:64].tensor(), zeros(share, f"{share:.0%} in each layer"))


def pruned(name: str, model: torch.nn.Module, share: float, scope: str) -> tuple[torch.nn.Module, Splits]:
    """Return a network with `share` of its weights zero, and the images of the network of the zoo called `name`."""
    steps = (Step(MagnitudeConfig(ratio=UniformRatioConfig(sparsity=share), scope=scope)),) if share else ()
    recipe = Recipe(name, "fashion-mnist", steps)
    splits = flow.load_data(recipe)
    return flow.compress(Compressed(model=model, network=name), recipe, splits).model, splits


def int8_networks() -> Iterator[Case]:
    """Networks of the zoo in integers from the first layer to the last; the error is what quantization costs the logits.

    One image runs in one plan, which is exact whatever was asked for.
    """
    for name in ("vgg-small-bn", "resnet-small", "mobilenet-small"):
        splits = flow.load_data(Recipe(name, "fashion-mnist", ()))
        for formats, batch in (("int8", 1), ("int8", 64), ("int8_fast", 64)):
            images, calibration = splits.test[:batch].tensor(), splits.train[:256].tensor()
            yield network_case(f"{name} {formats}", load(name), images, bits(8), formats, calibration)


CASES = (networks, larger_network, int8_networks)
