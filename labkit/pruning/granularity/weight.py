"""Single weights: each weight is its own group, so zeros may fall anywhere.

Keeps more of a layer's L1 norm than any coarser granularity at the same count.
Source     Han et al. 2015, arXiv:1506.02626; Mao et al. 2017, arXiv:1705.08922 (the spectrum of granularities).
Deviation  None.
"""

from dataclasses import dataclass

from torch import Tensor, nn

from labkit.core.params import Config
from labkit.core.registry import Context, Method, register
from labkit.core.seeds import generator
from labkit.models import load
from labkit.models.layers import compressible
from labkit.pruning.groups import Groups


@dataclass(frozen=True, kw_only=True)
class WeightConfig(Config):
    """Has nothing to set."""


def weight_groups(weight: Tensor) -> Groups:
    """Make each entry of `weight`, of any shape, a group; such a layer may lose all of them."""
    return Groups(tuple(weight.shape), weight.numel(), keeps_one=False)


def run(model: nn.Module, config: WeightConfig, context: Context) -> dict[str, Groups]:
    """Return the groups of each layer that `context.layers` matches."""
    return {name: weight_groups(layer.weight) for name, layer in compressible(model, context.layers).items()}


def _tiny() -> tuple[nn.Module, WeightConfig, Context]:
    return load("digits-small"), WeightConfig(), Context(generator(0))


register(
    Method(
        name="weight",
        family="pruning.granularity",
        topic="bench",
        config=WeightConfig,
        run=run,
        source="Han et al. 2015, arXiv:1506.02626; Mao et al. 2017, arXiv:1705.08922",
        labs=("02_pruning_granularity", "07_sparse_execution"),
        tiny=_tiny,
    )
)
