"""Networks that are only counted: their numbers by hand, against the trained ones, and against the packed format."""

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from labkit import blueprint
from labkit.blueprint import ZOO, BlueprintConfig, build, counted
from labkit.core.errors import Cancelled
from labkit.core.progress import Progress
from labkit.formats.bitmap import BitmapTensor
from labkit.measure import _lock
from labkit.measure.cost import cost
from labkit.measure.energy import EnergyConfig, dram_bytes
from labkit.models import zoo

CONFIGS = st.builds(
    BlueprintConfig,
    kind=st.sampled_from(tuple(ZOO)),
    width=st.sampled_from((0.25, 1.0)),
    depth=st.integers(1, 3),
    sparsity=st.sampled_from((0.0, 0.05, 0.5, 0.95)),
)


@pytest.mark.parametrize("kind", ZOO)
def test_at_width_1_and_depth_2_it_has_the_shapes_of_the_trained_network(kind: str) -> None:
    made, trained = build(BlueprintConfig(kind=kind)).state_dict(), zoo.load(ZOO[kind]).state_dict()
    assert {name: value.shape for name, value in made.items()} == {name: value.shape for name, value in trained.items()}
    want, have = cost(zoo.load(ZOO[kind]), torch.zeros(1, 1, 28, 28)), counted(BlueprintConfig(kind=kind)).cost
    assert (have.macs, have.effective_macs, have.activations) == (want.macs, want.effective_macs, want.activations)


def test_a_small_network_by_hand() -> None:
    found = counted(BlueprintConfig(width=0.25, depth=1, sparsity=0.5), bits=8)  # 784-75-10
    first, last = found.layers
    assert (first.entries, first.kept, first.macs, first.inputs, first.outputs) == (58_800, 29_400, 58_800, 784, 75)
    assert first.weight_bytes == 29_400 + 58_800 // 8 + 4 * 75  # half of the weights, a bit for each, a bias for each output
    assert last.weight_bytes == 375 + 94 + 4 * 10  # 750 entries take 93.75 bytes of bits
    assert (found.cost.macs, found.cost.effective_macs) == (59_550, 29_775)
    assert found.skips_zeros
    assert first.intensity(4) == 2 * 4 * 58_800 / (4 * (58_800 + 75 + 4 * (784 + 75)))


def test_a_linear_layer_does_half_an_operation_a_byte_at_any_width() -> None:
    for width in (0.25, 2.0):
        assert 0.48 < counted(BlueprintConfig(width=width)).layers[0].intensity(1) < 0.5


def test_too_few_zeros_are_stored_like_others_and_cost_as_much() -> None:
    dense, few = counted(BlueprintConfig(), bits=8), counted(BlueprintConfig(sparsity=0.1), bits=8)
    assert (few.weight_bytes, few.skips_zeros) == (dense.weight_bytes, False)  # a bit for each of them is an eighth
    assert few.energy(EnergyConfig(bits=8)) == dense.energy(EnergyConfig(bits=8))
    assert counted(BlueprintConfig(sparsity=0.15), bits=8).skips_zeros


def test_zeros_take_what_the_format_bitmap_takes() -> None:
    entries = 784 * 300
    array = np.ones(entries, np.float32)
    array[: entries // 2] = 0.0
    packed = BitmapTensor.pack(array.reshape(300, 784))
    assert counted(BlueprintConfig(sparsity=0.5)).layers[0].weight_bytes - 4 * 300 == packed.values.nbytes + packed.bits.nbytes


@settings(deadline=None, max_examples=40)
@given(CONFIGS, st.sampled_from((8, 16, 32)), st.sampled_from((1, 7, 256)), st.sampled_from((0, 10_000, 65_536, 4 << 20)))
def test_what_the_layers_move_is_what_the_network_moves(config: BlueprintConfig, bits: int, batch: int, buffer: int) -> None:
    chip, found = EnergyConfig(bits=bits, batch=batch, buffer=buffer), counted(config, bits)
    moved = found.moved(chip)
    assert list(moved) == [layer.name for layer in found.layers]
    assert math.isclose(sum(map(sum, moved.values())), dram_bytes(found.cost, found.weight_bytes, chip), rel_tol=1e-9, abs_tol=1e-9)


@pytest.mark.parametrize(("change", "name"), [({}, "lenet-300-100"), ({"width": 0.5}, ""), ({"depth": 3}, ""), ({"sparsity": 0.05}, "")])
def test_only_the_trained_shape_has_an_accuracy(change: dict[str, float], name: str) -> None:
    config = BlueprintConfig(**change)
    assert config.trained == name
    assert blueprint.trained_accuracy(config) == (zoo.card(name).accuracy if name else None)


@pytest.fixture
def _own_lock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_lock, "lock_path", lambda: tmp_path / "lock")


@pytest.mark.usefixtures("_own_lock")
@pytest.mark.parametrize("kind", ZOO)
def test_every_layer_is_timed(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(blueprint, "BUDGET_S", 0.01)
    config = BlueprintConfig(kind=kind, width=0.25, depth=1)
    ran = blueprint.run(config, 2)
    assert list(ran.gflops) == [layer.name for layer in counted(config).layers]
    assert all(0 < each < 1e5 for each in ran.gflops.values())
    assert (ran.latency.batch, ran.latency.threads) == (2, 1)
    macs_a_second = counted(config).cost.macs * 2 / ran.latency.median_ms / 1e6
    assert macs_a_second < max(ran.gflops.values()) / 2 * 3, "a layer's speed and the whole's are of one size"


@pytest.mark.usefixtures("_own_lock")
def test_a_cancelled_run_stops() -> None:
    progress = Progress()
    progress.cancel()
    with pytest.raises(Cancelled):
        blueprint.run(BlueprintConfig(width=0.25, depth=1), 1, progress)
