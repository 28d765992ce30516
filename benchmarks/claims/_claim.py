"""What a claim is: cases that are measured one by one, and a judge that makes figures and a verdict of what they gave."""

import hashlib
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from scipy import stats

from labkit.core.params import canonical_json
from labkit.core.records import Accuracy, Difference
from labkit.measure import accuracy
from labkit.models import zoo

LEVEL = 0.95


@dataclass(frozen=True)
class Scale:
    """How much is measured.

    Attributes:
        test, train: images, at most.
        seeds: of whatever trains.
        draws: of what is drawn without training.
        runs: repetitions of a timing, each an interleaved run of its own.
        rounds: of each run.
    """

    test: int = 10_000
    train: int = 16_000
    seeds: int = 3
    draws: int = 5
    runs: int = 5
    rounds: int = 100


QUICK = Scale(test=500, train=512, seeds=2, draws=2, runs=2, rounds=5)


@dataclass(frozen=True)
class Case:
    """One thing to measure; what is measured once is taken from the journal when a run goes on.

    Attributes:
        name: by which the judge finds it, unique in its lab.
        network: whose checkpoint it depends on.
        measure: gives plain values.
        settings: all that decides the outcome besides the network and labkit's own code.
    """

    name: str
    network: str
    measure: Callable[[], dict[str, Any]]
    settings: Mapping[str, Any] = field(default_factory=dict)

    def identity(self, scale: Scale) -> str:
        """Return the hash of all that decides the outcome, labkit's own code aside."""
        checkpoint = hashlib.sha256((zoo.CHECKPOINTS / f"{self.network}.safetensors").read_bytes()).hexdigest()
        values = {"name": self.name, "settings": dict(self.settings), "scale": vars(scale), "checkpoint": checkpoint}
        return hashlib.sha256(canonical_json(values).encode()).hexdigest()[:16]


@dataclass(frozen=True)
class Figure:
    """A number of a finding, with its interval where it has one; `to_dict` gives the form of the results."""

    name: str
    value: float
    low: float | None = None
    high: float | None = None
    unit: str = ""

    def to_dict(self) -> dict[str, Any]:
        """Return plain values, rounded to six digits."""
        numbers = {key: None if (n := getattr(self, key)) is None else float(f"{n:.6g}") for key in ("value", "low", "high")}
        return {"name": self.name, **numbers, "unit": self.unit}


@dataclass(frozen=True)
class Finding:
    """What a judge says.

    Attributes:
        verdict: holds, fails or open.
        figures: what it rests on.
    """

    verdict: str
    figures: Sequence[Figure]


@dataclass(frozen=True)
class Claim:
    """A claim of a lab.

    Attributes:
        name: for the command line.
        claim: one sentence with the numbers that decide it.
        methods: of the catalogue, whose cards show it.
        over: what the interval is over, in words ("3 seeds", "10,000 test images").
        cases: what to measure at a scale.
        judge: case's name → its values, the finding.
        seeds: how many seeds it rests on; 1 where nothing is random.
        serial: whether it measures time, so that nothing else may run.
    """

    name: str
    claim: str
    methods: tuple[str, ...]
    over: str
    cases: Callable[[Scale], list[Case]]
    judge: Callable[[Mapping[str, Any]], Finding]
    seeds: int = 1
    serial: bool = False


def mean_interval(values: Sequence[float], level: float = LEVEL) -> tuple[float, float, float]:
    """Return the mean of independent values with its t-interval.

    With n values of sample standard deviation d: mean ± t·d/√n, t the quantile of Student's distribution of n - 1 degrees.

    Args:
        values: at least two, one a seed.
        level: share of such intervals that cover the true mean.

    Returns:
        Mean, low, high.
    """
    if len(values) < 2:
        raise ValueError(f"an interval needs at least two values, got {len(values)}: use more seeds")
    mean = float(np.mean(values))
    half = float(stats.t.ppf((1 + level) / 2, len(values) - 1) * np.std(values, ddof=1) / math.sqrt(len(values)))
    return mean, mean - half, mean + half


def ratio_interval(ratios: Sequence[float], level: float = LEVEL) -> tuple[float, float, float]:
    """Return the geometric mean of ratios, one from each interleaved run, with the t-interval of their logarithms."""
    mean, low, high = mean_interval([math.log(each) for each in ratios], level)
    return math.exp(mean), math.exp(low), math.exp(high)


def right(predictions: torch.Tensor, labels: torch.Tensor) -> dict[str, Any]:
    """Return plain values that `paired` can compare: counts, and 1 or 0 for each image."""
    hits = predictions == labels
    return {"correct": int(hits.sum()), "n": len(hits), "right": "".join("01"[int(hit)] for hit in hits)}


def paired(before: Mapping[str, Any], after: Mapping[str, Any]) -> Difference:
    """Return how much better `after` is on the very same images, with the interval over these; see `labkit.measure.accuracy.difference`."""
    one, other = (torch.tensor([int(each) for each in case["right"]]) for case in (before, after))
    index = torch.arange(len(one))
    seen = [Accuracy(int(hits.sum()), len(hits), 0.0, 1.0, index=index, predictions=hits) for hits in (one, other)]
    return accuracy.difference(seen[0], seen[1], torch.ones(len(one), dtype=torch.int64))


def points(name: str, found: Difference) -> Figure:
    """Return a difference as a figure in percentage points."""
    return Figure(name, 100 * found.share, 100 * found.low, 100 * found.high, "points")


def percent(case: Mapping[str, Any]) -> float:
    """Return a recorded accuracy in percent."""
    return 100 * float(case["correct"]) / float(case["n"])
