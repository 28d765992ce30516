"""What a person chooses in lab 01."""

from dataclasses import dataclass, field, replace

from labkit import blueprint
from labkit.blueprint import BlueprintConfig
from labkit.measure.energy import EnergyConfig

TimedProgram = tuple[str, float, int, int]  # kind, width, depth, batch


@dataclass(frozen=True)
class State:
    """All that a person can choose.

    Attributes:
        network: its shape.
        chip: the modelled chip, and how many images share one reading of the weights.
        layer: the one in view.
    """

    network: BlueprintConfig = field(default_factory=BlueprintConfig)
    chip: EnergyConfig = field(default_factory=EnergyConfig)
    layer: str = "fc1"

    @property
    def timed_program(self) -> TimedProgram:
        """What decides the program that is timed, in float32 and dense: bits, zeros and buffer are modelled only."""
        return self.network.kind, self.network.width, self.network.depth, self.chip.batch

    def on_its_layers(self) -> "State":
        """Return the state with a layer that its network has: the present one, else the first."""
        names = [layer.name for layer in blueprint.counted(self.network).layers]
        return self if self.layer in names else replace(self, layer=names[0])
