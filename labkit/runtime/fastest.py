"""Formats by measuring: which weights run faster dense and which sparse, timed here, in the program they belong to.

A layer alone says little: what comes in and goes out changes its layout, poolings are fused, and neighbours share a cache. So
whole programs are timed. The first race is between all weights dense, the rule of `choose`, and all weights sparse. Then the
winner races against its neighbours, programs that differ in one layer's format, as long as one of them is faster by more than
noise and the budget lasts. A convolution with a dense weight may run by torch or on groups of images. The answer belongs to this machine, this batch and the number of threads at the time; what a
program computes does not depend on it but for the rounding of sums.
"""

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from labkit.runtime.choose import density, packed, products_of, rule
from labkit.runtime.program import Program
from labkit.runtime.steps import Shape, Step, value_shapes
from labkit.runtime.winograd import pays

BUDGET_S = 0.8
"""Seconds after which no further race begins. A race takes at least `LEAST_ROUNDS`; one that its candidates would take too long
for is not begun."""

LEAST_ROUNDS, MOST_ROUNDS = 3, 9
NOISE = 0.03
"""A candidate must be faster than the one before it by this share, or the one before stays."""

HOPELESS = 1.5
"""Times as slow as the fastest in every round so far: such a candidate leaves the race."""

MOST_DENSITY, SMALL = 0.75, 1 << 18
"""A weight of more than `SMALL` entries with a larger share that is not zero stays dense without a look, but where Winograd's
algorithm makes up for that."""

MOST_ACTIVATIONS = 1 << 21
"""Values that one image may have in a program for such weights to be tried on groups of images, which hold all of them at once."""

Clock = Callable[[], float]
Choice = tuple[int, ...]


@dataclass(frozen=True)
class Options:
    """What each step may be: itself, dense, and the same with its weight in other formats.

    Attributes:
        steps: for each step its forms, that which torch runs first.
        image: (c, h, w) of the input, or (features,).
    """

    steps: tuple[tuple[Step, ...], ...]
    image: Shape

    def made(self, choice: Choice) -> list[Step]:
        """Return the steps with form number `choice[k]` of step k."""
        return [forms[n] for forms, n in zip(self.steps, choice, strict=True)]

    def neighbours(self, choice: Choice) -> list[Choice]:
        """Return all choices that differ in one step; those of the steps with the most products first."""
        products = products_of(self.made(choice), self.image)
        order = sorted(range(len(choice)), key=lambda k: -products[k])
        return [(*choice[:k], n, *choice[k + 1 :]) for k in order for n in range(len(self.steps[k])) if n != choice[k]]


def measured(steps: Sequence[Step], image: Shape, batch: int, clock: Clock = time.perf_counter) -> list[Step]:
    """Return the steps with each dense weight in the format with which the program runs fastest.

    Args:
        steps: in execution order; a weight in another format than dense stays as it is.
        image: (c, h, w) of the input, or (features,).
        batch: images at once, at least 1.
        clock: in seconds.
    """
    shapes = value_shapes(steps, image)
    roomy = sum(map(math.prod, shapes)) <= MOST_ACTIVATIONS
    options = Options(tuple(_forms(step, shape if roomy else ()) for step, shape in zip(steps, shapes[1:], strict=True)), tuple(image))
    if all(len(forms) == 1 for forms in options.steps):
        return list(steps)
    x = np.random.default_rng(0).standard_normal((batch, *image)).astype(np.float32)
    start = clock()
    choice, seconds = _race(options, _starts(options, steps), x, clock)
    while len(rivals := _affordable(options.neighbours(choice), seconds, BUDGET_S - (clock() - start))):
        best, seconds = _race(options, [choice, *rivals], x, clock)
        if best == choice:
            break
        choice = best
    return options.made(choice)


def race(calls: Sequence[Callable[[], Any]], clock: Clock = time.perf_counter) -> tuple[int, float]:
    """Return which call is the fastest, and how many seconds it takes.

    All run in turns, an untimed call before each timed one, so that caches hold its own data; what is hopeless drops out. A
    call wins over an earlier one only if it is faster by more than `NOISE`.
    """
    times: list[list[float]] = [[] for _ in calls]
    left, start = list(range(len(calls))), clock()
    for turn in range(MOST_ROUNDS):
        for k in left if turn % 2 else left[::-1]:
            calls[k]()
            before = clock()
            calls[k]()
            times[k].append(clock() - before)
        fastest = min(min(times[k]) for k in left)
        left = [k for k in left if min(times[k]) <= HOPELESS * fastest]
        if turn + 1 >= LEAST_ROUNDS and (len(left) == 1 or clock() - start > BUDGET_S / 4):
            break
    best = left[0]
    for k in left[1:]:
        if np.median(times[k]) < (1 - NOISE) * np.median(times[best]):
            best = k
    return best, float(np.median(times[best]))


def _race(options: Options, choices: list[Choice], x: NDArray[np.float32], clock: Clock) -> tuple[Choice, float]:
    programs = [Program(options.made(choice), options.image) for choice in choices]
    best, seconds = race([lambda program=program: program(x) for program in programs], clock)  # type: ignore[misc]
    return choices[best], seconds


def _forms(step: Step, shape: Shape) -> tuple[Step, ...]:
    """Return the forms of a step that are worth a try, each format once, dense first.

    Args:
        step: of any kind.
        shape: of what it makes; () where a large dense weight must not run on groups of images.
    """
    if _kind(step) != "dense":
        return (step,)
    large = step.weight is not None and math.prod(step.weight.shape) > SMALL
    if large and density(step) > MOST_DENSITY and not (len(shape) == 3 and pays(step, shape[1:])):
        return (step,)
    if step.op == "conv":
        return (step, _on_groups(step))
    forms = [step, packed(step, "csr"), packed(step, "csr", "n_m", "vector_sparse")]
    kinds = [_kind(form) for form in forms]
    return tuple(form for n, form in enumerate(forms) if kinds[n] not in kinds[:n])


def _on_groups(step: Step) -> Step:
    """Return a convolution that runs on groups of images, as compressed sparse rows or dense, whichever takes fewer bytes."""
    smaller = packed(step, "csr", "dense")
    return replace(smaller, images_innermost=_kind(smaller) == "dense")


def _kind(step: Step) -> str:
    return step.weight.kind if step.weight is not None else ""


def _starts(options: Options, steps: Sequence[Step]) -> list[Choice]:
    """Return the choices of the first race: all dense, the rule, all in the last of their forms."""
    dense = tuple(0 for _ in options.steps)
    last = tuple(len(forms) - 1 for forms in options.steps)
    ruled = rule(list(steps), options.image)
    by_rule = tuple(_form_like(forms, step) for forms, step in zip(options.steps, ruled, strict=True))
    return list(dict.fromkeys((dense, by_rule, last)))


def _form_like(forms: Sequence[Step], step: Step) -> int:
    """Return the number of the form that runs where a step does, a linear layer's in the same format; 0, dense, where none does."""
    if step.op == "conv":
        return min(int(step.images_innermost or _kind(step) != "dense"), len(forms) - 1)
    kinds = [_kind(form) for form in forms]
    return kinds.index(_kind(step)) if _kind(step) in kinds else 0


def _affordable(choices: list[Choice], seconds: float, left_s: float) -> list[Choice]:
    """Return the first of the choices, as many as a race has time for when each call takes `seconds`."""
    return choices[: max(0, int(left_s / max(2 * LEAST_ROUNDS * seconds, 1e-9)) - 1)]
