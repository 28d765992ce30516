"""How the networks of the zoo were trained, and the command that trains them again.

`labkit zoo train NAME` runs `train`. After each epoch the whole state goes to one file, so that a killed run goes on
where it was and ends with the same weights as one that was never killed.
"""

import json
import os
import time
from dataclasses import asdict
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load as tensors_from_bytes
from safetensors.torch import save as tensors_to_bytes
from torch import Tensor

from labkit.core.errors import FileFormatError, unknown_name
from labkit.core.files import read_limited, write_atomic
from labkit.core.params import canonical_json
from labkit.core.progress import SILENT, Progress
from labkit.core.seeds import generator
from labkit.data import load as load_data
from labkit.models import zoo
from labkit.train import FitConfig, FitState, NoHooks, evaluate, fit, start

SEED = 0
SETTINGS: dict[str, tuple[str, FitConfig]] = {
    "lenet-300-100": ("fashion-mnist", FitConfig(epochs=30, lr=0.05, shift=1, flip=True)),
    "lenet-5": ("fashion-mnist", FitConfig(epochs=25, lr=0.03, shift=2, flip=True)),
    "vgg-small-bn": ("fashion-mnist", FitConfig(epochs=36, lr=0.15, shift=2, flip=True)),
    "resnet-small": ("fashion-mnist", FitConfig(epochs=20, lr=0.15, shift=2, flip=True)),
    "mobilenet-small": ("fashion-mnist", FitConfig(epochs=18, lr=0.15, weight_decay=2e-4, shift=2, flip=True)),
    "digits-small": ("digits", FitConfig(epochs=40, lr=0.1, batch=64, shift=1)),
}


def train(name: str, out: Path, host: str, progress: Progress = SILENT) -> zoo.Card:
    """Train a network of the zoo and write its checkpoint and card to `out`.

    Args:
        name: one of `labkit.models.names()`.
        out: an existing folder; a partial run found there goes on.
        host: the machine in words, for the card.
        progress: watched and asked whether to go on.

    Raises:
        UnknownNameError: there is no such network.
        DataError: the full training set is not to be found.
        Cancelled: `progress` said so; the finished epochs are kept.
    """
    if name not in SETTINGS:
        raise unknown_name("network", name, SETTINGS)
    if not os.path.isdir(out):  # which, unlike Path.is_dir, answers for a name that is too long
        raise FileFormatError(f"{out} must be an existing folder: make it, or name another with --out")
    data_name, config = SETTINGS[name]
    splits = load_data(data_name, full=True)
    partial = out / f"{name}.partial.safetensors"
    run = _PartialRun(partial, canonical_json([name, SEED, config.to_dict(), len(splits.train)]))
    state = start(zoo.build(name, SEED), config, generator(SEED, "train", name))
    run.restore(state)
    fit(state, splits.train, config, hooks=run, progress=progress)
    progress.begin("testing")
    accuracy = evaluate(state.model, splits.test, progress=progress)
    card = zoo.Card(
        name=name,
        data=data_name,
        accuracy=accuracy,
        test_images=len(splits.test),
        seed=SEED,
        epochs=config.epochs,
        train_images=len(splits.train),
        seconds=round(run.seconds, 1),
        host=host,
        torch=torch.__version__,
        config=config.to_dict(),
    )
    zoo.write(state.model, out / f"{name}.safetensors", name)
    write_atomic(out / f"{name}.json", (json.dumps(asdict(card), indent=2) + "\n").encode())
    partial.unlink(missing_ok=True)
    return card


class _PartialRun(NoHooks):
    """Keeps the state of a run in one file: weights, momentum, the generator and the epoch."""

    def __init__(self, path: Path, key: str) -> None:
        self._path, self._key = path, key
        self._before, self._start = 0.0, time.perf_counter()

    @property
    def seconds(self) -> float:
        """Time spent in training, over all the times it was taken up."""
        return self._before + time.perf_counter() - self._start

    def after_epoch(self, state: FitState, figures: dict[str, float]) -> None:
        """Write the state after an epoch."""
        tensors = {f"model.{key}": value.contiguous() for key, value in state.model.state_dict().items()}
        for n, parameter in enumerate(self._parameters(state)):
            tensors[f"momentum.{n}"] = state.optimizer.state[parameter]["momentum_buffer"].contiguous()
        tensors["generator"] = state.generator.get_state()
        facts = {"key": self._key, "epoch": str(state.epoch), "seconds": repr(self.seconds)}
        write_atomic(self._path, tensors_to_bytes(tensors, metadata=facts))

    def restore(self, state: FitState) -> None:
        """Bring `state` to where the file left it; a file of other settings is an error, none at all a fresh start."""
        if not self._path.exists():
            return
        raw = read_limited(self._path, zoo.MOST_BYTES)
        try:
            facts = json.loads(raw[8 : 8 + int.from_bytes(raw[:8], "little")])["__metadata__"]
            if facts["key"] != self._key:
                raise FileFormatError(f"{self._path} was begun with other settings: delete it to train from the start")
            self._fill(state, facts, tensors_from_bytes(raw))
        except (SafetensorError, ValueError, KeyError, TypeError, RuntimeError) as error:
            raise FileFormatError(f"{self._path} is damaged ({_short(error)}): delete it to train from the start") from error

    def _fill(self, state: FitState, facts: dict[str, str], tensors: dict[str, Tensor]) -> None:
        state.model.load_state_dict({key[6:]: value for key, value in tensors.items() if key.startswith("model.")})
        for n, parameter in enumerate(self._parameters(state)):
            buffer = torch.empty_like(parameter.detach()).copy_(tensors[f"momentum.{n}"])
            state.optimizer.state[parameter]["momentum_buffer"] = buffer
        state.generator.set_state(tensors["generator"])
        state.epoch, self._before = int(facts["epoch"]), float(facts["seconds"])

    @staticmethod
    def _parameters(state: FitState) -> list[torch.nn.Parameter]:
        return [p for group in state.optimizer.param_groups for p in group["params"]]


def _short(error: Exception) -> str:
    return " ".join(str(error).split())[:120]
