"""The spine: a recipe in, a network out, the same each time, and nothing of the caller's changed."""

from pathlib import Path
from typing import Any

import pytest
import torch

from labkit import data, flow, models
from labkit.core.errors import Cancelled, ConfigError, FileFormatError, LabkitError, ModelError, UnknownNameError
from labkit.core.progress import Progress
from labkit.core.recipe import Recipe, from_dict
from labkit.core.records import Compressed
from labkit.models import packed
from labkit.models.layers import compressible
from tests.contracts.same import differences, snapshot

SPLITS = data.load("digits")


def recipe(*steps: dict[str, Any], network: str = "digits-small", data: str = "digits") -> Recipe:
    return from_dict({"version": 1, "network": network, "data": data, "steps": list(steps)})


def prune(sparsity: float = 0.5, granularity: str = "weight", **more: Any) -> dict[str, Any]:
    return {"method": "magnitude", "granularity": granularity, "ratio": {"name": "uniform_ratio", "sparsity": sparsity}, **more}


TUNE = {"method": "masked_finetune", "epochs": 1}
LONG = recipe(prune(0.25, "channel"), TUNE, prune(0.5), TUNE)


def dense() -> Compressed:
    return Compressed(models.load("digits-small"), "digits-small")


def zeros(compressed: Compressed) -> dict[str, float]:
    return {name: float((layer.weight == 0).float().mean()) for name, layer in compressible(compressed.model).items()}


@pytest.fixture(scope="module")
def long() -> flow.Result:
    return flow.run(LONG)


def test_a_recipe_of_four_steps_gives_the_same_bytes_and_accuracy_again(long: flow.Result) -> None:
    torch.manual_seed(7)
    again = flow.run(LONG)
    assert again.file == long.file
    assert again.measurement.accuracy.correct == long.measurement.accuracy.correct
    assert again.measurement.packed_bytes == len(long.file)


def test_its_file_gives_identical_logits(long: flow.Result, tmp_path: Path) -> None:
    (tmp_path / "net.labkit").write_bytes(long.file)
    loaded = flow.load_file(tmp_path / "net.labkit")
    x = SPLITS.test.tensor()
    assert torch.equal(flow.predictor(loaded)(x), flow.predictor(long.compressed)(x))
    assert torch.equal(loaded.model(x), long.compressed.model(x))
    assert packed.to_file(loaded) == long.file
    assert loaded.report == long.compressed.report


def test_channels_are_gone_and_weights_are_zero_after_it(long: flow.Result) -> None:
    before, after = compressible(dense().model), compressible(long.compressed.model)
    assert len(after["conv1"].weight) == len(before["conv1"].weight) * 3 // 4
    assert all(share == pytest.approx(0.5, abs=0.01) for share in zeros(long.compressed).values())
    assert long.measurement.accuracy.share > 0.8
    assert len(long.compressed.report) == 6  # batch norm was measured anew after each pruning


def test_the_program_agrees_with_the_network(long: flow.Result) -> None:
    x = SPLITS.test[:64].tensor()
    expected = flow.predictor(long.compressed)(x)
    torch.testing.assert_close(torch.from_numpy(long.program(x.numpy())), expected, rtol=1e-4, atol=1e-4)


def test_accuracy_is_that_of_the_program_which_skips_zeros(long: flow.Result, monkeypatch: pytest.MonkeyPatch) -> None:
    images, made = SPLITS.test, []
    compile_ = flow.runtime.compile
    monkeypatch.setattr(flow.runtime, "compile", lambda *args: made.append(compile_(*args)) or made[-1])
    logits = torch.from_numpy(flow.executor(long.compressed, images)(images.tensor()))
    torch.testing.assert_close(logits, flow.predictor(long.compressed)(images.tensor()), rtol=1e-4, atol=1e-4)
    assert "csr" in [layer.format for layer in made[0].layers]
    assert flow.measure(long.compressed, long.file, images).accuracy.correct == int((logits.argmax(1) == images.labels).sum())
    assert len(made) == 2


def test_the_network_that_was_handed_in_stays_as_it_was() -> None:
    start = dense()
    before = snapshot(start.model)
    made = flow.compress(start, recipe(prune(), TUNE), SPLITS)
    assert made.model is not start.model
    assert not list(differences(before, snapshot(start.model)))
    assert dict(start.masks) == {}


def test_steps_go_on_from_what_was_made_before() -> None:
    whole = flow.compress(dense(), LONG, SPLITS)
    half = flow.compress(dense(), recipe(*LONG.to_dict()["steps"][:2]), SPLITS)
    assert packed.to_file(flow.compress(half, LONG, SPLITS, first=2)) == packed.to_file(whole)


def test_the_seed_and_the_place_of_a_step_decide_its_draws() -> None:
    files = []
    for seed in (0, 0, 1):
        values = recipe(TUNE).to_dict() | {"seed": seed}
        files.append(packed.to_file(flow.compress(dense(), from_dict(values), SPLITS)))
    assert files[0] == files[1] != files[2]


def test_a_scope_is_a_layer_or_all_of_them() -> None:
    layer = zeros(flow.compress(dense(), recipe(prune(0.5, scope="layer")), SPLITS))
    assert set(layer.values()) == {0.5}
    everywhere = flow.compress(dense(), recipe(prune(0.5, scope="global")), SPLITS)
    assert len(set(zeros(everywhere).values())) > 1
    weights = [each.weight.flatten() for each in compressible(everywhere.model).values()]
    assert float((torch.cat(weights) == 0).float().mean()) == 0.5


def test_a_glob_limits_a_step_to_some_layers() -> None:
    shares = zeros(flow.compress(dense(), recipe(prune(0.5, layers="conv*")), SPLITS))
    assert {name: share > 0 for name, share in shares.items()} == {name: name.startswith("conv") for name in shares}


def test_two_pruning_steps_add_up() -> None:
    one = flow.compress(dense(), recipe(prune(0.5)), SPLITS)
    two = flow.compress(dense(), recipe(prune(0.5), prune(0.75)), SPLITS)
    assert set(zeros(two).values()) == {0.75}
    for name, keep in two.masks.items():
        assert not (keep & ~one.masks[name]).any(), "what was dropped stays dropped"


def test_a_glob_that_matches_nothing_is_told_before_anything_is_trained() -> None:
    ticks: list[Any] = []
    with pytest.raises(UnknownNameError, match=r"step 2 \(magnitude\): unknown layer 'con': .*known are conv1, conv2, fc"):
        flow.compress(dense(), recipe(TUNE, prune(layers="con")), SPLITS, Progress(ticks.append))
    assert ticks == []


@pytest.mark.parametrize("method", ["uniform_ratio", "weight", "channel"])
def test_a_method_that_only_chooses_is_no_step(method: str) -> None:
    with pytest.raises(ConfigError, match=rf"step 2 \({method}\): a recipe's step must change the network"):
        flow.compress(dense(), recipe(prune(), {"method": method}), SPLITS)


def test_a_step_that_fails_is_named() -> None:
    with pytest.raises(ConfigError, match=r"step 2 \(masked_finetune\): .*layers must be"):
        flow.compress(dense(), recipe(prune(), TUNE | {"layers": "conv*"}), SPLITS)


def test_a_network_with_nan_is_refused() -> None:
    start = dense()
    with torch.no_grad():
        start.model.get_parameter("conv1.weight")[0] = float("nan")
    with pytest.raises(ModelError, match=r"step 1 \(magnitude\): the tensor 'conv1.weight' holds NaN"):
        flow.compress(start, recipe(prune()), SPLITS)


def test_the_data_must_be_the_networks_own() -> None:
    with pytest.raises(ConfigError, match=r"digits-small was trained on digits: .* got 'fashion-mnist'"):
        flow.run(recipe(prune(), data="fashion-mnist"))
    with pytest.raises(UnknownNameError, match="unknown network 'digits-smal': did you mean 'digits-small'"):
        flow.run(recipe(prune(), network="digits-smal"))


def test_cancelling_is_not_an_error_of_a_step() -> None:
    progress = Progress()
    progress.cancel()
    with pytest.raises(Cancelled, match=r"^training: cancelled$"):
        flow.compress(dense(), recipe(TUNE), SPLITS, progress)


def test_training_that_is_cancelled_hands_over_the_network_as_far_as_it_came() -> None:
    progress = Progress(lambda tick: progress.cancel() if tick.figures.get("loss") and tick.done >= 3 else None)
    with pytest.raises(Cancelled) as stopped:
        flow.compress(dense(), recipe(prune(0.9), TUNE), SPLITS, progress)
    partial, pruned = stopped.value.partial, flow.compress(dense(), recipe(prune(0.9)), SPLITS)
    assert isinstance(partial, Compressed)
    assert not partial.model.training
    assert partial.masks.keys() == pruned.masks.keys()
    for name, keep in partial.masks.items():
        weight = partial.model.get_parameter(name)
        assert not weight[~keep].any(), "what was pruned stays so"
        assert not torch.equal(weight, pruned.model.get_parameter(name)), "it was trained"
    assert "cancelled" in partial.report[-1]
    assert packed.from_file(packed.to_file(partial)).report == partial.report


def test_pruning_that_is_cancelled_leaves_nothing() -> None:
    progress = Progress()
    progress.cancel()
    with pytest.raises(Cancelled) as stopped:
        flow.compress(dense(), recipe(prune(0.9)), SPLITS, progress)
    assert stopped.value.partial is None


def test_energy_skips_zeros_where_the_file_does() -> None:
    made = flow.compress(dense(), recipe(prune(0.9)), SPLITS)
    file = packed.to_file(made)
    found = flow.measure(made, file, SPLITS.test)
    whole = flow.measure(dense(), packed.to_file(dense()), SPLITS.test)
    assert found.energy_uj["compute"] / whole.energy_uj["compute"] == pytest.approx(found.cost.effective_macs / found.cost.macs)


@pytest.mark.parametrize("content", [b"", b"\0" * 100, b"\xff" * 100])
def test_a_file_that_is_no_network_is_named(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "x").write_bytes(content)
    with pytest.raises(FileFormatError, match=f"^{tmp_path / 'x'}: "):
        flow.load_file(tmp_path / "x")


def test_a_file_cut_short_anywhere_or_with_a_changed_bit_is_refused(long: flow.Result, tmp_path: Path) -> None:
    path = tmp_path / "x"
    for end in range(0, len(long.file), 97):
        path.write_bytes(long.file[:end])
        with pytest.raises(LabkitError, match=f"^{path}: "):
            flow.load_file(path)
    for at in range(0, len(long.file), 97):
        path.write_bytes(long.file[:at] + bytes([long.file[at] ^ 1]) + long.file[at + 1 :])
        with pytest.raises(LabkitError, match=f"^{path}: "):
            flow.load_file(path)


def test_a_file_of_an_unknown_network_is_named(long: flow.Result, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from labkit.models.builders import BUILDERS

    (tmp_path / "x").write_bytes(long.file)
    monkeypatch.delitem(BUILDERS, "digits-small")
    with pytest.raises(UnknownNameError, match=f"^{tmp_path / 'x'}: unknown network"):
        flow.load_file(tmp_path / "x")
