"""Training a network of the zoo: the shipped weights again, also after the run was stopped or killed in its middle."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from safetensors.torch import load as tensors_from_bytes

from labkit import train_zoo
from labkit.core.errors import Cancelled, FileFormatError, UnknownNameError
from labkit.core.progress import Progress
from labkit.models import zoo

NAME = "digits-small"
COMMAND = [sys.executable, "-c", "import sys; from labkit.cli import main; sys.exit(main())", "zoo", "train", NAME, "--out"]


def settings(monkeypatch: pytest.MonkeyPatch, epochs: int) -> None:
    data, config = train_zoo.SETTINGS[NAME]
    monkeypatch.setitem(train_zoo.SETTINGS, NAME, (data, config.replace(epochs=epochs)))


def weights(folder: Path) -> bytes:
    return (folder / f"{NAME}.safetensors").read_bytes()


def stop_after(steps: int) -> Progress:
    progress = Progress(lambda tick: progress.cancel() if tick.done == steps else None)
    return progress


def folder_of(tmp_path: Path, name: str) -> Path:
    (tmp_path / name).mkdir()
    return tmp_path / name


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that was never stopped."""
    folder = tmp_path_factory.mktemp("whole")
    train_zoo.train(NAME, folder, "here")
    return folder


def test_the_shipped_network_comes_out_again(whole: Path) -> None:
    """On the host that trained it bit for bit; elsewhere sums may go in another order, so that only accuracy is held."""
    made, shipped = zoo.card(NAME, whole), zoo.card(NAME)
    assert abs(made.accuracy - shipped.accuracy) <= 0.01
    assert (made.config, made.epochs, made.seed, made.train_images) == (shipped.config, 40, 0, 1000)
    zoo.load(NAME, whole)
    assert sorted(os.listdir(whole)) == [f"{NAME}.json", f"{NAME}.safetensors"]


def test_the_settings_name_every_network_and_agree_with_the_cards() -> None:
    assert set(train_zoo.SETTINGS) == set(zoo.names())
    for name, (data, config) in train_zoo.SETTINGS.items():
        if (zoo.CHECKPOINTS / f"{name}.json").exists():
            assert (zoo.card(name).data, zoo.card(name).config) == (data, config.to_dict())


@pytest.mark.parametrize("stops", [(5,), (16, 33, 47)], ids=["in the first epoch", "three times"])
def test_a_run_that_was_stopped_ends_with_the_same_weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stops: tuple[int, ...]) -> None:
    settings(monkeypatch, 3)  # of 16 steps
    one, other = folder_of(tmp_path, "one"), folder_of(tmp_path, "other")
    train_zoo.train(NAME, one, "here")
    for steps in stops:
        with pytest.raises(Cancelled):
            train_zoo.train(NAME, other, "here", stop_after(steps))
        assert not (other / f"{NAME}.safetensors").exists()
        assert (other / f"{NAME}.partial.safetensors").exists() == (steps > 16)
    train_zoo.train(NAME, other, "here")
    assert weights(other) == weights(one)
    assert sorted(os.listdir(other)) == sorted(os.listdir(one))


def test_a_run_killed_between_its_last_two_files_is_ended_by_the_next(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings(monkeypatch, 1)
    write = train_zoo.write_atomic

    def die(path: Path, content: bytes) -> None:
        if path.suffix == ".json":
            raise KeyboardInterrupt
        write(path, content)

    with monkeypatch.context() as patch:
        patch.setattr(train_zoo, "write_atomic", die)
        with pytest.raises(KeyboardInterrupt):
            train_zoo.train(NAME, tmp_path, "here")
    before = weights(tmp_path)
    assert not (tmp_path / f"{NAME}.json").exists()
    train_zoo.train(NAME, tmp_path, "here")
    assert weights(tmp_path) == before
    assert zoo.card(NAME, tmp_path).epochs == 1
    assert not (tmp_path / f"{NAME}.partial.safetensors").exists()


def interrupted(folder: Path, number: int) -> subprocess.CompletedProcess[str]:
    """Run the command, and send it a signal as soon as it has kept an epoch."""
    partial = folder / f"{NAME}.partial.safetensors"
    with subprocess.Popen([*COMMAND, str(folder)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        deadline = time.monotonic() + 200
        while not partial.exists() and process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.001)
        assert process.poll() is None, "it ended before it could be stopped"
        process.send_signal(number)
        out, err = process.communicate(timeout=200)
    return subprocess.CompletedProcess(COMMAND, process.returncode, out, err)


def test_ctrl_c_and_kill_lose_at_most_an_epoch(whole: Path, tmp_path: Path) -> None:
    stopped = interrupted(tmp_path, signal.SIGINT)
    assert (stopped.returncode, stopped.stdout) == (130, "")
    assert stopped.stderr.splitlines()[-1] == "labkit: stopped"
    assert "Traceback" not in stopped.stderr
    assert os.listdir(tmp_path) == [f"{NAME}.partial.safetensors"]
    assert epoch(tmp_path) >= 1
    assert interrupted(tmp_path, signal.SIGKILL).returncode == -signal.SIGKILL
    ended = subprocess.run([*COMMAND, str(tmp_path)], capture_output=True, text=True, timeout=280)
    assert ended.returncode == 0, ended.stderr
    assert "written to" in ended.stdout
    assert weights(tmp_path) == weights(whole)
    assert zoo.card(NAME, tmp_path).accuracy == zoo.card(NAME, whole).accuracy


def epoch(folder: Path) -> int:
    raw = (folder / f"{NAME}.partial.safetensors").read_bytes()
    return int(json.loads(raw[8 : 8 + int.from_bytes(raw[:8], "little")])["__metadata__"]["epoch"])


def damage_header(raw: bytes) -> bytes:
    return raw.replace(b'"epoch":"1"', b'"epoch":"x"')


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda raw: b"", "damaged"),
        (lambda raw: raw[:-5], "damaged"),
        (lambda raw: b"\xff" * 99, "damaged"),
        (damage_header, "damaged"),
        (lambda raw: raw.replace(b"momentum.0", b"momentum.z"), "damaged"),
        (lambda raw: raw.replace(b"model.fc.bias", b"model.fc.beas"), "damaged"),
        (lambda raw: raw.replace(b'"generator"', b'"generatur"'), "damaged"),
        (lambda raw: raw.replace(b'"key"', b'"kee"'), "damaged"),
        (lambda raw: raw.replace(b"weight_decay", b"weight_dekay"), "begun with other settings"),
    ],
)
def test_a_damaged_state_is_told_and_left_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: Callable[[bytes], bytes], words: str
) -> None:
    settings(monkeypatch, 2)
    with pytest.raises(Cancelled):
        train_zoo.train(NAME, tmp_path, "here", stop_after(17))
    path = tmp_path / f"{NAME}.partial.safetensors"
    bad = change(path.read_bytes())
    assert bad != path.read_bytes()
    path.write_bytes(bad)
    with pytest.raises(FileFormatError, match=f"^{path} .*{words}.*delete it to train from the start"):
        train_zoo.train(NAME, tmp_path, "here")
    assert path.read_bytes() == bad


def test_a_wrong_name_or_folder_is_told(tmp_path: Path) -> None:
    with pytest.raises(UnknownNameError, match="did you mean 'digits-small'"):
        train_zoo.train("digit-small", tmp_path, "here")
    for folder in (tmp_path / "missing", tmp_path / ("x" * 300)):
        with pytest.raises(FileFormatError, match="must be an existing folder"):
            train_zoo.train(NAME, folder, "here")


def test_the_seconds_of_all_its_parts_add_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings(monkeypatch, 2)
    with pytest.raises(Cancelled):
        train_zoo.train(NAME, tmp_path, "here", stop_after(17))
    path = tmp_path / f"{NAME}.partial.safetensors"
    tensors = tensors_from_bytes(path.read_bytes())
    raw = path.read_bytes()
    facts = json.loads(raw[8 : 8 + int.from_bytes(raw[:8], "little")])["__metadata__"] | {"seconds": "1000.0"}
    path.write_bytes(train_zoo.tensors_to_bytes(tensors, metadata=facts))
    assert 1000 <= train_zoo.train(NAME, tmp_path, "here").seconds < 1200
