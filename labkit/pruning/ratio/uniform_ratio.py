"""One sparsity for every layer, or, for a budget of operations, the least one on a grid that meets it.

Source     Gale et al. 2019, arXiv:1902.09574 (as the baseline).
Deviation  The budget counts multiply-accumulates (MACs) whose weight is kept; the grid has steps of 0.01.
"""

from collections.abc import Callable
from dataclasses import dataclass

from torch import nn

from labkit.core.errors import ConfigError
from labkit.core.params import Config, param
from labkit.core.records import Ratios
from labkit.core.registry import Context, Method, register
from labkit.core.seeds import generator
from labkit.models import load
from labkit.models.layers import compressible

MOST = 0.99


@dataclass(frozen=True, kw_only=True)
class UniformRatioConfig(Config):
    """How much goes: a share of every layer, raised where the budget asks for more."""

    sparsity: float = param(0.5, low=0.0, high=MOST, step=0.01, unit="share", help="share of the groups of each layer that goes")
    budget: float = param(1.0, low=0.01, high=1.0, step=0.01, unit="share", help="share of the MACs that may remain; 1 sets no limit")


def sparsity_for_budget(cost: Callable[[float], float], budget: float, least: float = 0.0, step: float = 0.01) -> float:
    """Return the smallest sparsity on the grid `least`, `least` + `step`, … 0.99 whose cost is within `budget`.

    Args:
        cost: sparsity in [0, 0.99] → cost, never rising.
        budget: in the unit of `cost`.
        least: where the grid begins.
        step: its spacing.

    Raises:
        ConfigError: even a sparsity of 0.99 costs more.
    """
    grid = [least]
    while round(grid[-1] + step, 10) <= MOST:
        grid.append(round(grid[-1] + step, 10))
    if cost(grid[-1]) > budget:
        raise ConfigError(
            f"UniformRatioConfig.budget must be at least the cost {cost(grid[-1]):g} at a sparsity of {grid[-1]:g}, got {budget:g}"
        )
    low, high = -1, len(grid) - 1  # grid[high] fits; what lies at or before low does not
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if cost(grid[middle]) <= budget else (middle, high)
    return grid[high]


def run(model: nn.Module, config: UniformRatioConfig, context: Context) -> Ratios:
    """Return the same sparsity for each layer that `context.layers` matches.

    A budget below 1 needs `context.call["macs"]`: layer → sparsity ↦ share of the MACs that remain.
    """
    names = list(compressible(model, context.layers))
    if config.budget == 1.0:
        return Ratios(dict.fromkeys(names, config.sparsity))
    if "macs" not in context.call:
        raise ConfigError("UniformRatioConfig.budget must be 1 where no criterion asks, got a limit: use it as the ratio of a pruning step")
    macs = context.call["macs"]
    sparsity = sparsity_for_budget(lambda s: macs(dict.fromkeys(names, s)), config.budget, config.sparsity)
    note = f"a budget of {config.budget:g} of the MACs asks for a sparsity of {sparsity:g}"
    return Ratios(dict.fromkeys(names, sparsity), (note,))


def _tiny() -> tuple[nn.Module, UniformRatioConfig, Context]:
    return load("digits-small"), UniformRatioConfig(sparsity=0.8), Context(generator(0))


register(
    Method(
        name="uniform_ratio",
        family="pruning.ratio",
        topic="pruning",
        config=UniformRatioConfig,
        run=run,
        source="Gale et al. 2019, arXiv:1902.09574",
        labs=("02_pruning_granularity", "04_pruning_ratios"),
        tiny=_tiny,
    )
)
