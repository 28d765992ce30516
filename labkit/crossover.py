"""One layer, swept over shares of zeros in each kind of sparsity: from how many zeros on a sparse format is faster here.

Everything is measured on one thread against the dense layer in torch (eager, channels last), all candidates of one share
interleaved in one run, so that a ratio compares neighbours in time.
"""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from types import MappingProxyType
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from labkit import runtime
from labkit.core.errors import ConfigError
from labkit.core.params import Config, param
from labkit.core.progress import SILENT, Progress
from labkit.core.records import Latency, Ratio
from labkit.core.seeds import generator
from labkit.formats.n_m import along_inputs, as_weight
from labkit.measure import latency
from labkit.models.layers import Layer
from labkit.runtime.rows import ROWS, SPARSE

KINDS = MappingProxyType({"csr": "single weights", "vector_sparse": "blocks of outputs", "n_m": "N:M", "channel": "whole outputs"})
"""What can be left out of a layer, by the format that it runs in; "channel" is a smaller dense layer."""
PATTERNS = MappingProxyType({0.25: (3, 4), 0.5: (2, 4), 0.625: (3, 8), 0.75: (1, 4), 0.875: (1, 8), 0.9375: (1, 16)})
"""Shares of zeros of a sweep, and the N:M that has just this share."""
BATCHES = (1, 64)
BLOCK = 4
IN_VIEW = "layer in view"
ROUNDS, BUDGET_S = 25, 0.5

Array = NDArray[Any]
Shape = tuple[int, ...]


@dataclass(frozen=True, kw_only=True)
class SweepConfig(Config):
    """Which layer is swept."""

    layer: str = param(
        "linear 1024×1024",
        choices=(IN_VIEW, "linear 1024×1024", "linear 2048×2048", "3×3 convolution, 128 channels"),
        help="a layer of the network, or one of random weights of that shape",
    )


@dataclass(frozen=True)
class Subject:
    """A layer to be swept.

    Attributes:
        name: of it.
        layer: with its dense weights; it is not changed.
        image: shape of its input, without the batch.
    """

    name: str
    layer: Layer
    image: Shape


@dataclass(frozen=True)
class Point:
    """One kind at one share of zeros, measured.

    Attributes:
        kind: of `KINDS`.
        zeros: share of the dense layer's weights that are gone.
        batch: samples a call.
        packed_bytes: of the file of the packed layer.
        median_ms: of a call.
        ratio: how many times faster than dense, over the rounds.
        layout: what its weights are laid out as when it runs: a convolution's blocks and N:M may run as compressed rows, and one with
            few zeros as "winograd", which multiplies by them too.
    """

    kind: str
    zeros: float
    batch: int
    packed_bytes: int
    median_ms: float
    ratio: Ratio
    layout: str = ""


def named(name: str) -> Subject:
    """Return a layer of random weights by its name in `SweepConfig`.

    Raises:
        ConfigError: there is none of that name.
    """
    shapes: dict[str, tuple[Callable[[], Layer], Shape]] = {
        "linear 1024×1024": (lambda: nn.Linear(1024, 1024), (1024,)),
        "linear 2048×2048": (lambda: nn.Linear(2048, 2048), (2048,)),
        "3×3 convolution, 128 channels": (lambda: nn.Conv2d(128, 128, 3, padding=1), (128, 14, 14)),
    }
    if name not in shapes:
        raise ConfigError(f"SweepConfig.layer must be one of {', '.join(shapes)} to be drawn at random, got {name!r}")
    make, image = shapes[name]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return Subject(name, make(), image)


def subject_of(model: nn.Module, layer: str, example: torch.Tensor) -> Subject:
    """Return a layer of a network, with the shape of what it reads.

    Args:
        model: in eval mode.
        layer: name of a convolution or linear layer.
        example: an input of the model.
    """
    module, seen = model.get_submodule(layer), []
    if not isinstance(module, nn.Conv2d | nn.Linear):
        raise ConfigError(f"{layer} must be a convolution or a linear layer, got {type(module).__name__}")
    hook = module.register_forward_pre_hook(lambda _, inputs: seen.append(tuple(inputs[0].shape[1:])))
    try:
        with torch.inference_mode():
            model(example)
    finally:
        hook.remove()
    return Subject(layer, module, seen[0])


def kinds_of(layer: Layer) -> tuple[str, ...]:
    """Return the kinds that a layer can be swept in: a convolution in groups cannot lose outputs alone."""
    return tuple(kind for kind in KINDS if kind != "channel" or getattr(layer, "groups", 1) == 1)


def pruned(weight: Array, kind: str, zeros: float) -> Array:
    """Return a weight without the share `zeros` of its entries, smallest first; whole outputs are left out, not zeroed.

    Args:
        weight: float32 (c_out, …).
        kind: of `KINDS`.
        zeros: a share in `PATTERNS`, where the kind is N:M; else in [0, 1).

    Returns:
        Float32 of the same shape, or with fewer outputs.
    """
    rows = weight.reshape(len(weight), -1)
    if kind == "channel":
        kept = max(1, round((1 - zeros) * len(rows)))
        order = np.argsort(-np.square(rows).sum(1), kind="stable")[:kept]
        return np.ascontiguousarray(weight[np.sort(order)])
    if kind == "n_m":
        return _n_of_m(weight, *PATTERNS[zeros])
    out = rows.copy()
    if kind == "vector_sparse":
        whole = np.pad(rows, ((0, -len(rows) % BLOCK), (0, 0)))
        score = np.square(whole).reshape(-1, BLOCK, whole.shape[1]).sum(1)
        gone = np.repeat(_smallest(score, zeros), BLOCK, axis=0)[: len(rows)]
    else:
        gone = _smallest(np.abs(rows), zeros)
    out[gone] = 0
    return out.reshape(weight.shape)


def sweep(
    subject: Subject, found: Callable[[list[Point]], None], progress: Progress = SILENT, batches: Sequence[int] = BATCHES
) -> list[Point]:
    """Measure a layer in each kind at each share of zeros and each batch, one thread.

    Args:
        subject: the layer.
        found: called with all points so far whenever there are more.
        progress: hears of each share, and is asked whether to go on.
        batches: samples a call.

    Raises:
        Cancelled: between two rounds; `found` has been told of what was measured before.
        LabkitError: another measurement did not end.
    """
    points: list[Point] = []
    for n, zeros in enumerate(PATTERNS):
        points += _measured(subject, zeros, batches, progress)
        found(list(points))
        progress.step(n + 1, len(PATTERNS))
    return points


def crossing(points: Iterable[Point]) -> float | None:
    """Return the share of zeros from which on a kind is faster than dense; None where it is not at the most zeros measured.

    Between the last share at which it is slower and the next one the logarithm of the ratio is taken as straight. Where it is
    faster at every share that was measured, the smallest of them is returned.

    Args:
        points: of one kind and one batch.
    """
    ordered = sorted(points, key=lambda point: point.zeros)
    slow = [n for n, point in enumerate(ordered) if point.ratio.median <= 1.0]
    if not ordered or (slow and slow[-1] == len(ordered) - 1):
        return None
    if not slow:
        return ordered[0].zeros
    a, b = ordered[slow[-1]], ordered[slow[-1] + 1]
    before, after = math.log(a.ratio.median), math.log(b.ratio.median)
    return a.zeros + (b.zeros - a.zeros) * -before / (after - before)


def _measured(subject: Subject, zeros: float, batches: Sequence[int], progress: Progress) -> list[Point]:
    """Measure all kinds at one share; their programs are let go before those of the next are made."""
    from labkit.runtime.sparse import FEW

    weight, programs = subject.layer.weight.detach().numpy(), {}
    for kind in kinds_of(subject.layer):
        progress.check()
        smaller = nn.Sequential(_with_weight(subject.layer, pruned(weight, kind, zeros))).eval()
        programs[kind] = runtime.compile(smaller, torch.zeros(1, *subject.image), "dense" if kind == "channel" else kind)
    dense = _with_weight(subject.layer, weight)
    if isinstance(dense, nn.Conv2d):
        dense = dense.to(memory_format=torch.channels_last)
    as_rows = SPARSE if isinstance(dense, nn.Conv2d) else ROWS
    layouts = {kind: "csr" if kind in as_rows else kind for kind in programs}
    groups = layouts | {kind: "winograd" for kind, program in programs.items() if program.layers[0].algorithm == "winograd"}
    points = []
    for batch in batches:
        times = _timed(programs, dense, torch.randn(batch, *subject.image, generator=generator(0, "sweep")), progress.quiet())
        for kind, program in programs.items():
            ratio = latency.ratio(times["dense"], times[kind])
            layout = (groups if batch > FEW else layouts)[kind]
            points.append(Point(kind, zeros, batch, program.packed_bytes, times[kind].median_ms, ratio, layout))
    return points


def _timed(programs: Mapping[str, runtime.Program], dense: Layer, x: torch.Tensor, progress: Progress) -> dict[str, Latency]:
    best, array = (x.contiguous(memory_format=torch.channels_last) if x.dim() == 4 else x), x.numpy()
    calls: dict[str, Callable[[], Any]] = {kind: partial(program, array) for kind, program in programs.items()}
    with torch.inference_mode():
        return latency.compare(calls | {"dense": lambda: dense(best)}, rounds=ROUNDS, batch=len(x), budget_s=BUDGET_S, progress=progress)


def _with_weight(layer: Layer, weight: Array) -> Layer:
    """Return a layer like another with a weight of its own, perhaps with fewer outputs, without a bias."""
    out: Layer
    if isinstance(layer, nn.Linear):
        out = nn.Linear(weight.shape[1], len(weight), bias=False)
    else:
        places: Any = {"stride": layer.stride, "padding": layer.padding, "dilation": layer.dilation, "groups": layer.groups}
        out = nn.Conv2d(layer.in_channels, len(weight), layer.kernel_size, bias=False, **places)  # type: ignore[arg-type]
    out.weight = nn.Parameter(torch.from_numpy(weight), requires_grad=False)
    return out


def _smallest(score: Array, share: float) -> Array:
    """Return which entries are the `share` with the smallest score: bool of its shape, an exact count."""
    gone = np.zeros(score.size, bool)
    count = round(share * score.size)
    if count:
        gone[np.argpartition(score.reshape(-1), count - 1)[:count]] = True
    return gone.reshape(score.shape)


def _n_of_m(weight: Array, n: int, m: int) -> Array:
    """Return a weight that keeps the n largest of each m, along (k_h, k_w, c_in)."""
    matrix = along_inputs(weight)
    width = matrix.shape[1]
    groups = np.pad(matrix, ((0, 0), (0, -width % m))).reshape(len(matrix), -1, m)
    gone = np.argpartition(np.abs(groups), m - n - 1, axis=2)[:, :, : m - n]
    np.put_along_axis(groups, gone, 0, axis=2)
    return as_weight(np.ascontiguousarray(groups.reshape(len(matrix), -1)[:, :width]), weight.shape)
