"""N:M: of every M consecutive weights along an output's inputs, the N with the best scores stay.

Groups of M lie in the order (k_h, k_w, c_i), so along the input channels where M divides them. A shorter last group of r
weights keeps min(N, r). N and M fix the share of zeros, 1 - N/M where M divides; the ratio is not asked.
Source     Mishra et al. 2021, arXiv:2104.08378 (2:4); Zhou et al. 2021, arXiv:2102.04010 (N:M).
Deviation  None for M that divide c_i; others run on along (k_h, k_w, c_i) instead of padding.
"""

from dataclasses import dataclass
from functools import partial
from typing import ClassVar

import torch
from torch import Tensor, nn

from labkit.core.params import Config, param
from labkit.core.registry import Context, Method, register
from labkit.core.seeds import generator
from labkit.models import load
from labkit.models.layers import compressible
from labkit.pruning.groups import Groups


@dataclass(frozen=True, kw_only=True)
class NMConfig(Config):
    """How many of how many stay."""

    FIXES_SHARE: ClassVar[bool] = True  # of zeros: no ratio is asked

    n: int = param(2, low=1, high=16, step=1, help="N: weights that stay of each group; M or more keep all")
    m: int = param(4, choices=(2, 4, 8, 16), help="M: consecutive weights that make a group")


def n_m_groups(weight: Tensor, config: NMConfig) -> Groups:
    """Make each weight a group of its own, of which N of every M along the inputs stay.

    Args:
        weight: (c_o, c_i/groups, k_h, k_w) or (out, in).
        config: N and M.
    """
    shape, width = tuple(weight.shape), weight[0].numel()
    if config.n >= config.m:
        note = f"N = {config.n} of M = {config.m} keeps every weight"
    elif width <= config.n:
        note = f"an output has {width} weights, no more than N = {config.n}: left dense"
    else:
        note = ""
    return Groups(shape, weight.numel(), keeps_one=False, choose=partial(_best_of_each, shape, config), note=note)


def run(model: nn.Module, config: NMConfig, context: Context) -> dict[str, Groups]:
    """Return the groups of each layer that `context.layers` matches."""
    return {name: n_m_groups(layer.weight, config) for name, layer in compressible(model, context.layers).items()}


def _best_of_each(shape: tuple[int, ...], config: NMConfig, scores: Tensor) -> Tensor:
    """Return which weights stay, (G,) bool in the order of the weight; of equal ones the first in a group goes first."""
    by_input = scores.reshape(shape).movedim(1, -1) if len(shape) == 4 else scores.reshape(shape)
    rows = by_input.reshape(shape[0], -1)
    padded = nn.functional.pad(rows, (0, -rows.shape[1] % config.m), value=-torch.inf).reshape(shape[0], -1, config.m)
    best = padded.flip(2).sort(dim=2, descending=True, stable=True).indices[:, :, : config.n]
    keep = torch.zeros_like(padded, dtype=torch.bool).scatter_(2, config.m - 1 - best, True)
    keep &= padded > -torch.inf  # neither the padding, nor what an earlier step has dropped
    keep = keep.flatten(1)[:, : rows.shape[1]].reshape(by_input.shape)
    return (keep.movedim(-1, 1) if len(shape) == 4 else keep).reshape(-1)


def _tiny() -> tuple[nn.Module, NMConfig, Context]:
    return load("digits-small"), NMConfig(), Context(generator(0))


register(
    Method(
        name="n_m",
        family="pruning.granularity",
        topic="runtime",
        config=NMConfig,
        run=run,
        source="Mishra et al. 2021, arXiv:2104.08378; Zhou et al. 2021, arXiv:2102.04010",
        labs=("02_pruning_granularity", "07_sparse_execution"),
        tiny=_tiny,
    )
)
