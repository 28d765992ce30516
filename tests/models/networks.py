"""Networks for tests: of the zoo, untrained, with batch norms and biases that do something."""

import torch
from torch import Tensor, nn

from labkit.core.seeds import generator
from labkit.models.layers import compressible
from labkit.models.zoo import build


def lively(model: nn.Module, seed: int = 0) -> nn.Module:
    """Fill running statistics, scales, shifts and biases with random values; eval mode."""
    source = generator(seed, "lively")
    for module in model.modules():
        if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
            module.running_mean.uniform_(-0.5, 0.5, generator=source)
            module.running_var.uniform_(0.3, 2.0, generator=source)
            if module.affine:
                nn.init.uniform_(module.weight, 0.7, 1.6, generator=source)
                nn.init.uniform_(module.bias, -0.5, 0.5, generator=source)
        elif isinstance(module, nn.Conv2d | nn.Linear) and module.bias is not None:
            nn.init.uniform_(module.bias, -0.5, 0.5, generator=source)
    return model.eval()


def lively_zoo(name: str, seed: int = 0) -> nn.Module:
    return lively(build(name, seed), seed)


def prune_at_random(model: nn.Module, sparsity: float, seed: int = 0) -> dict[str, Tensor]:
    """Zero a share of each layer's weights in place, by multiplication; return the masks."""
    source, masks = generator(seed, "prune"), {}
    for name, layer in compressible(model).items():
        order = torch.rand(layer.weight.numel(), generator=source).argsort().argsort()
        keep = (order >= round(sparsity * order.numel())).view(layer.weight.shape)
        layer.weight.data *= keep
        masks[f"{name}.weight"] = keep
    return masks


def images(name: str, count: int, seed: int = 0) -> Tensor:
    size = 8 if name.startswith("digits") else 28
    x = torch.randn(count, 1, size, size, generator=generator(seed, "images"))
    return x.contiguous(memory_format=torch.channels_last)
