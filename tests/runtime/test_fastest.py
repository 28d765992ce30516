"""Formats by measuring, with a clock that only calls move, and once with the real one."""

from dataclasses import replace
from itertools import pairwise, product

import numpy as np
import pytest
import torch
from torch import nn

from labkit.formats.dense import DenseTensor
from labkit.measure import latency
from labkit.runtime import compile, fastest  # noqa: A004
from labkit.runtime.choose import density, rule
from labkit.runtime.program import Program
from labkit.runtime.steps import Step
from tests.formats import coded
from tests.models.networks import images, lively_zoo, prune_at_random


class Clock:
    """Time that passes only when something is done."""

    def __init__(self):
        self.now = 0.0

    def __call__(self):
        return self.now

    def call(self, *seconds):
        """Return a call that takes these seconds by turns."""
        turns = []

        def run():
            turns.append(0)
            self.now += seconds[(len(turns) - 1) % len(seconds)]

        run.turns = turns
        return run


def test_a_race_is_won_by_the_fastest():
    clock = Clock()
    calls = [clock.call(0.0005), clock.call(0.0004), clock.call(0.00045)]
    assert fastest.race(calls, clock) == (1, pytest.approx(0.0004))
    assert {len(call.turns) for call in calls} == {2 * fastest.MOST_ROUNDS}


def test_within_the_noise_the_earlier_one_stays():
    clock = Clock()
    assert fastest.race([clock.call(1.0), clock.call(0.98)], clock)[0] == 0
    assert fastest.race([clock.call(1.0), clock.call(0.96)], clock)[0] == 1


def test_one_slow_round_does_not_decide():
    clock = Clock()
    disturbed = clock.call(*[0.001] * 5, 0.1, *[0.001] * 12)
    assert fastest.race([clock.call(0.0012), disturbed], clock)[0] == 1


def test_what_is_hopeless_leaves_and_what_is_long_ends_early():
    clock = Clock()
    slow, quick = clock.call(0.01), clock.call(0.001)
    assert fastest.race([slow, quick], clock)[0] == 1
    assert len(slow.turns) == 2
    assert len(quick.turns) == 2 * fastest.LEAST_ROUNDS
    long = [clock.call(10.0), clock.call(9.0)]
    assert fastest.race(long, clock)[0] == 1
    assert len(long[0].turns) == 2 * fastest.LEAST_ROUNDS


def layers(count, share, size=6):
    """Return convolutions in a row, a share of whose weights is zero."""
    rng = np.random.default_rng(0)
    steps = []
    for k in range(count):
        weight = rng.standard_normal((size, size, 3, 3)).astype(np.float32) * (rng.random((size, size, 3, 3)) >= share)
        steps.append(
            Step("conv", f"c{k}", (k,), DenseTensor.pack(weight.astype(np.float32) + np.float32(0)), kernel=(3, 3), padding=(1, 1))
        )
    return steps


def kind(step):
    """Return the format of a step, "groups" for a dense one that runs on groups of images."""
    return "groups" if step.images_innermost else step.weight.kind


def fake(monkeypatch, clock, cost):
    """Let programs take the seconds that `cost` gives for the formats of their layers."""

    class Fake:
        def __init__(self, steps, image):
            self.kinds = [kind(step) for step in steps]

        def __call__(self, x):
            clock.now += cost(self.kinds)

    monkeypatch.setattr(fastest, "Program", Fake)


@pytest.mark.parametrize("seed", range(8))
def test_the_fastest_formats_are_found_where_layers_do_not_mind_each_other(monkeypatch, seed):
    clock, spent = Clock(), np.random.default_rng(seed).uniform(1e-4, 1e-3, (5, 2))

    def cost(kinds):
        return sum(each[int(kind == "csr")] for each, kind in zip(spent, kinds, strict=True))

    fake(monkeypatch, clock, cost)
    found = [step.weight.kind for step in fastest.measured(layers(5, 0.6), (6, 8, 8), 4, clock)]
    best = min(cost(kinds) for kinds in product(("dense", "csr"), repeat=5))
    assert cost(found) <= best / (1 - fastest.NOISE) ** 2


def test_a_change_of_layout_that_costs_more_than_it_saves_is_left_out(monkeypatch):
    clock = Clock()

    def cost(kinds):
        return 0.01 - 0.001 * kinds.count("csr") + 0.004 * sum(a != b for a, b in pairwise(kinds)) + (kinds[2] == "csr") * 0.003

    fake(monkeypatch, clock, cost)
    assert [step.weight.kind for step in fastest.measured(layers(5, 0.6), (6, 8, 8), 1, clock)] == ["csr"] * 5


def test_dense_stays_where_sparse_is_slower(monkeypatch):
    clock = Clock()
    fake(monkeypatch, clock, lambda kinds: 0.001 + 0.001 * kinds.count("csr"))
    assert {step.weight.kind for step in fastest.measured(layers(3, 0.99), (6, 8, 8), 1, clock)} == {"dense"}


def test_the_budget_ends_the_search(monkeypatch):
    clock = Clock()
    fake(monkeypatch, clock, lambda kinds: 1.0 - 0.01 * kinds.count("csr"))
    fastest.measured(layers(4, 0.6), (6, 8, 8), 1, clock)
    assert clock.now <= 2 * 3 * fastest.LEAST_ROUNDS + 1  # the first race, and no other


def test_a_long_search_ends_with_the_budget(monkeypatch):
    """Each step is worth its while, but together they would take too long."""
    clock = Clock()
    best = ["csr", "dense"] * 10
    fake(monkeypatch, clock, lambda kinds: 0.004 * 0.93 ** sum(a == b for a, b in zip(kinds, best, strict=True)))
    fastest.measured(layers(20, 0.6), (6, 8, 8), 1, clock)
    assert clock.now < 1.5 * fastest.BUDGET_S


def test_the_rule_takes_part_from_the_start(monkeypatch):
    clock = Clock()
    wide = [replace(step, dilation=(1, 2), padding=(1, 2)) for step in layers(3, 0.05)]  # which Winograd's algorithm does not fit
    steps = [replace(step, inputs=(k,)) for k, step in enumerate([*layers(3, 0.6), *wide])]
    ruled = [kind(step) for step in rule(steps, (6, 8, 8))]
    assert ruled == ["csr"] * 3 + ["dense"] * 3
    fake(monkeypatch, clock, lambda kinds: 1e-4 if kinds == ruled else 2e-4)
    assert [kind(step) for step in fastest.measured(steps, (6, 8, 8), 1, clock)] == ruled


def test_the_steps_with_the_most_products_are_tried_first():
    small, large = (replace(step, inputs=(0,)) for step in layers(2, 0.6))
    options = fastest.Options((fastest._forms(replace(small, stride=(2, 2)), (6, 4, 4)), fastest._forms(large, (6, 8, 8))), (6, 8, 8))
    assert options.neighbours((0, 0)) == [(0, 1), (1, 0)]


def test_small_dense_weights_are_tried():
    assert [kind(form) for form in fastest._forms(layers(1, 0.0)[0], (6, 8, 8))] == ["dense", "groups"]


def test_large_dense_weights_and_coded_ones_are_not_tried(monkeypatch):
    monkeypatch.setattr(fastest, "SMALL", 100)
    monkeypatch.setattr(fastest, "Program", None)  # nothing is built
    dense = [replace(step, stride=(1, 2)) for step in layers(2, 0.0)]  # which Winograd's algorithm does not fit
    assert density(dense[0]) == 1
    assert fastest.measured(dense, (6, 8, 8), 1) == dense
    books = [Step("conv", "c", (0,), coded.codebook(np.random.default_rng(0), (6, 6, 3, 3)), kernel=(3, 3), padding=(1, 1))]
    assert fastest.measured(books, (6, 8, 8), 1) == books


@pytest.mark.parametrize(("most", "runs"), [(10**6, "winograd"), (100, "")])
def test_large_dense_weights_are_tried_on_groups_of_images_where_that_takes_fewer_products(monkeypatch, most, runs):
    clock, seen = Clock(), []

    class Fake(Program):
        def __call__(self, x):
            seen.append([layer.algorithm for layer in self.layers])
            clock.now += 0.01 - 0.001 * sum(layer.algorithm == "winograd" for layer in self.layers)

    monkeypatch.setattr(fastest, "SMALL", 100)
    monkeypatch.setattr(fastest, "MOST_ACTIVATIONS", most)
    monkeypatch.setattr(fastest, "Program", Fake)
    found = fastest.measured(layers(2, 0.0), (6, 8, 8), 4, clock)
    assert [layer.algorithm for layer in Program(found, (6, 8, 8)).layers] == [runs] * 2
    assert {step.weight.kind for step in found} == {"dense"}
    assert ["winograd"] * 2 in seen or not runs


def test_a_chosen_program_computes_the_same_for_any_batch():
    model = lively_zoo("vgg-small-bn")
    prune_at_random(model, 0.9)
    program = compile(model, images("vgg-small-bn", 2))
    for count in (1, 5):
        x = images("vgg-small-bn", count, seed=count)
        with torch.inference_mode():
            np.testing.assert_allclose(program(x.numpy()), model(x).numpy(), rtol=1e-4, atol=1e-4)
    again = Program.from_bytes(program._file)
    assert [layer.format for layer in again.layers] == [layer.format for layer in program.layers]


@pytest.mark.serial
@pytest.mark.parametrize("batch", [1, 32])
@pytest.mark.parametrize("sparsity", [0.0, 0.95])
def test_auto_is_never_slower_than_dense_or_the_rule(sparsity, batch):
    model, x = lively_zoo("vgg-small-bn"), images("vgg-small-bn", batch)
    prune_at_random(model, sparsity)
    with latency.limited_threads(1):
        programs = {formats: compile(model, x, formats) for formats in ("auto", "rule", "dense")}
    times = latency.compare({name: (lambda program=program: program(x.numpy())) for name, program in programs.items()}, rounds=31)
    assert latency.ratio(times["dense"], times["auto"]).high > 0.95  # a busy machine scatters both
    assert latency.ratio(times["rule"], times["auto"]).high > 0.95  # a busy machine scatters both


def test_a_linear_layer_may_take_any_of_the_formats_that_fit():
    layer = nn.Linear(64, 32)
    with torch.no_grad():
        layer.weight[:, ::2] = 0
    steps = compile(nn.Sequential(layer), torch.zeros(1, 64), "dense").steps
    assert [form.weight.kind for form in fastest._forms(steps[0], (32,))] == ["dense", "csr", "n_m"]
