"""Whole networks of the zoo."""

from collections.abc import Iterator

from torch import nn

from labkit import flow
from labkit.bench._case import Case, bits, network_case, zeros
from labkit.core.recipe import Recipe, Step
from labkit.core.records import Compressed
from labkit.data.images import Images
from labkit.models import load, zoo
from labkit.pruning.criterion.magnitude import MagnitudeConfig
from labkit.pruning.ratio.uniform_ratio import UniformRatioConfig


def networks() -> Iterator[Case]:
    """Whole networks of the zoo at several shares of zeros."""
    for name in ("vgg-small-bn", "lenet-300-100"):
        for share in (0.0, 0.8, 0.9, 0.95):
            model, images = pruned(name, share)
            for batch in (1, 64):
                yield network_case(name, model, images[:batch].tensor(), zeros(share))


def pruned(name: str, share: float) -> tuple[nn.Module, Images]:
    """Return a network of the zoo, pruned by magnitude over all layers without any training afterwards, and its test images."""
    steps = (Step(MagnitudeConfig(ratio=UniformRatioConfig(sparsity=share), scope="global")),) if share else ()
    recipe = Recipe(name, zoo.card(name).data, steps)
    splits = flow.load_data(recipe)
    return flow.compress(Compressed(model=load(name), network=name), recipe, splits).model, splits.test


def int8_networks() -> Iterator[Case]:
    """Networks of the zoo in integers from the first layer to the last; the error is what quantization costs the logits."""
    for name in ("vgg-small-bn", "resnet-small", "mobilenet-small"):
        splits = flow.load_data(Recipe(name, "fashion-mnist", ()))
        for formats in ("int8", "int8_fast"):
            images, calibration = splits.test[:64].tensor(), splits.train[:256].tensor()
            yield network_case(f"{name} {formats}", load(name), images, bits(8), formats, calibration)


CASES = (networks, int8_networks)
