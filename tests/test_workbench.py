"""The bench that a panel is handed: the same numbers as the spine, and work that is not done twice."""

from dataclasses import replace

import numpy as np
import pytest

from labkit import flow
from labkit.core.progress import SILENT
from labkit.core.recipe import Recipe, Step, from_dict
from labkit.measure.cost import cost
from labkit.models.layers import compressible
from labkit.workbench import KEPT_RESULTS, Workbench, workbench


def recipe(*sparsities: float, granularity: str = "weight", seed: int = 0) -> Recipe:
    steps = [
        {"method": "magnitude", "granularity": granularity, "ratio": {"name": "uniform_ratio", "sparsity": each}} for each in sparsities
    ]
    return from_dict({"version": 1, "network": "digits-small", "data": "digits", "seed": seed, "steps": steps})


@pytest.fixture
def bench() -> Workbench:
    return Workbench("digits-small")


def test_a_network_has_one_bench() -> None:
    assert workbench("digits-small") is workbench("digits-small")


def test_its_numbers_are_those_of_the_spine(bench: Workbench) -> None:
    result = flow.run(recipe(0.75))
    made = bench.compress(recipe(0.75))
    assert bench.file(made) == result.file
    price = bench.cost(made)
    assert price == result.measurement.cost
    assert bench.energy(price, len(result.file)) == result.measurement.energy_uj
    *_, last = bench.accuracy(made, SILENT)
    assert last.is_settled
    assert (last.correct, last.n) == (result.measurement.accuracy.correct, 500)


@pytest.mark.parametrize("network", ["mobilenet-small", "resnet-small", "vgg-small-bn"])
@pytest.mark.parametrize("granularity", ["weight", "channel"])
def test_a_cost_is_the_one_that_is_counted_while_the_network_runs(network: str, granularity: str) -> None:
    bench = workbench(network)
    plan = replace(recipe(0.75, granularity=granularity), network=network, data="fashion-mnist")
    made = bench.sketch(plan).compressed
    assert bench.cost(made) == cost(made.model, flow.example(bench.splits.test))
    assert bench.cost(made).nonzeros < bench.dense_cost.nonzeros


def test_layers_and_weights_are_the_dense_networks(bench: Workbench) -> None:
    expected = compressible(bench.dense.model)
    assert [each.name for each in bench.layers] == list(expected)
    for name, layer in expected.items():
        assert np.array_equal(bench.weight(name), layer.weight.detach().numpy())


def test_a_sketch_is_what_compress_carries_out(bench: Workbench) -> None:
    sketch, made = bench.sketch(recipe(0.5)), bench.compress(recipe(0.5))
    assert sketch.is_unsettled, "batch norm is measured anew, which a sketch leaves for later"
    plain = replace(recipe(0.5), steps=(Step(recipe(0.5).steps[0].config.replace(recalibrate=0)),))
    assert not bench.sketch(plain).is_unsettled
    assert bench.file(bench.sketch(plain).compressed) == bench.file(bench.compress(plain))
    assert sketch.zeros == pytest.approx(0.5, abs=0.001)
    for name, keep in sketch.keep.items():
        assert np.array_equal(keep, made.masks[f"{name}.weight"].numpy())
        assert np.array_equal(bench.remaining(sketch, name), bench.weight(name)[keep])


def test_a_result_that_is_kept_is_what_the_sketch_shows(bench: Workbench) -> None:
    dense, once = recipe(0.5), replace(recipe(0.5), seed=77)
    bench.keep(once, bench.compress(recipe(0.5, 0.75)))
    sketch = bench.sketch(once)
    assert sketch.is_tuned
    assert not bench.sketch(dense).is_tuned
    assert all(len(bench.remaining(sketch, name)) < len(bench.remaining(bench.sketch(dense), name)) for name in sketch.keep)


def test_channels_leave_smaller_layers(bench: Workbench) -> None:
    sketch = bench.sketch(recipe(0.5, granularity="channel"))
    assert sketch.is_unsettled
    for name, keep in sketch.keep.items():
        assert keep.shape == bench.weight(name).shape
        left = sketch.compressed.model.get_parameter(f"{name}.weight").detach().numpy().reshape(-1)
        assert np.array_equal(bench.remaining(sketch, name), left)


def test_what_was_kept_is_not_done_again(bench: Workbench, monkeypatch: pytest.MonkeyPatch) -> None:
    done: list[int] = []
    choose = flow.choose
    monkeypatch.setattr(flow, "choose", lambda compressed, recipe, n, *rest: (done.append(n), choose(compressed, recipe, n, *rest))[1])
    first = bench.compress(recipe(0.25, 0.5))
    assert done == [0, 1]
    assert not bench.has(recipe(0.25, 0.5))
    bench.keep(recipe(0.25, 0.5), first)
    assert bench.has(recipe(0.25, 0.5))
    assert bench.compress(recipe(0.25, 0.5)) is first
    longer = bench.compress(recipe(0.25, 0.5, 0.75))
    assert done == [0, 1, 2]
    assert bench.file(longer) == bench.file(Workbench("digits-small").compress(recipe(0.25, 0.5, 0.75)))
    bench.compress(recipe(0.25, 0.5, seed=1))
    assert done[-2:] == [0, 1], "another seed is another run"


def test_only_the_newest_results_are_kept(bench: Workbench) -> None:
    for seed in range(KEPT_RESULTS + 1):
        bench.keep(recipe(0.5, seed=seed), bench.dense)
    assert not bench.has(recipe(0.5, seed=0))
    assert all(bench.has(recipe(0.5, seed=seed)) for seed in range(1, KEPT_RESULTS + 1))


def test_time_of_an_epoch_is_measured_once_and_changes_nothing(bench: Workbench) -> None:
    before = bench.file(bench.dense)
    seconds = bench.seconds_an_epoch()
    assert 0 < seconds < 60
    assert bench.seconds_an_epoch() == seconds
    assert bench.file(bench.dense) == before


@pytest.mark.serial
def test_latency_is_measured_against_the_dense_network(bench: Workbench) -> None:
    found = bench.latency(bench.compress(recipe(0.5)), SILENT)
    assert found.latency.batch == found.dense.batch == flow.LATENCY_BATCH
    alone = bench.latency(bench.compress(recipe(0.5)), SILENT, 1, "dense")
    assert alone.latency.batch == alone.dense.batch == 1
    assert 0 < found.low <= found.ratio <= found.high


def test_what_was_cancelled_is_shown_but_not_taken_for_done(bench: Workbench) -> None:
    whole = recipe(0.5, 0.75)
    part = bench.compress(recipe(0.5))
    bench.keep(whole, part, reached=0.4)
    assert bench.reached(whole) == 0.4
    assert bench.is_at_hand(whole)
    assert bench.sketch(whole).compressed is part
    made = bench.compress(whole)
    assert bench.file(made) != bench.file(part), "compress carries it out"
    bench.keep(whole, made)
    assert bench.reached(whole) is None
    assert bench.sketch(whole).compressed is made


def test_a_recipe_without_a_job_is_at_hand(bench: Workbench) -> None:
    assert bench.is_at_hand(recipe(0.5))
    assert not bench.is_at_hand(recipe(0.5, 0.75))
    assert bench.reached(recipe(0.5)) is None
