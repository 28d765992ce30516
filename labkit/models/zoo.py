"""The trained networks that labkit ships: names, loading, and the card of each."""

import json
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load as tensors_from_bytes
from safetensors.torch import save as tensors_to_bytes
from torch import Tensor, nn

from labkit.core.errors import FileFormatError, ModelError, unknown_name
from labkit.core.files import read_limited, write_atomic
from labkit.models.builders import BUILDERS

CHECKPOINTS = Path(__file__).parent / "checkpoints"
MOST_BYTES = 64 << 20  # of a checkpoint; the largest of the zoo has 2 MB
INPUTS = {"fashion-mnist": (1, 1, 28, 28), "digits": (1, 1, 8, 8)}


@dataclass(frozen=True)
class Card:
    """What is known of a trained network.

    Attributes:
        name: its name in the zoo.
        data: the set it was trained on.
        accuracy: share of the test images that it classifies correctly.
        test_images: how many those are.
        seed, epochs: of the training run.
        train_images: how many images it was trained on.
        seconds: how long the training took.
        host: where, in words.
        torch: version of torch.
        config: every setting of the run.
    """

    name: str
    data: str
    accuracy: float
    test_images: int
    seed: int
    epochs: int
    train_images: int
    seconds: float
    host: str
    torch: str
    config: dict[str, float | int | bool]


def names() -> tuple[str, ...]:
    """Return the names of the networks that can be built."""
    return tuple(BUILDERS)


def build(name: str, seed: int = 0) -> nn.Module:
    """Build a network of the zoo with fresh weights; the seed decides them, whatever was drawn before.

    Raises:
        UnknownNameError: there is no such network.
    """
    if name not in BUILDERS:
        raise unknown_name("network", name, BUILDERS)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return BUILDERS[name]().to(memory_format=torch.channels_last)


def load(name: str, folder: Path = CHECKPOINTS) -> nn.Module:
    """Load a trained network of the zoo, in eval mode and channels_last.

    Args:
        name: one of `names()`.
        folder: where the checkpoints lie.

    Raises:
        UnknownNameError: there is no such network.
        FileFormatError: its checkpoint is missing, damaged or another network's.
        ModelError: a weight in it is NaN or infinite.
    """
    model = build(name)
    read_into(model, folder / f"{name}.safetensors", name)
    return model.eval()


def card(name: str, folder: Path = CHECKPOINTS) -> Card:
    """Return the card of a trained network.

    Raises:
        UnknownNameError: there is no such network.
        FileFormatError: its card is missing or damaged.
    """
    if name not in BUILDERS:
        raise unknown_name("network", name, BUILDERS)
    path = folder / f"{name}.json"
    try:
        return Card(**json.loads(read_limited(path, 1 << 20)))
    except (ValueError, TypeError) as error:
        raise FileFormatError(f"{path} is not the card of a network ({error}): install labkit again") from error


def write(model: nn.Module, path: Path, name: str) -> None:
    """Write the weights of `model` as a checkpoint that says which builder makes the network."""
    state = {key: value.contiguous() for key, value in model.state_dict().items()}
    write_atomic(path, _in_order(tensors_to_bytes(state, metadata={"labkit": "checkpoint", "version": "1", "builder": name})))


def _in_order(raw: bytes) -> bytes:
    """Return the bytes with the header's metadata sorted: safetensors shuffles them, and equal weights should be equal files."""
    length = int.from_bytes(raw[:8], "little")
    header = json.loads(raw[8 : 8 + length])
    header["__metadata__"] = dict(sorted(header["__metadata__"].items()))
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)  # tensors begin at a multiple of 8
    return b"".join((len(text).to_bytes(8, "little"), text, raw[8 + length :]))


def read_into(model: nn.Module, path: Path, name: str) -> None:
    """Fill `model` with the weights of a checkpoint, which must be one of the builder `name`; see `load` for errors."""
    raw = read_limited(path, MOST_BYTES)
    try:
        header = json.loads(raw[8 : 8 + int.from_bytes(raw[:8], "little")]).get("__metadata__", {})
        state = tensors_from_bytes(raw)
    except (SafetensorError, ValueError, KeyError, AttributeError, RecursionError) as error:
        raise FileFormatError(f"{path} is not a checkpoint, or is damaged ({error}): fetch or train it again") from error
    if header.get("builder") != name or header.get("version") != "1":
        raise FileFormatError(
            f"{path} must be a checkpoint of {name}, version 1; its header says {header.get('builder')!r}, version {header.get('version')!r}"
        )
    expected = {key: tuple(value.shape) for key, value in model.state_dict().items()}
    if {key: tuple(value.shape) for key, value in state.items()} != expected:
        raise FileFormatError(f"{path} holds other tensors than {name} has: it was written by another version of labkit; train it again")
    check_finite(state)
    model.load_state_dict(state)


def check_finite(tensors: dict[str, Tensor]) -> None:
    """Raise `ModelError` naming the first tensor that holds NaN or an infinity."""
    for key, value in tensors.items():
        if value.is_floating_point() and not torch.isfinite(value).all():
            raise ModelError(f"the tensor {key!r} holds NaN or an infinity: the network is damaged, load or train it again")
