"""Every kind of file that labkit reads, damaged at random: refused with a sentence, or whole; never a crash, never a quiet change.

Damage of any kind must be refused, since the digest no longer agrees. A forgery, whose digest was made anew, must be refused or be
a whole network: one that runs.
"""

import copy
import hashlib
import json
import re
from functools import cache

import numpy as np
import pytest
import torch
from safetensors.numpy import load as load_safetensors
from safetensors.numpy import save as save_safetensors

from labkit.core.errors import FileFormatError, LabkitError
from labkit.core.records import Compressed
from labkit.formats import formats, smallest
from labkit.models import packed
from labkit.runtime import Program
from labkit.runtime.steps import Step
from tests.formats import coded
from tests.models.networks import images, lively_zoo, prune_at_random

SHAPES = {"conv": (6, 4, 3, 3), "linear": (6, 21)}
DIGEST = re.compile(rb'\\"digest\\":\\"sha256:')


def weight_of(kind, shape):
    """A weight in one format, a part of it zero."""
    rng = np.random.default_rng(0)
    if kind in coded.MAKERS:
        return coded.MAKERS[kind](rng, shape, 0.4)
    return smallest((rng.standard_normal(shape) * (rng.random(shape) < 0.4)).astype(np.float32) + np.float32(0), [kind])


@cache
def program_file(kind):
    """A program with a convolution and a linear layer in one format."""
    conv, linear = (weight_of(kind, SHAPES[op]) for op in ("conv", "linear"))
    steps = [
        Step("conv", "c", (0,), conv, np.ones(6, np.float32), kernel=(3, 3), padding=(1, 1), low=0.0),
        Step("max_pool", "p", (1,), kernel=(2, 2), stride=(2, 2)),
        Step("average_pool", "a", (2,)),
        Step("flatten", "f", (3,)),
        Step("linear", "l", (4,), weight_of(kind, (5, 6)), np.ones(5, np.float32)),
    ]
    assert linear.kind == kind
    return Program(steps, (4, 6, 6))._file


@cache
def network_file(kind):
    """A pruned network, its convolutions in one format where that is a coded one."""
    model = lively_zoo("digits-small")
    masks, values = prune_at_random(model, 0.7), {}
    for name, module in model.named_modules():
        if kind in coded.MAKERS and isinstance(module, torch.nn.Conv2d):
            values[f"{name}.weight"] = value = weight_of(kind, tuple(module.weight.shape))
            module.weight.data = torch.from_numpy(value.unpack())
            masks.pop(f"{name}.weight")
    return packed.to_file(Compressed(model, "digits-small", masks, values))


def run_program(raw):
    program = Program.from_bytes(raw)
    if sum(int(np.prod(layer.shape)) for layer in program.layers) > 1 << 20:
        return  # whole, but a lie about padding made its images large
    for count in (1, 17):
        assert program(np.ones((count, *program.image), np.float32)).shape == (count, *program.layers[-1].shape)


def run_network(raw):
    compressed = packed.from_file(raw)
    with torch.inference_mode():
        assert compressed.model(images("digits", 2)).shape[0] == 2
    assert packed.from_file(packed.to_file(compressed)).network == compressed.network


FILES = [(program_file, kind, run_program) for kind in formats()] + [(network_file, kind, run_network) for kind in ("csr", *coded.MAKERS)]
IDS = [f"{make.__name__}-{kind}" for make, kind, _ in FILES]


def damaged(raw, rng):
    """A file with some bits flipped, cut short, with bytes put in or taken out, or a piece of it overwritten."""
    out, place = bytearray(raw), int(rng.integers(len(raw)))
    match int(rng.integers(6)):
        case 0:
            for at in rng.integers(0, 8 * len(raw), rng.integers(1, 9)):
                out[at // 8] ^= 1 << int(at % 8)
        case 1:
            del out[place:]
        case 2:
            del out[place : place + int(rng.integers(1, 65))]
        case 3:
            out[place:place] = rng.bytes(int(rng.integers(1, 65)))
        case 4:
            out[place : place + 64] = bytes(len(out[place : place + 64]))
        case 5:
            other = int(rng.integers(len(raw)))
            out[place : place + 16], out[other : other + 16] = out[other : other + 16], out[place : place + 16]
    return bytes(out)


def signed(raw):
    """The same with a digest that agrees, where there is one."""
    at = DIGEST.search(raw)
    if at is None or len(raw) < at.end() + 64:
        return raw
    blank = raw[: at.end()] + b"0" * 64 + raw[at.end() + 64 :]
    return blank[: at.end()] + hashlib.sha256(blank).hexdigest().encode() + blank[at.end() + 64 :]


LIES = [None, True, -1, 0, 1, 2, 3, 7, 1 << 20, 1 << 31, 1 << 62, 1e308, 0.5, "", "csr", "linear", "../x", [], [0], [1, 1], [3, 3], {}]


def lied(raw, rng):
    """A file of which some values in the header or some arrays say something else."""
    top = json.loads(json.loads(raw[8 : 8 + int.from_bytes(raw[:8], "little")])["__metadata__"]["labkit"])
    arrays = {name: array.copy() for name, array in load_safetensors(raw).items()}
    for _ in range(int(rng.integers(1, 4))):
        if rng.random() < 0.5:
            lie(top, rng)
        else:
            name = sorted(arrays)[int(rng.integers(len(arrays)))]
            arrays[name] = bent(arrays[name], rng)
    return signed(save_safetensors(arrays, metadata={"labkit": json.dumps(top, sort_keys=True, separators=(",", ":"))}))


def lie(node, rng):
    """Put another value at a random place below a node of JSON."""
    while True:
        keys = list(node) if isinstance(node, dict) else list(range(len(node)))
        if not keys:
            return
        key = keys[int(rng.integers(len(keys)))]
        if not isinstance(node[key], dict | list) or rng.random() < 0.15:
            node[key] = copy.deepcopy(LIES[int(rng.integers(len(LIES)))])
            return
        node = node[key]


def bent(array, rng):
    """An array with extreme values, of another type, or shorter or longer."""
    match int(rng.integers(5)):
        case 0 if array.size:
            flat = array.reshape(-1).view(np.uint8)
            flat[int(rng.integers(len(flat)))] = int(rng.choice([0, 1, 127, 128, 255]))
            return array
        case 1:
            return array.reshape(-1)[: int(rng.integers(array.size + 1))]
        case 2:
            return np.concatenate([array.reshape(-1), array.reshape(-1)[: int(rng.integers(1, 9))]])
        case 3:
            with np.errstate(all="ignore"):
                return array.astype(rng.choice([np.uint8, np.int32, np.uint16, np.float32, np.float64, np.int64, np.bool_]))
        case _:
            return array[::-1].copy() if array.ndim else array


def is_refused(raw, run):
    """Run what a file holds, if it is taken; only an error that a person can read may come."""
    with np.errstate(all="ignore"):
        try:
            run(raw)
        except LabkitError:
            return True
    return False


def damage(make, kind, run, seeds):
    raw = make(kind)
    run(raw)
    for seed in seeds:
        changed = damaged(raw, np.random.default_rng(seed))
        if changed != raw:
            with pytest.raises(FileFormatError):
                run(changed)


def forge(make, kind, run, seeds):
    raw = make(kind)
    assert signed(raw) == raw
    refused = 0
    for seed in seeds:
        rng = np.random.default_rng(seed)
        refused += is_refused(lied(raw, rng) if seed % 2 else signed(damaged(raw, rng)), run)
    assert refused > len(seeds) / 3


@pytest.mark.parametrize(("make", "kind", "run"), FILES, ids=IDS)
def test_damage_is_refused(make, kind, run):
    damage(make, kind, run, range(60))


@pytest.mark.parametrize(("make", "kind", "run"), FILES, ids=IDS)
def test_a_forgery_is_refused_or_whole(make, kind, run):
    forge(make, kind, run, range(60))


@pytest.mark.long
@pytest.mark.parametrize(("make", "kind", "run"), FILES, ids=IDS)
def test_thousands_of_damages_and_forgeries(make, kind, run):
    damage(make, kind, run, range(1000, 3000))
    forge(make, kind, run, range(1000, 3000))
