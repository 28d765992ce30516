"""Networks to prune in tests, with everything random that a fresh network has at 0 or 1 and that hides mistakes there."""

import torch
from torch import nn

from labkit.models.zoo import INPUTS, build
from labkit.pruning.dependency import DependencyGroups

ZOO = ("lenet-300-100", "lenet-5", "vgg-small-bn", "resnet-small", "mobilenet-small", "digits-small")


def randomised(model: nn.Module, seed: int = 0) -> nn.Module:
    """Give biases and batch norm's scale, shift and statistics random values, in place; return the model in eval mode."""
    g = torch.Generator().manual_seed(seed)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
            c = module.num_features
            module.weight.data, module.bias.data = torch.rand(c, generator=g) + 0.5, torch.randn(c, generator=g) / 2
            module.running_mean, module.running_var = torch.randn(c, generator=g) / 2, torch.rand(c, generator=g) + 0.5
        elif isinstance(getattr(module, "bias", None), nn.Parameter):
            module.bias.data = torch.randn(module.bias.shape, generator=g) / 4
    return model.eval()


def zoo(name: str) -> tuple[nn.Module, torch.Tensor]:
    """Return a random network of the zoo and a batch of two random images for it."""
    shape = INPUTS["digits" if name.startswith("digits") else "fashion-mnist"]
    return randomised(build(name)), torch.randn(2, *shape[1:], generator=torch.Generator().manual_seed(1))


def random_choice(groups: DependencyGroups, share: float, seed: int = 2) -> dict[str, torch.Tensor]:
    """Drop about `share` of the channels of each group that may shrink, at least one and never all."""
    g = torch.Generator().manual_seed(seed)
    choice = {}
    for group in groups:
        if not group.fixed and group.channels > 1:
            keep = torch.rand(group.channels, generator=g) >= share
            keep[0], keep[-1] = True, False
            choice[group.name] = keep
    return choice


def masks_of(model: nn.Module, groups: DependencyGroups, choice: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Return the masks of all groups together."""
    masks: dict[str, torch.Tensor] = {}
    for name, keep in choice.items():
        for parameter, mask in groups[name].masks(model, keep).items():
            masks[parameter] = masks[parameter] & mask if parameter in masks else mask
    return masks
