"""The door to GPUs with sparse tensor cores: 2:4 layers by torch's semi-structured kernels.

A sparse tensor core multiplies by two of every four consecutive weights of an output and skips the other two. Weights and
activations are float16 there, sums float32: each result of a layer carries a relative error of some 2⁻¹¹, and what is beyond
±65504 overflows. So this is no exact copy of a `Program`, and what it computes is to be compared as such.

Source     Mishra et al. 2021, arXiv:2104.08378.
Deviation  none; what else the network does runs in float16 by torch.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from labkit.core.errors import ConfigError, ModelError
from labkit.core.records import Compressed
from labkit.models.fold import fold_batch_norm
from labkit.models.zoo import check_finite

CAPABILITY = (8, 0)
"""The first generation with sparse tensor cores."""

ROWS, COLUMNS = 32, 64
"""Outputs and inputs of a layer must be multiples of these: what each of torch's two float16 kernels asks for at most."""

_MOST = float(np.finfo(np.float16).max)


@dataclass(frozen=True)
class GpuNetwork:
    """A network on a GPU, NumPy in and NumPy out; `on_gpu` makes one.

    Attributes:
        model: in float16, on the device.
        device: where it is.
        layers: names of the layers that run 2:4.
        left: name of each other linear layer → why it runs dense.
    """

    model: nn.Module
    device: torch.device
    layers: tuple[str, ...]
    left: dict[str, str]

    def __call__(self, x: NDArray[np.float32]) -> NDArray[np.float32]:
        """Compute the output of a batch in float16.

        Args:
            x: float32 (n, c, h, w), or (n, features).

        Returns:
            Float32 (n, …).
        """
        with torch.inference_mode():
            y: Tensor = self.model(torch.from_numpy(x).to(self.device, torch.float16))
            found: NDArray[np.float32] = y.float().cpu().numpy()
        return found


def on_gpu(compressed_or_model: Compressed | nn.Module) -> GpuNetwork:
    """Put a copy of a network on the GPU, its 2:4 linear layers on the sparse tensor cores.

    Args:
        compressed_or_model: the network; it is not changed.

    Raises:
        ConfigError: there is no such GPU here.
        ModelError: no layer is 2:4 and of a size that the kernels take, or a weight is not finite or beyond float16.
    """
    device = sparse_device()
    model = compressed_or_model.model if isinstance(compressed_or_model, Compressed) else compressed_or_model
    check_finite(model.state_dict())
    folded = fold_batch_norm(model)
    reasons = {name: refusal(layer.weight) for name, layer in folded.named_modules() if isinstance(layer, nn.Linear)}
    names = tuple(name for name, why in reasons.items() if not why)
    if not names:
        first = next(iter(reasons.items()), None)
        why = f"{first[0]!r} {first[1]}" if first else "it has no linear layer"
        raise ModelError(f"on_gpu: no layer can run 2:4 ({why}): prune with granularity n_m, or run it by labkit.runtime.compile")
    for name, value in folded.state_dict().items():
        if value.is_floating_point() and value.numel() and float(value.abs().max()) > _MOST:
            raise ModelError(f"on_gpu: {name!r} must be within ±{_MOST:g} to be float16, got {float(value.abs().max()):g}")
    return GpuNetwork(_converted(folded, names, device), device, names, {name: why for name, why in reasons.items() if why})


def sparse_device() -> torch.device:
    """Return the CUDA device that torch uses.

    Raises:
        ConfigError: torch sees none, or it has no sparse tensor cores.
    """
    needs = "on_gpu: there must be a CUDA device with sparse tensor cores (compute capability 8.0 or newer)"
    instead = "labkit.runtime.compile runs 2:4 layers on the CPU"
    if not torch.cuda.is_available():
        raise ConfigError(f"{needs}, torch {torch.__version__} sees none: {instead}")
    capability = torch.cuda.get_device_capability()
    if capability < CAPABILITY:
        raise ConfigError(f"{needs}, got {torch.cuda.get_device_name()} with {capability[0]}.{capability[1]}: {instead}")
    return torch.device("cuda", torch.cuda.current_device())


def refusal(weight: Tensor) -> str:
    """Return why a weight (c_out, c_in) cannot run 2:4, as the end of a sentence about its layer; "" where it can."""
    rows, columns = weight.shape
    if rows % ROWS or columns % COLUMNS:
        return f"must have a weight in multiples of {ROWS}×{COLUMNS}, got {rows}×{columns}"
    kept = (weight.detach().reshape(rows, columns // 4, 4) != 0).sum(2)
    if int(kept.max()) > 2:
        row, group = (int(n) for n in torch.nonzero(kept > 2)[0])
        return f"must have two zeros in every four weights, got {int(kept[row, group])} that are not zero at output {row}, inputs {4 * group}–{4 * group + 3}"
    return ""


def _converted(model: nn.Module, names: tuple[str, ...], device: torch.device) -> nn.Module:
    """Return the model in float16 on the device, with the weights of `names` semi-structured."""
    model = model.to(device, torch.float16).requires_grad_(False)
    for name in names:
        layer: Any = model.get_submodule(name)
        sparse = torch.sparse.to_sparse_semi_structured(layer.weight.detach().contiguous())
        layer.weight = nn.Parameter(sparse, requires_grad=False)
    return model
