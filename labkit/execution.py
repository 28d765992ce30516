"""A network that is really executed: in which format and batch, how many bytes a layer takes, and where the time goes.

bytes of a layer's run   packed weight + 4 · batch · (inputs + outputs), each crossing once
operations               2 · weights that are not zero · their uses · batch
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from labkit import runtime
from labkit.core.params import Config, param
from labkit.core.progress import SILENT, Progress
from labkit.core.records import Compressed
from labkit.formats import formats
from labkit.measure import latency
from labkit.measure.cost import layers
from labkit.runtime.choose import FORMATS

STORED = ("dense", "bitmap", "csr", "vector_sparse", "n_m")
ROUNDS, BUDGET_S = 25, 0.5

Array = NDArray[Any]


@dataclass(frozen=True, kw_only=True)
class RunConfig(Config):
    """How a network is run."""

    batch: int = param(64, choices=(1, 64), unit="images", help="images a call; a batch shares one reading of the weights")
    format: str = param(
        "rule",
        choices=("rule", "auto", *FORMATS),
        help="format of every weight: one for all; what the share of zeros says (rule); or what is fastest here (auto, takes a second)",
    )


@dataclass(frozen=True)
class Spent:
    """What a layer of a network took and did.

    Attributes:
        name: of the layer; or of what else took time.
        ms: median of a call.
        dense_ms: the same of the dense network's program.
        format: of its weight; empty where it has none.
        intensity: operations a byte; 0 where it does none.
        gflops: 10⁹ operations a second, with weights that are not zero.
    """

    name: str
    ms: float
    dense_ms: float
    format: str = ""
    intensity: float = 0.0
    gflops: float = 0.0


def stored_bytes(keep: Array) -> dict[str, int]:
    """Return the bytes that a float32 weight takes in each format, of which `keep` (bool, its shape) is stored."""
    known: Mapping[str, Any] = formats()
    return {kind: int(known[kind].size(keep, 4)) for kind in STORED}


def profile(compressed: Compressed, dense: Compressed, images: torch.Tensor, how: str = "auto", progress: Progress = SILENT) -> list[Spent]:
    """Time each layer of a network and of the dense one, interleaved, one thread.

    Args:
        compressed: the network.
        dense: what it was made from.
        images: (n, c, h, w), a batch.
        how: formats, as `runtime.compile` takes them.
        progress: asked whether to go on.

    Returns:
        The layers in order, then everything else that took time.
    """
    x, example = images.numpy(), images[:1]
    program, whole = runtime.compile(compressed, images, how), runtime.compile(dense, example, "dense")
    seen: dict[str, list[dict[str, float]]] = {"it": [], "dense": []}
    calls = {
        "it": lambda: seen["it"].append(_by_name(program.profile(x))),
        "dense": lambda: seen["dense"].append(_by_name(whole.profile(x))),
    }
    runs = latency.compare(calls, rounds=ROUNDS, batch=len(x), budget_s=BUDGET_S, progress=progress.quiet())["it"].runs
    times = {name: _medians(rows[-runs:]) for name, rows in seen.items()}  # without the warm-up
    return _spent(program, {row.name: row.effective_macs for row in layers(compressed.model, example)}, times, len(x))


def _spent(program: runtime.Program, macs: Mapping[str, int], times: Mapping[str, dict[str, float]], batch: int) -> list[Spent]:
    it, dense, rows = dict(times["it"]), dict(times["dense"]), []
    shapes = [program.image, *(layer.shape for layer in program.layers)]
    for step, layer in zip(program.steps, program.layers, strict=True):
        if not layer.format:
            continue
        ms, operations = max(it.pop(layer.name, 0.0), 1e-6), 2 * macs.get(layer.name, 0) * batch
        values = sum(math.prod(shape) for shape in (shapes[step.inputs[0]], layer.shape))
        moved = layer.packed_bytes + 4 * batch * values
        rows.append(Spent(layer.name, ms, dense.pop(layer.name, 0.0), layer.format, operations / moved, operations / ms / 1e6))
    edges = Spent("in and out", it.pop("in and out", 0.0), dense.pop("in and out", 0.0))
    return [*rows, Spent("the rest", sum(it.values()), sum(dense.values())), edges]


def _by_name(rows: list[tuple[str, float]]) -> dict[str, float]:
    """Return milliseconds by step; of steps that were fused, by the first, which has the weight."""
    out: dict[str, float] = {}
    for line, ms in rows:
        name = line.split(" + ")[0]
        out[name] = out.get(name, 0.0) + ms
    return out


def _medians(rows: list[dict[str, float]]) -> dict[str, float]:
    return {name: float(np.median([row[name] for row in rows])) for name in rows[0]}
