"""Cases: what is to be timed, against what, and how far it is from the exact result.

Weights are random with a fixed seed but for the networks, which our own method pruned. One layer alone keeps its packed
weights in the cache where they fit; in a network larger than the cache they come from memory.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from labkit.bench import _peers
from labkit.formats import Format
from labkit.measure.cost import cost
from labkit.models.fold import fold_batch_norm
from labkit.runtime import Program, compile  # noqa: A004
from labkit.runtime import steps as runtime

Call = Callable[[], Any]
NUMPY_DENSE = "NumPy dense"
"""A peer where it is faster than torch's dense product, as it may be for one image; else no row names it."""


@dataclass(frozen=True)
class Setting:
    """How much a case is compressed: in words, and either the share of zeros or the bits of a weight."""

    words: str
    sparsity: float | None = None
    bits: float | None = None


@dataclass(frozen=True)
class Case:
    """One row before it is measured.

    Attributes:
        kernel, format, shape, batch: what runs.
        setting: see `zeros` and `bits`.
        ours, dense: calls.
        error: largest absolute difference to the exact result.
        peers: name → call of what else can do the job.
        macs, effective_macs: products of the dense call, and those of weights that are not zero.
    """

    kernel: str
    format: str
    shape: tuple[int, ...]
    batch: int
    setting: Setting
    ours: Call
    dense: Call
    error: float
    peers: dict[str, Call] = field(default_factory=dict)
    macs: int = 0
    effective_macs: int = 0


def zeros(share: float, words: str = "") -> Setting:
    """Return the setting of weights of which `share` are zero, such as "90 %" or what `words` says."""
    return Setting(words or f"{share:.0%}", sparsity=share)


def bits(count: float, words: str = "") -> Setting:
    """Return the setting of weights of `count` bits, such as "4 bits" or what `words` says."""
    return Setting(words or f"{count:g} bit{'' if count == 1 else 's'}", bits=count)


def linear_case(kernel: str, packed: Format, batch: int, setting: Setting, input_bits: int = 32) -> Case:
    """Return the case of one linear layer.

    Args:
        kernel: its name in the row.
        packed: weight (c_out, c_in).
        batch: inputs, float32.
        setting: what is compressed how far.
        input_bits: 8 rounds the inputs, which is part of the time and of the error.
    """
    x, weight = normal(batch, packed.shape[1]), packed.unpack()
    dense = torch.from_numpy(weight)
    step = runtime.Step("linear", kernel, (0,), packed, input_bits=input_bits)
    program, inputs = Program([step], (packed.shape[1],)), torch.from_numpy(x)
    error = difference(program(x), x.astype(np.float64) @ weight.astype(np.float64).T)
    is_sparse = packed.kind in ("csr", "vector_sparse", "n_m") and packed.shape[0] <= 1024
    peers = _peers.csr(dense, inputs) if is_sparse else {}
    if batch == 1:
        peers[NUMPY_DENSE] = lambda: x @ weight.T
    calls: tuple[Call, Call] = (lambda: program(x), lambda: F.linear(inputs, dense))
    macs = weight.size * batch, int(np.count_nonzero(weight)) * batch
    return Case(kernel, packed.kind, tuple(packed.shape), batch, setting, *calls, error, peers, *macs)


def network_case(
    kernel: str, model: torch.nn.Module, images: Tensor, setting: Setting, formats: str = "auto", calibration: Tensor | None = None
) -> Case:
    """Return the case of a network, against torch in channels_last with batch norm folded.

    Args:
        kernel: its name in the row.
        model: in eval mode.
        images: (n, c, h, w), or (n, features).
        setting: what is compressed how far.
        formats: see `labkit.runtime.compile`.
        calibration: images for the integer formats.
    """
    program = compile(model, images, formats, calibration=calibration)
    return program_case(kernel, program, model, images, setting, calibration)


def program_case(
    kernel: str, program: Program, model: torch.nn.Module, images: Tensor, setting: Setting, calibration: Tensor | None = None
) -> Case:
    """Return the case of a program that was made of a network; the arguments are those of `network_case`."""
    dense = fold_batch_norm(model).to(memory_format=torch.channels_last)
    best = images.contiguous(memory_format=torch.channels_last) if images.dim() == 4 else images
    x = images.contiguous().numpy()
    with torch.inference_mode():
        error = difference(program(x), dense(best).numpy())
    found = "+".join(sorted({layer.format for layer in program.layers if layer.format}))
    floats = program if calibration is None else compile(model, images, "dense")
    peers = _peers.onnx_network(floats, x)
    if calibration is not None:
        peers |= _peers.onnx_int8_network(floats, x, calibration.numpy())
    price = cost(model, images[:1])
    macs = price.macs * len(images), price.effective_macs * len(images)
    calls: tuple[Call, Call] = (lambda: program(x), lambda: dense(best))
    return Case(kernel, found, tuple(images.shape[1:]), len(images), setting, *calls, error, peers, *macs)


def rng() -> np.random.Generator:
    """Return a generator that every case begins anew, so that a case does not depend on which ran before."""
    return np.random.default_rng(0)


def normal(*shape: int) -> NDArray[np.float32]:
    """Return normal values; the same for the same number of dimensions."""
    return np.random.default_rng(len(shape)).standard_normal(shape, np.float32)


def difference(got: NDArray[Any], want: NDArray[Any]) -> float:
    """Return the largest absolute difference."""
    return float(np.abs(got - want).max())
