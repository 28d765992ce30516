"""Lab 02: what shapes of zeros cost in accuracy and gain in time. All accuracies are on the test images, in percentage points.

One-shot networks are compared on the same images, with the interval over these. Whatever is trained or drawn is repeated,
with the t-interval over seeds. Times are ratios within interleaved rounds, one thread, against the dense network in torch,
batch norm folded, channels_last; the interval is over runs of their own.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from benchmarks.claims._cases import accuracy_case, networks, recalibrated, shuffled, speed_figures, timed_case
from benchmarks.claims._claim import LEVEL, Case, Claim, Figure, Finding, Scale, mean_interval, paired, percent, points
from labkit import flow, runtime
from labkit.checks.lab_02 import NETWORK, equal_share, magnitude
from labkit.checks.results import FAILS, HOLDS, OPEN, together, verdict
from labkit.core.recipe import Recipe, Step
from labkit.pruning.criterion.magnitude import MagnitudeConfig
from labkit.pruning.granularity.channel import ChannelConfig
from labkit.pruning.ratio.uniform_ratio import UniformRatioConfig
from labkit.pruning.schedule.masked_finetune import MaskedFinetuneConfig
from labkit.workbench import workbench

SHARES = (0.7, 0.8, 0.9)
RECALIBRATE = 20  # batches
DROP, RANDOM_LEAD = 5.0, 10.0  # points
HALF_EPOCHS, HALF_LOSS, HALF_SPEED = 3, 1.0, 1.6
GENTLE, OTHERS = (0.1, 0.01), (1.0, 0.001)  # shares of the original learning rate
BATCHES = (64, 1)

Values = Mapping[str, Any]


# --- finer loses less ---


@dataclass(frozen=True)
class Recalibrated:
    """Batches on which each network's batch norm is measured anew before it is compared; 0 leaves it as it was."""

    channels: int
    weights: int

    @property
    def names(self) -> tuple[str, str]:
        return f"recalibrate {self.channels} channels", f"recalibrate {self.weights} weights"


def share_cases(batches: Recalibrated, scale: Scale) -> list[Case]:
    """Return channels and weights at each share of zeros."""
    cases = []
    channels, weights = batches.names
    for share in SHARES:
        pair = equal_share(workbench(NETWORK), share, batches.channels)
        anew = partial(recalibrated, recipe=pair.weights, batches=batches.weights)
        cases += [
            accuracy_case(f"{channels} {share}", pair.channels, scale),
            accuracy_case(f"{weights} {share}", pair.weights, scale, anew),
        ]
    return cases


def judge_shares(batches: Recalibrated, values: Values) -> Finding:
    """Compare at each share."""
    figures, verdicts = [], []
    for share in SHARES:
        channels, weights = (values[f"{name} {share}"] for name in batches.names)
        lead = paired(channels, weights)
        shares = [Figure(f"{name} at {share:g}", percent(case), unit="%") for name, case in (("weights", weights), ("channels", channels))]
        figures += [points(f"at {share:g}, lead of weights", lead), *shares]
        verdicts.append(verdict(lead.low, lead.high, at_least=DROP / 100))
    return Finding(together(verdicts), figures)


# --- magnitude beats random ---


def random_cases(batches: int, scale: Scale) -> list[Case]:
    """Return magnitude and random masks at 80 % zeros, on each network, batch norm measured anew on so many batches."""
    cases = []
    for network in networks():
        recipe = magnitude(workbench(network), "weight", 0.8)
        best = partial(recalibrated, recipe=recipe, batches=batches)
        cases.append(accuracy_case(f"{network} magnitude, recalibrate {batches}", recipe, scale, best))
        for draw in range(scale.draws):
            drawn = replace(recipe, seed=draw)
            change = partial(shuffled, recipe=drawn, batches=batches)
            cases.append(accuracy_case(f"{network} random {draw}, recalibrate {batches}", drawn, scale, change))
    return cases


def judge_random(values: Values) -> Finding:
    """Compare magnitude with each draw."""
    figures, verdicts = [], []
    for network in networks():
        best = next(percent(case) for name, case in values.items() if name.startswith(f"{network} magnitude"))
        draws = [percent(case) for name, case in values.items() if name.startswith(f"{network} random ")]
        mean, low, high = mean_interval([best - each for each in draws])
        figures += [Figure(f"lead on {network}", mean, low, high, "points"), Figure(f"magnitude on {network}", best, unit="%")]
        verdicts.append(verdict(low, high, at_least=RANDOM_LEAD))
    return Finding(together(verdicts), figures)


# --- half the multiplications ---


def half_the_macs(seed: int) -> Recipe:
    """Return the recipe that drops channels down to half the MACs and tunes what is left."""
    bench = workbench(NETWORK)
    prune = MagnitudeConfig(granularity=ChannelConfig(), ratio=UniformRatioConfig(sparsity=0.0, budget=0.5), recalibrate=RECALIBRATE)
    tune = MaskedFinetuneConfig(epochs=HALF_EPOCHS, lr_factor=0.1)
    return Recipe(NETWORK, bench.card.data, (Step(prune), Step(tune)), seed)


def half_cases(scale: Scale) -> list[Case]:
    """Return the dense network, the pruned one before tuning, and the tuned one under each seed."""
    recipe = half_the_macs(0)
    dense = accuracy_case("dense", replace(recipe, steps=()), scale, lambda bench, _: bench.dense)
    untuned = accuracy_case("half the MACs, untuned", replace(recipe, steps=recipe.steps[:1]), scale)
    return [dense, untuned, *(accuracy_case(f"half the MACs, seed {n}", half_the_macs(n), scale) for n in range(scale.seeds))]


def judge_half(values: Values) -> Finding:
    """Compare the tuned networks with the dense one."""
    dense = percent(values["dense"])
    losses = [dense - percent(case) for name, case in values.items() if name.startswith("half the MACs, seed ")]
    mean, low, high = mean_interval(losses)
    untuned = dense - percent(values["half the MACs, untuned"])
    figures = [Figure("lost after tuning", mean, low, high, "points"), Figure("lost before it", untuned, unit="points")]
    return Finding(verdict(-high, -low, at_least=-HALF_LOSS), [*figures, Figure("dense", dense, unit="%")])


# --- the rate of fine-tuning ---


def rate_cases(scale: Scale) -> list[Case]:
    """Return 90 % of the weights pruned and tuned for an epoch, with each factor and seed."""
    bench = workbench(NETWORK)
    cases = []
    for factor in (*GENTLE, *OTHERS):
        for seed in range(scale.seeds):
            pruned = magnitude(bench, "weight", 0.9)
            steps = (*pruned.steps, Step(MaskedFinetuneConfig(epochs=1, lr_factor=factor)))
            cases.append(accuracy_case(f"factor {factor:g} seed {seed}", replace(pruned, steps=steps, seed=seed), scale))
    return cases


def judge_rates(values: Values) -> Finding:
    """Compare each gentle factor with the others, seed by seed; two are tried, so that each has half the chance to err."""
    count = len(values) // len(GENTLE + OTHERS)
    found = {factor: [percent(values[f"factor {factor:g} seed {n}"]) for n in range(count)] for factor in GENTLE + OTHERS}
    figures = [Figure(f"factor {factor:g}", sum(each) / count, unit="%") for factor, each in found.items()]
    verdicts = []
    for factor in GENTLE:
        parts = []
        for other in OTHERS:
            differences = [a - b for a, b in zip(found[factor], found[other], strict=True)]
            mean, low, high = mean_interval(differences, 1 - (1 - LEVEL) / len(GENTLE))
            figures.append(Figure(f"{factor:g} over {other:g}", mean, low, high, "points"))
            parts.append(verdict(low, high, at_least=0.0))
        verdicts.append(together(parts))
    return Finding(next(each for each in (HOLDS, OPEN, FAILS) if each in verdicts), figures)


# --- time ---


def torch_calls(batch: int) -> dict[str, Callable[[], Any]]:
    """Return the dense network and the one of half the MACs, both in torch."""
    bench = workbench(NETWORK)
    x = bench.splits.test[:batch].tensor()
    half = replace(half_the_macs(0), steps=half_the_macs(0).steps[:1])
    dense, pruned = flow.predictor(bench.dense), flow.predictor(bench.compress(half))
    return {"dense": lambda: dense(x), "half": lambda: pruned(x)}


def program_calls(batch: int) -> dict[str, Callable[[], Any]]:
    """Return the dense network in torch, and programs of the pruned ones, each in its own format."""
    bench = workbench(NETWORK)
    pair, x = equal_share(bench, 0.9), bench.splits.test[:batch].tensor()
    recipes = {
        "weights 90 %": magnitude(bench, "weight", 0.9),
        "channels 90 %": pair.channels,
        "weights 50 %": magnitude(bench, "weight", 0.5),
    }
    programs = {name: runtime.compile(bench.compress(recipe), x, "rule") for name, recipe in recipes.items()}
    dense, array = flow.predictor(bench.dense), x.numpy()
    calls: dict[str, Callable[[], Any]] = {"dense": lambda: dense(x)}
    return calls | {name: (lambda program=program: program(array)) for name, program in programs.items()}


def judge_speed(values: Values) -> Finding:
    """Compare half the MACs with the dense network."""
    figures = speed_figures(values, "half", "half the MACs, batch 64")
    return Finding(verdict(figures[0].low or 0.0, figures[0].high or 0.0, at_least=HALF_SPEED), figures)


def format_cases(scale: Scale) -> list[Case]:
    """Return the runs of packed programs at each batch."""
    return [
        timed_case(f"programs batch {batch} run {n}", NETWORK, batch, partial(program_calls, batch), scale)
        for batch in BATCHES
        for n in range(scale.runs)
    ]


def judge_formats(values: Values) -> Finding:
    """Compare each program with dense torch; the one of 50 % zeros only shows where it loses."""
    figures, verdicts = [], []
    for batch in BATCHES:
        runs = {name: case for name, case in values.items() if name.startswith(f"programs batch {batch} ")}
        for call in ("weights 90 %", "channels 90 %", "weights 50 %"):
            found = speed_figures(runs, call, f"{call}, batch {batch}")
            figures += found if call == "weights 90 %" else [found[0], found[-1]]
            if call != "weights 50 %":
                verdicts.append(verdict(found[0].low or 0.0, found[0].high or 0.0, at_least=1.0))
    return Finding(together(verdicts), figures)


def finer(name: str, words: str, batches: Recalibrated) -> Claim:
    """Return the claim that finer loses less, with batch norm treated in one of the ways."""
    return Claim(
        name,
        f"on {NETWORK}, one-shot at equal shares of zeros (0.7, 0.8, 0.9), single weights stay at least {DROP:g} points more accurate than whole channels, {words}",
        ("weight", "channel"),
        "10,000 test images",
        partial(share_cases, batches),
        partial(judge_shares, batches),
    )


def random(name: str, words: str, batches: int) -> Claim:
    """Return the claim that magnitude beats a random choice, with batch norm treated in one of the ways."""
    return Claim(
        name,
        f"at 80 % zeros, one-shot, the smallest magnitudes lead a random choice of the same counts per layer by at least {RANDOM_LEAD:g} points on every network, {words}",
        ("magnitude",),
        "5 draws",
        partial(random_cases, batches),
        judge_random,
        seeds=Scale().draws,
    )


FINER = (
    ("finer", "batch norm left as it was", Recalibrated(0, 0)),
    ("finer_channels_recalibrated", f"the channels' batch norm measured anew on {RECALIBRATE} batches", Recalibrated(RECALIBRATE, 0)),
    ("finer_both_recalibrated", f"the batch norm of both measured anew on {RECALIBRATE} batches", Recalibrated(RECALIBRATE, RECALIBRATE)),
)
LAB = "02_pruning_granularity"
CLAIMS = (
    *(finer(*each) for each in FINER),
    random("random", "batch norm left as it was", 0),
    random("random_recalibrated", f"batch norm measured anew on {RECALIBRATE} batches", RECALIBRATE),
    Claim(
        "half",
        f"{NETWORK} with channels pruned to half its MACs loses at most {HALF_LOSS:g} point after {HALF_EPOCHS} epochs of tuning on 16,000 images",
        ("channel", "masked_finetune", "uniform_ratio"),
        "3 seeds",
        half_cases,
        judge_half,
        seeds=Scale().seeds,
    ),
    Claim(
        "rate",
        f"after 90 % of {NETWORK}'s weights were pruned, one epoch at 0.1 or 0.01 of the original learning rate beats one at 1 and one at 0.001",
        ("masked_finetune",),
        "3 seeds",
        rate_cases,
        judge_rates,
        seeds=Scale().seeds,
    ),
    Claim(
        "half_speed",
        f"{NETWORK} with channels pruned to half its MACs runs at least {HALF_SPEED:g} times as fast in plain torch, one thread, batch 64",
        ("channel",),
        "5 interleaved runs of 100 rounds",
        lambda scale: [timed_case(f"torch run {n}", NETWORK, 64, partial(torch_calls, 64), scale) for n in range(scale.runs)],
        judge_speed,
        serial=True,
    ),
    Claim(
        "own_format",
        f"{NETWORK} with 90 % of its weights pruned runs faster than dense torch as a program of its own format, single weights in CSR and whole channels dense, one thread, batch 64 and 1",
        ("weight", "channel"),
        "5 interleaved runs of 100 rounds",
        format_cases,
        judge_formats,
        serial=True,
    ),
)
