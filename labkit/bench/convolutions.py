"""Single convolutions."""

from collections.abc import Iterator
from dataclasses import replace

import torch

from labkit.bench._case import Case, normal, program_case, rng, zeros
from labkit.runtime import Program, compile  # noqa: A004


def convolutions() -> Iterator[Case]:
    """One 3×3 convolution on groups of images, dense and sparse; the way into groups and out again is part of the time."""
    conv = torch.nn.Conv2d(128, 128, 3, padding=1).to(memory_format=torch.channels_last).eval()
    images = torch.from_numpy(normal(16, 128, 14, 14)).contiguous(memory_format=torch.channels_last)
    model = torch.nn.Sequential(conv)
    for share, formats in ((0.0, "dense"), (0.5, "csr"), (0.9, "csr")):
        with torch.no_grad():
            conv.weight.copy_(torch.from_numpy(normal(128, 128, 3, 3) / 34 * (rng().random((128, 128, 3, 3)) >= share)))
        steps = [replace(step, images_innermost=True) for step in compile(model, images, formats).steps]
        program = Program(steps, tuple(images.shape[1:]))
        yield program_case(_KERNELS[program.layers[0].algorithm], program, model, images, zeros(share))


_KERNELS = {"winograd": "winograd_conv", "direct": "csr_conv"}
CASES = (convolutions,)
