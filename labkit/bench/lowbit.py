"""Linear layers on codes of one to four bits."""

from collections.abc import Iterator
from functools import partial

import numpy as np
import torch
from torch.nn import functional as F

from labkit.bench._case import Case, Setting, bits, difference, linear_case, normal, rng
from labkit.formats import Format
from labkit.formats.binary import BinaryTensor
from labkit.formats.codebook import CodebookTensor
from labkit.formats.linear import LinearTensor
from labkit.formats.ternary import TernaryTensor
from labkit.runtime.kernels.xnor_linear import XnorLinear


def codes() -> Iterator[Case]:
    """Codes of two to four bits, with float inputs."""
    for packed, setting in _coded():
        yield linear_case("lookup_linear_groups" if "groups" in setting.words else "lookup_linear", packed, 1, setting)


def byte_codes() -> Iterator[Case]:
    """The same with inputs that are rounded to bytes; the rounding is part of the time, and of the error."""
    for packed, setting in _coded():
        kernel = "byte_lookup_linear_groups" if "groups" in setting.words else "byte_lookup_linear"
        yield linear_case(kernel, packed, 1, setting, input_bits=8)


def _coded() -> Iterator[tuple[Format, Setting]]:
    """Yield weights of 4096² codes."""
    generator, shape = rng(), (4096, 4096)
    rows = generator.uniform(0.01, 0.1, 4096).astype(np.float32)
    for width in (2, 4):
        centroids = generator.standard_normal(1 << width).astype(np.float32)
        yield CodebookTensor.pack(generator.integers(0, 1 << width, shape), centroids, width), bits(width)
    yield TernaryTensor.pack(generator.integers(-1, 2, shape), rows), bits(2, "ternary")
    scales = generator.uniform(0.01, 0.1, 4096 * 32).astype(np.float32)
    yield LinearTensor.pack(generator.integers(-8, 8, shape), scales, bits=4, group=128), bits(4, "4 bits in groups of 128")


def signs() -> Iterator[Case]:
    """Both sides binary; the packing of the inputs is part of the time."""
    weight = BinaryTensor.pack(rng().random((1024, 1024)) < 0.5, np.full(1024, 0.1))
    dense, layer = torch.from_numpy(weight.unpack()), XnorLinear(weight)
    for batch in (1, 64):
        x = normal(batch, 1024)
        ones = torch.from_numpy(np.where(x < 0, -1, 1).astype(np.float32))
        error = difference(layer(x), ones.double().numpy() @ dense.double().numpy().T)
        calls = partial(layer, x), partial(F.linear, ones, dense)
        macs = 1024 * 1024 * batch
        yield Case("xnor_linear", "binary", (1024, 1024), batch, bits(1), *calls, error, {}, macs, macs)


CASES = (codes, byte_codes, signs)
