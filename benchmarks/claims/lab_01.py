"""Lab 01: what dominates the modelled energy, and where the layers of a network are under this machine's roof.

The energy is arithmetic on counts, so that its figures have no interval and its verdicts are exact. The roof and the layers'
speeds are measured, one thread, float32; the interval is over runs of their own, each with a roof of its own.
"""

from collections.abc import Mapping
from dataclasses import asdict
from functools import partial
from typing import Any

from benchmarks.claims._claim import Case, Claim, Figure, Finding, Scale, ratio_interval
from labkit import blueprint
from labkit.blueprint import ZOO, BlueprintConfig, counted
from labkit.checks.lab_01 import ALONE, BATCHED, BUFFERED, dram_share
from labkit.checks.results import FAILS, HOLDS, together, verdict
from labkit.measure.energy import EnergyConfig
from labkit.measure.roof import roof

HALF = 0.5
BATCH = 64

Values = Mapping[str, Any]


def energy_case(kind: str, name: str, chip: EnergyConfig) -> Case:
    """Return the case of a network's energy on a chip."""

    def measure() -> dict[str, Any]:
        network = counted(BlueprintConfig(kind=kind))
        return {**network.energy(chip), "share": dram_share(network, chip)}

    return Case(f"{kind}, {name}", ZOO[kind], measure, asdict(chip))


def judge_over_half(values: Values) -> Finding:
    """Judge whether DRAM takes more than half everywhere."""
    figures = [figure for name, case in values.items() for figure in _figures(name, case)]
    return Finding(together(HOLDS if case["share"] > HALF else FAILS for case in values.values()), figures)


def judge_flipped(values: Values) -> Finding:
    """Judge whether DRAM takes less than half everywhere."""
    figures = [figure for name, case in values.items() for figure in _figures(name, case)]
    return Finding(together(HOLDS if case["share"] < HALF else FAILS for case in values.values()), figures)


def _figures(name: str, case: Mapping[str, float]) -> list[Figure]:
    parts = [Figure(f"{name}, {part}", case[part], unit="µJ") for part in ("compute", "on_chip", "dram")]
    return [Figure(f"{name}, share of DRAM", 100 * case["share"], unit="%"), *parts]


def run_case(run: int, batch: int) -> Case:
    """Return one run: a roof, and the first linear layer's speed under it."""

    def measure() -> dict[str, Any]:
        config = BlueprintConfig()
        here, ran, layer = roof(), blueprint.run(config, batch), counted(config).layers[0]
        return {
            "peak": here.peak_gflops,
            "bandwidth": here.bandwidth_gbps,
            "intensity": layer.intensity(batch),
            "gflops": ran.gflops[layer.name],
        }

    return Case(f"batch {batch} run {run}", ZOO["linear"], measure, {"batch": batch, "run": run})


def ridge_cases(scale: Scale) -> list[Case]:
    """Return the runs alone and in a batch."""
    return [run_case(n, batch) for batch in (1, BATCH) for n in range(scale.runs)]


def judge_ridge(values: Values) -> Finding:
    """Judge on which side of the ridge the layer is; its speed and the peak are there to see."""
    alone, batched = ([case for name, case in values.items() if name.startswith(f"batch {n} ")] for n in (1, BATCH))
    below = ratio_interval([case["peak"] / case["bandwidth"] / case["intensity"] for case in alone])
    above = ratio_interval([case["intensity"] * case["bandwidth"] / case["peak"] for case in batched])
    figures = [Figure("ridge over fc1, one image", *below, unit="×"), Figure(f"fc1 over ridge, {BATCH} images", *above, unit="×")]
    for name, unit in (("peak", "GFLOP/s"), ("bandwidth", "GB/s")):
        figures.append(Figure(name, *ratio_interval([case[name] for case in values.values()]), unit=unit))
    for count, cases in ((1, alone), (BATCH, batched)):
        figures.append(Figure(f"fc1 reached, batch {count}", *ratio_interval([case["gflops"] for case in cases]), unit="GFLOP/s"))
    return Finding(together(verdict(found[1], found[2], at_least=1.0) for found in (below, above)), figures)


def _cases(kinds: tuple[str, ...], chips: Mapping[str, EnergyConfig], _: Scale) -> list[Case]:
    return [energy_case(kind, name, chip) for kind in kinds for name, chip in chips.items()]


LAB = "01_why_small"
EXACT = "nothing: it is arithmetic on counts"
CLAIMS = (
    Claim(
        "dram",
        "modelled, float32, one image at a time, 64 KiB on the chip: DRAM takes more than half of the energy of lenet-300-100",
        (),
        EXACT,
        partial(_cases, ("linear",), {"one image": ALONE}),
        judge_over_half,
    ),
    Claim(
        "dram_convolutional",
        "modelled, float32, one image at a time, 64 KiB on the chip: DRAM takes more than half of the energy of vgg-small-bn too",
        (),
        EXACT,
        partial(_cases, ("convolutional",), {"one image": ALONE}),
        judge_over_half,
    ),
    Claim(
        "reuse",
        "modelled, float32: where 64 images share one reading of the weights, or a buffer of 4 MiB holds them, DRAM takes less than half of the energy of lenet-300-100 and of vgg-small-bn",
        (),
        EXACT,
        partial(_cases, tuple(ZOO), {"64 images": BATCHED, "4 MiB on the chip": BUFFERED}),
        judge_flipped,
    ),
    Claim(
        "ridge",
        f"measured, float32, one thread: lenet-300-100's first layer does fewer operations a byte than this machine's ridge for one image, and more for {BATCH}",
        (),
        "5 runs",
        ridge_cases,
        judge_ridge,
        serial=True,
    ),
)
