"""Magnitude pruning: zero the weights with the smallest absolute value.

Saliency |w| of a single weight, (Σ|w|^p)^(1/p) of a group: L1 for p = 1, L2 for p = 2.
Source     Han et al. 2015, arXiv:1506.02626; groups: Li et al. 2016, arXiv:1608.08710.
Deviation  Drops an exact share instead of what lies below a threshold; ties go by position.
"""

from dataclasses import dataclass

from torch import Tensor, nn

from labkit.core.params import param
from labkit.core.records import Masks
from labkit.core.registry import Context, Method, register
from labkit.core.seeds import generator
from labkit.models import load
from labkit.pruning._config import PruningConfig
from labkit.pruning._select import select
from labkit.pruning.groups import Groups


@dataclass(frozen=True, kw_only=True)
class MagnitudeConfig(PruningConfig):
    """Which norm scores a group, besides what every pruning step says."""

    p: float = param(1.0, low=0.5, high=4.0, step=0.5, help="norm that scores a group of weights")


def magnitude_saliency(weight: Tensor, groups: Groups, config: MagnitudeConfig) -> Tensor:
    """Return the Lp norm of each group.

    Args:
        weight: (c_o, c_i/groups, k_h, k_w) or (out, in).
        groups: of that weight.
        config: `p` is used.

    Returns:
        (G,), not negative; |w| itself where each weight is a group, whatever p.
    """
    size = weight.detach().abs()
    if groups.is_single:
        return size.flatten()
    return groups.sum(size.double() ** config.p) ** (1 / config.p)


def run(model: nn.Module, config: MagnitudeConfig, context: Context) -> Masks:
    """Choose the masks that drop the groups of smallest norm."""
    return select(model, config, context, lambda layer, groups: magnitude_saliency(model.get_parameter(f"{layer}.weight"), groups, config))


def _tiny() -> tuple[nn.Module, MagnitudeConfig, Context]:
    return load("digits-small"), MagnitudeConfig(), Context(generator(0))


register(
    Method(
        name="magnitude",
        family="pruning.criterion",
        topic="bench",
        config=MagnitudeConfig,
        run=run,
        source="Han et al. 2015, arXiv:1506.02626; Li et al. 2016, arXiv:1608.08710",
        labs=("02_pruning_granularity", "03_pruning_criteria", "05_finetuning_and_iteration"),
        tiny=_tiny,
    )
)
