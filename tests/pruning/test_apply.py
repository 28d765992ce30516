"""Carrying a choice out: on a copy, on top of what is in force, with lines that say what happened."""

import pytest
import torch

from labkit.core.errors import ConfigError, ModelError
from labkit.core.records import Compressed, Masks
from labkit.models import load
from labkit.pruning.apply import apply_masks
from labkit.pruning.dependency import dependency_groups
from labkit.pruning.surgery import shrink
from tests.pruning.networks import random_choice, zoo


def checkers(shape: tuple[int, ...], phase: int) -> torch.Tensor:
    return (torch.arange(torch.Size(shape).numel()) % 3 != phase).view(shape)


def test_masked_weights_are_zero_on_a_copy_in_eval_mode() -> None:
    model = load("digits-small").train()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    keep = checkers((10, 64), 0)
    done = apply_masks(Compressed(model, "digits-small", report=("made",)), Masks({"fc.weight": keep}, notes=("a third went",)))
    assert torch.equal(done.model.get_parameter("fc.weight") != 0, keep & (before["fc.weight"] != 0))
    assert torch.equal(done.masks["fc.weight"], keep)
    assert done.report == ("made", "a third went")
    assert not done.model.training
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())


def test_masks_in_force_stay_in_force() -> None:
    first = apply_masks(Compressed(load("digits-small"), "digits-small"), Masks({"fc.weight": checkers((10, 64), 0)}))
    second = apply_masks(first, Masks({"fc.weight": checkers((10, 64), 1), "conv2.weight": checkers((16, 8, 3, 3), 2)}))
    assert torch.equal(second.masks["fc.weight"], checkers((10, 64), 0) & checkers((10, 64), 1))
    assert set(second.masks) == {"fc.weight", "conv2.weight"}
    assert set(first.masks) == {"fc.weight"}


def test_channels_go_by_surgery_and_masks_follow() -> None:
    model, x = zoo("vgg-small-bn")
    groups = dependency_groups(model, x)
    choice = random_choice(groups, 0.5)
    masked = apply_masks(Compressed(model, "vgg-small-bn"), Masks({"conv2.weight": checkers((16, 16, 3, 3), 0)}))
    dependency_groups(masked.model, x)
    done = apply_masks(masked, Masks({}, choice, ("half went",)))
    with torch.inference_mode():
        assert torch.equal(done.model(x), shrink(masked.model, groups, choice)(x))
    assert torch.equal(done.masks["conv2.weight"], done.model.get_parameter("conv2.weight") != 0)
    assert done.report == ("half went",)


def test_what_does_not_fit_is_refused() -> None:
    fresh = Compressed(load("digits-small"), "digits-small")
    with pytest.raises(ModelError, match=r"the mask of 'fc\.weight' must fit a parameter of shape \(3,\), found \(10, 64\)"):
        apply_masks(fresh, Masks({"fc.weight": torch.ones(3, dtype=torch.bool)}))
    with pytest.raises(ModelError, match="found no such parameter"):
        apply_masks(fresh, Masks({"nowhere": torch.ones(3, dtype=torch.bool)}))
    with pytest.raises(ConfigError, match="was not traced before"):
        apply_masks(fresh, Masks({}, {"conv1": torch.arange(8) > 0}))
    coded = Compressed(load("digits-small"), "digits-small", values={"fc.weight": object()})
    with pytest.raises(ModelError, match=r"'fc\.weight' is quantized already: prune before quantizing"):
        apply_masks(coded, Masks({"fc.weight": checkers((10, 64), 0)}))
