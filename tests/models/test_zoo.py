"""The zoo: what is shipped loads and is as good as its card says; what is damaged is told."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from labkit.core.errors import FileFormatError, LabkitError, ModelError, UnknownNameError
from labkit.data import load as load_data
from labkit.models import zoo
from labkit.train import evaluate

NAME = "digits-small"
SHIPPED = [name for name in zoo.names() if (zoo.CHECKPOINTS / f"{name}.safetensors").exists()]


@pytest.mark.parametrize("name", SHIPPED)
def test_a_shipped_network_fits_its_card(name: str) -> None:
    card, model = zoo.card(name), zoo.load(name)
    assert not model.training
    assert card.name == name
    with torch.inference_mode():
        assert model(torch.zeros(2, *zoo.INPUTS[card.data][1:])).shape == (2, 10)


def test_digits_small_is_as_good_as_its_card_says() -> None:
    card = zoo.card(NAME)
    images = load_data(card.data).test
    assert len(images) == card.test_images
    assert abs(evaluate(zoo.load(NAME), images) - card.accuracy) <= 1 / len(images)


@pytest.mark.parametrize("name", zoo.names())
def test_the_seed_alone_decides_the_first_weights(name: str) -> None:
    torch.manual_seed(5)
    before = torch.get_rng_state()
    one, two, other = zoo.build(name, 1).state_dict(), zoo.build(name, 1).state_dict(), zoo.build(name, 2).state_dict()
    assert all(torch.equal(one[key], two[key]) for key in one)
    assert any(not torch.equal(one[key], other[key]) for key in one)
    assert torch.equal(torch.get_rng_state(), before)


def test_what_is_written_is_loaded(tmp_path: Path) -> None:
    model = zoo.build(NAME, 3)
    zoo.write(model, tmp_path / f"{NAME}.safetensors", NAME)
    loaded = zoo.load(NAME, tmp_path)
    assert all(torch.equal(value, loaded.state_dict()[key]) for key, value in model.state_dict().items())
    assert loaded.get_parameter("conv2.weight").is_contiguous(memory_format=torch.channels_last)


def test_equal_weights_are_equal_files(tmp_path: Path) -> None:
    files = []
    for n in range(8):  # by chance, one in six orders of three keys is the same
        zoo.write(zoo.build(NAME, 3), tmp_path / str(n), NAME)
        files.append((tmp_path / str(n)).read_bytes())
    assert len(set(files)) == 1
    assert (8 + int.from_bytes(files[0][:8], "little")) % 8 == 0


def test_an_unknown_name_is_told() -> None:
    for call in (zoo.build, zoo.load, zoo.card):
        with pytest.raises(UnknownNameError, match="unknown network 'digits-smal': did you mean 'digits-small'"):
            call("digits-smal")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda raw: b"", "damaged"),
        (lambda raw: raw[:100], "damaged"),
        (lambda raw: raw[:-1], "damaged"),
        (lambda raw: b"\xff" * 200, "damaged"),
        (lambda raw: (200_000).to_bytes(8, "little") + b"[" * 200_000, "damaged"),
        (lambda raw: raw.replace(b'"digits-small"', b'"digits-smoll"'), "its header says 'digits-smoll', version '1'"),
        (lambda raw: raw.replace(b'"version":"1"', b'"version":"2"'), "version '2'"),
        (lambda raw: raw.replace(b"fc.bias", b"fc.beas"), "other tensors"),
    ],
)
def test_a_damaged_checkpoint_is_named(tmp_path: Path, change: Callable[[bytes], bytes], words: str) -> None:
    path = tmp_path / f"{NAME}.safetensors"
    raw = (zoo.CHECKPOINTS / f"{NAME}.safetensors").read_bytes()
    assert change(raw) != raw
    path.write_bytes(change(raw))
    with pytest.raises(FileFormatError, match=f"^{path} .*{words}"):
        zoo.load(NAME, tmp_path)


def test_a_missing_checkpoint_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileFormatError, match=f"{NAME}.safetensors cannot be read: No such file"):
        zoo.load(NAME, tmp_path)


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_a_weight_that_is_no_number_is_named(tmp_path: Path, bad: float) -> None:
    model = zoo.load(NAME)
    with torch.no_grad():
        model.get_parameter("conv2.weight")[0, 0, 0, 0] = bad
    zoo.write(model, tmp_path / f"{NAME}.safetensors", NAME)
    with pytest.raises(ModelError, match=r"'conv2.weight' holds NaN or an infinity"):
        zoo.load(NAME, tmp_path)


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"name": "x"', json.dumps({"nome": 1})])
def test_a_damaged_card_is_named(tmp_path: Path, text: str) -> None:
    (tmp_path / f"{NAME}.json").write_text(text)
    with pytest.raises(LabkitError, match=f"{NAME}.json is not the card of a network"):
        zoo.card(NAME, tmp_path)
