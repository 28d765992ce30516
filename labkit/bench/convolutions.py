"""Single convolutions."""

from collections.abc import Iterator

import torch

from labkit.bench._case import Case, network_case, normal, rng, zeros


def convolutions() -> Iterator[Case]:
    """One 3×3 convolution."""
    conv = torch.nn.Conv2d(128, 128, 3, padding=1).to(memory_format=torch.channels_last).eval()
    images = torch.from_numpy(normal(16, 128, 14, 14)).contiguous(memory_format=torch.channels_last)
    for share in (0.5, 0.9):
        with torch.no_grad():
            conv.weight.copy_(torch.from_numpy(normal(128, 128, 3, 3) / 34 * (rng().random((128, 128, 3, 3)) >= share)))
        yield network_case("csr_conv", torch.nn.Sequential(conv), images, zeros(share), "csr")


CASES = (convolutions,)
