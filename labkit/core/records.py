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
        recalibrate: training batches on which batch norm is to be measured anew once the masks are carried out; 0 for none.
    """

    keep: Mapping[str, "Tensor"]
    channels: Mapping[str, "Tensor"] = field(default_factory=_nothing)
    notes: tuple[str, ...] = ()
    recalibrate: int = 0

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
    """Top-1 accuracy on a sample, with two 95 % Wilson score intervals that answer two questions.

    Attributes:
        correct, n: images classified correctly, and seen.
        low, high: of the accuracy on fresh images like these. It is what is drawn, and it stays when the whole test set was seen.
        population: size of the test set that the `n` were drawn from, None where no larger set is meant.
        set_low, set_high: of the value at which the number settles once all of `population` is seen; a point when n = population.
        index: int64 (n,), which images of the set were seen, in order; None where they are not known.
        predictions: int64 (n,), the class given to each of them, -1 where the network gave NaN.
    """

    correct: int
    n: int
    low: float
    high: float
    population: int | None = None
    set_low: float = 0.0
    set_high: float = 1.0
    index: "Tensor | None" = field(default=None, compare=False, repr=False)
    predictions: "Tensor | None" = field(default=None, compare=False, repr=False)

    @property
    def share(self) -> float:
        return self.correct / self.n

    @property
    def is_settled(self) -> bool:
        """Whether the whole test set was seen, so that the number will not change."""
        return self.n == self.population


@dataclass(frozen=True)
class Difference:
    """Accuracy of one network less that of another on the same images, which is far sharper than either accuracy.

    Attributes:
        share: the difference, in [-1, 1]; positive where the second is better.
        low, high: its 95 % interval for fresh images.
        gained, lost: images that only the second, only the first classifies correctly.
        n: images compared.
    """

    share: float
    low: float
    high: float
    gained: int
    lost: int
    n: int


@dataclass(frozen=True)
class Latency:
    """Time of one call, measured.

    Attributes:
        median_ms: median over the runs.
        low_ms, high_ms: first and third quartile.
        runs: how many calls were timed.
        threads: threads that computed.
        batch: images a call.
        times_ms: every timed call, in order of the rounds.
        notes: what a person should know ("measured without the machine-wide lock").
    """

    median_ms: float
    low_ms: float
    high_ms: float
    runs: int
    threads: int
    batch: int
    times_ms: tuple[float, ...] = field(default=(), repr=False)
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Ratio:
    """How many times as long one call takes as another, from rounds in which both were timed.

    Attributes:
        median: of the ratios, one a round.
        low, high: their first and third quartile.
        rounds: how many.
    """

    median: float
    low: float
    high: float
    rounds: int


@dataclass(frozen=True)
class LayerCost:
    """What one layer holds and does for one image.

    Attributes:
        name: of the module that computes it.
        kind: "conv", "depthwise", "conv_transpose" or "linear".
        weight_shape: (c_out, c_in/groups, k_h, k_w), or (out, in).
        parameters, nonzeros: entries of weight and bias, and those that are not zero.
        macs, effective_macs: multiply-accumulates, and those whose weight is not zero.
        output_elements: entries that it writes.
    """

    name: str
    kind: str
    weight_shape: tuple[int, ...]
    parameters: int
    nonzeros: int
    macs: int
    effective_macs: int
    output_elements: int


@dataclass(frozen=True)
class Cost:
    """What a network holds and does for one image.

    Attributes:
        parameters: entries of all parameters (weights, biases, batch norm's scale and shift).
        nonzeros: those that are not zero.
        macs: multiply-accumulates of convolutions and linear layers, zeros and padding included.
        effective_macs: those whose weight is not zero.
        activations: entries that each convolution and linear layer writes, in order; what follows it up to the next one
            (batch norm, activation, pooling, addition) is taken as done on the fly.
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
