"""Lab 07: which kinds of zeros run faster than the dense layer on this machine, and from how many on.

One linear layer of random weights, 1024 × 1024, float32, one thread, against torch eager; a run is a sweep of its own, in
which everything at one share of zeros is timed interleaved. Intervals are over runs.
"""

from collections.abc import Mapping
from functools import partial
from typing import Any

from benchmarks.claims._claim import Case, Claim, Figure, Finding, Scale, ratio_interval
from labkit import crossover
from labkit.checks.results import together, verdict
from labkit.crossover import BATCHES, KINDS, PATTERNS, Point, crossing

LAYER = "linear 1024×1024"
NETWORK = "lenet-300-100"  # whose first layer is of this kind; nothing here depends on its weights
PERCENT = "%"

Values = Mapping[str, Any]


def sweep_case(run: int) -> Case:
    """Return one run: a sweep of the layer."""

    def measure() -> dict[str, Any]:
        points = crossover.sweep(crossover.named(LAYER), lambda _: None)
        return {"ratio": {_key(point): point.ratio.median for point in points}, "start": _starts(points)}

    return Case(f"sweep {run}", NETWORK, measure, {"layer": LAYER, "run": run, "shares": list(PATTERNS)})


def sweep_cases(scale: Scale) -> list[Case]:
    """Return all runs."""
    return [sweep_case(n) for n in range(scale.runs)]


def judge_faster(kind: str, zeros: float, batches: tuple[int, ...], values: Values) -> Finding:
    """Judge whether a kind is faster than dense at a share of zeros, in every batch."""
    figures = [_figure(f"speed, {KINDS[kind]}, {zeros:.0%} zeros, batch {batch}", f"{kind} {zeros} {batch}", values) for batch in batches]
    figures += [figure for batch in batches for figure in _start_figures(kind, batch, values)]
    return Finding(together(verdict(_low(each), _high(each), at_least=1.0) for each in figures if each.unit == "×"), figures)


def judge_slower(kind: str, zeros: float, batches: tuple[int, ...], values: Values) -> Finding:
    """Judge whether a kind is slower than dense at a share of zeros, in every batch."""
    figures = [_figure(f"speed, {KINDS[kind]}, {zeros:.0%} zeros, batch {batch}", f"{kind} {zeros} {batch}", values) for batch in batches]
    return Finding(together(verdict(-_high(each), -_low(each), at_least=-1.0) for each in figures), figures)


def judge_first(kind: str, other: str, zeros: float, values: Values) -> Finding:
    """Judge whether a kind is faster than another at the same share of zeros, in every batch."""
    figures = []
    for batch in BATCHES:
        ratios = [case["ratio"][f"{kind} {zeros} {batch}"] / case["ratio"][f"{other} {zeros} {batch}"] for case in values.values()]
        figures.append(Figure(f"{KINDS[kind]} over {KINDS[other]}, {zeros:.0%} zeros, batch {batch}", *ratio_interval(ratios), unit="×"))
    return Finding(together(verdict(_low(each), _high(each), at_least=1.0) for each in figures), figures)


def _figure(name: str, key: str, values: Values) -> Figure:
    return Figure(name, *ratio_interval([case["ratio"][key] for case in values.values()]), unit="×")


def _start_figures(kind: str, batch: int, values: Values) -> list[Figure]:
    """Return from how many zeros on a kind wins: the least and the most of all runs, where it wins in every one."""
    starts = [case["start"][f"{kind} {batch}"] for case in values.values()]
    if any(each is None for each in starts):
        return []
    percents = sorted(100 * each for each in starts)
    return [Figure(f"faster from, {KINDS[kind]}, batch {batch}", percents[len(percents) // 2], percents[0], percents[-1], PERCENT)]


def _key(point: Point) -> str:
    return f"{point.kind} {point.zeros} {point.batch}"


def _starts(points: list[Point]) -> dict[str, float | None]:
    return {
        f"{kind} {batch}": crossing([point for point in points if (point.kind, point.batch) == (kind, batch)])
        for kind in KINDS
        for batch in BATCHES
    }


def _low(figure: Figure) -> float:
    return figure.value if figure.low is None else figure.low


def _high(figure: Figure) -> float:
    return figure.value if figure.high is None else figure.high


LAB = "07_sparse_execution"
WHERE = "linear 1024×1024, float32, one thread, against dense in torch"
RUNS = "5 runs"


def _claim(name: str, claim: str, methods: tuple[str, ...], judge: Any) -> Claim:
    return Claim(name, f"{WHERE}: {claim}", methods, RUNS, sweep_cases, judge, serial=True)


CLAIMS = (
    _claim(
        "single",
        "seven of eight single weights zero run faster as compressed rows, one sample a call and 64",
        ("weight",),
        partial(judge_faster, "csr", 0.875, BATCHES),
    ),
    _claim(
        "few",
        "a quarter of single weights zero runs slower as compressed rows, one sample a call and 64",
        ("weight",),
        partial(judge_slower, "csr", 0.25, BATCHES),
    ),
    _claim(
        "two_of_four",
        "2:4 runs faster, one sample a call and 64",
        ("n_m",),
        partial(judge_faster, "n_m", 0.5, BATCHES),
    ),
    _claim(
        "blocks",
        "at half of the weights zero, blocks of four outputs run faster than single weights, one sample a call and 64",
        ("weight",),
        partial(judge_first, "vector_sparse", "csr", 0.5),
    ),
    _claim(
        "pattern",
        "at half of the weights zero, 2:4 runs faster than single weights, one sample a call and 64",
        ("n_m", "weight"),
        partial(judge_first, "n_m", "csr", 0.5),
    ),
)
