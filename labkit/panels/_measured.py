"""What is known of the network on show, and what it costs."""

from dataclasses import dataclass

from labkit.core.records import Accuracy, Compressed, Cost
from labkit.workbench import Sketch, Timing


@dataclass(frozen=True)
class Measured:
    """What is known of the network on show; what is not yet measured is None.

    Attributes:
        network: name in the zoo.
        sketch: the network, as far as it is instant.
        size: bytes of its file.
        cost: its parameters and MACs.
        accuracy: so far.
        unsettled: accuracy before batch norm was measured anew, where that was done.
        timing: the last one, perhaps of an earlier configuration.
        timing_is_current: whether it is of this one.
        compressed: the network itself, once batch norm needs no more measuring.
    """

    network: str
    sketch: Sketch
    size: int
    cost: Cost
    accuracy: Accuracy | None = None
    unsettled: Accuracy | None = None
    timing: Timing | None = None
    timing_is_current: bool = False
    compressed: Compressed | None = None

    @property
    def own_timing(self) -> Timing | None:
        """The timing of this very configuration."""
        return self.timing if self.timing_is_current else None

    @property
    def costs(self) -> dict[str, float | None]:
        """What it costs, by the name of the plane's axis."""
        return costs_of(self.size, self.cost, self.own_timing, self.sketch.zeros)


def costs_of(size: int, cost: Cost, timing: Timing | None, zeros: float) -> dict[str, float | None]:
    """Return the costs of a network by the name of the plane's axis: kB, million MACs, ms a batch, times dense, share."""
    latency_ms, speed = (None, None) if timing is None else (timing.latency.median_ms, timing.ratio)
    counted = {"size on disk": size / 1e3, "MACs": cost.effective_macs / 1e6}
    return counted | {"latency here": latency_ms, "speed here": speed, "share of zeros": zeros}
