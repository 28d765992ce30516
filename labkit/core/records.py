"""The values that travel along the spine: what a method chose, what was made of it, what was measured.

Each is frozen. A method returns one of them; `labkit.flow` applies it to a copy of the model.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor, nn

_NOTHING: Mapping[str, Any] = MappingProxyType({})


def _nothing() -> Any:
    """Return the empty mapping; Python 3.11 takes it for a mutable default, so that it must come from a factory."""
    return _NOTHING


@dataclass(frozen=True)
class Masks:
    """Which entries of which parameters stay.

    Attributes:
        keep: parameter name → bool tensor of its shape, True keeps. Parameters that are absent stay whole.
        channels: dependency group → bool (channels,), for a structured choice, which surgery carries out; else empty.
            With it, `keep` holds the masks that give the same outputs as the surgery.
        notes: what a person should know ("layer 0 collapsed: every weight is zero").
    """

    keep: Mapping[str, "Tensor"]
    channels: Mapping[str, "Tensor"] = field(default_factory=_nothing)
    notes: tuple[str, ...] = ()

    @property
    def is_structured(self) -> bool:
        return bool(self.channels)


@dataclass(frozen=True)
class Ratios:
    """How much of each layer goes: layer name → fraction of zeros in [0, 1]."""

    zeros: Mapping[str, float]
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Weights:
    """New values for a model's parameters and buffers, by name: what training leaves behind."""

    state: Mapping[str, "Tensor"]
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Compressed:
    """A compressed network: what `compress` returns and `compile` takes.

    Attributes:
        model: an ordinary torch module in eval mode that computes the compressed network.
        network: name of the builder that made it, before any surgery.
        masks: parameter name → bool tensor, True keeps; of this model, so after surgery of the smaller one.
        values: parameter name → its quantized or coded value (see `labkit.formats`); empty while nothing is quantized.
        activations: activation name → (scale, zero point).
        report: one line for each thing that changed or did not.
    """

    model: "nn.Module"
    network: str
    masks: Mapping[str, "Tensor"] = field(default_factory=_nothing)
    values: Mapping[str, Any] = field(default_factory=_nothing)
    activations: Mapping[str, tuple[float, int]] = field(default_factory=_nothing)
    report: tuple[str, ...] = ()


@dataclass(frozen=True)
class Accuracy:
    """Top-1 accuracy on a sample, with its Wilson score interval.

    Attributes:
        correct, n: images classified correctly, and seen.
        low, high: 95 % interval of the share; of the test set's own share when the whole set was not seen.
    """

    correct: int
    n: int
    low: float
    high: float

    @property
    def share(self) -> float:
        return self.correct / self.n


@dataclass(frozen=True)
class Latency:
    """Time of one call, measured.

    Attributes:
        median_ms: median over the runs.
        low_ms, high_ms: first and third quartile.
        runs: how many calls were timed.
        threads: threads that computed.
        batch: images a call.
    """

    median_ms: float
    low_ms: float
    high_ms: float
    runs: int
    threads: int
    batch: int


@dataclass(frozen=True)
class Cost:
    """What a network holds and does for one image.

    Attributes:
        parameters: entries of all parameters (weights, biases, batch norm's scale and shift).
        nonzeros: those that are not zero.
        macs: multiply-accumulates of convolutions and linear layers, zeros included.
        effective_macs: those whose weight is not zero.
        activations: entries of each activation tensor that one image writes, layer by layer.
    """

    parameters: int
    nonzeros: int
    macs: int
    effective_macs: int
    activations: tuple[int, ...] = ()


@dataclass(frozen=True)
class Measurement:
    """Everything that is measured of a compressed network.

    Attributes:
        accuracy: on the test images.
        packed_bytes: size of the file that `formats` writes.
        cost: parameters and MACs.
        energy_uj: modelled energy of one inference, microjoules, by part ("compute", "on_chip", "dram").
        latency: measured; None where it was not asked for.
        host: facts about the machine.
    """

    accuracy: Accuracy
    packed_bytes: int
    cost: Cost
    energy_uj: Mapping[str, float]
    latency: Latency | None = None
    host: Mapping[str, Any] = field(default_factory=_nothing)
