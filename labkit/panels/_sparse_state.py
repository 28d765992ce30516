"""What a person chooses in lab 07."""

from dataclasses import dataclass, field

from labkit.core.recipe import Recipe, Step
from labkit.core.registry import method_of
from labkit.crossover import SweepConfig
from labkit.dataflow import WalkConfig
from labkit.execution import RunConfig
from labkit.panels._network_state import NetworkState
from labkit.panels._strip import images
from labkit.pruning.criterion.magnitude import MagnitudeConfig


def asks_for_a_ratio(prune: MagnitudeConfig) -> bool:
    """Whether the granularity leaves open how much goes; N:M says it itself."""
    return not getattr(prune.granularity, "FIXES_SHARE", False)


@dataclass(frozen=True)
class State(NetworkState):
    """All that a person can choose.

    Attributes:
        prune: the pruning step.
        run: how the network is run.
        sweep: which layer is swept.
        walk: which machine is stepped through, and how far.
    """

    prune: MagnitudeConfig = field(default_factory=MagnitudeConfig)
    run: RunConfig = field(default_factory=RunConfig)
    sweep: SweepConfig = field(default_factory=SweepConfig)
    walk: WalkConfig = field(default_factory=WalkConfig)

    def recipe(self, data: str) -> Recipe:
        return Recipe(self.network, data, (Step(self.prune),))

    def series(self) -> str:
        return f"{method_of(self.prune.granularity).name.replace('_', ':')}, {images(self.run.batch)}"

    def how(self) -> RunConfig:
        return self.run

    @property
    def zeros(self) -> float:
        """Share of zeros that is asked for; of N:M it is said by N and M."""
        if asks_for_a_ratio(self.prune):
            return float(getattr(self.prune.ratio, "sparsity", 0.0))
        return 1 - getattr(self.prune.granularity, "n", 1) / getattr(self.prune.granularity, "m", 1)
