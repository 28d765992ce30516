"""`labkit bench`: every kernel against dense float32 torch and the best peer that is installed, in one interleaved run.

The dense baseline is torch eager in its best layout with batch norm folded. Weights are random with a fixed seed but for the
networks, which our own method pruned. One layer alone keeps its packed weights in the cache where they fit; in a network
larger than the cache they come from memory. Cases that lose are shown like those that win.
"""

import warnings
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from labkit import flow
from labkit.core.errors import ConfigError
from labkit.core.progress import SILENT, Progress
from labkit.core.recipe import Recipe, Step
from labkit.core.records import Compressed
from labkit.formats import Format
from labkit.formats.binary import BinaryTensor
from labkit.formats.codebook import CodebookTensor
from labkit.formats.csr import CsrTensor
from labkit.formats.linear import LinearTensor
from labkit.formats.n_m import NMTensor
from labkit.formats.ternary import TernaryTensor
from labkit.formats.vector_sparse import VectorSparseTensor
from labkit.measure import latency
from labkit.models import load
from labkit.models.fold import fold_batch_norm
from labkit.pruning.criterion.magnitude import MagnitudeConfig
from labkit.pruning.ratio.uniform_ratio import UniformRatioConfig
from labkit.runtime import Program, compile  # noqa: A004
from labkit.runtime import steps as runtime
from labkit.runtime.kernels.int8_linear import BlockInt8Linear
from labkit.runtime.kernels.xnor_linear import XnorLinear

Call = Callable[[], Any]
HEAD = ("kernel", "format", "shape", "batch", "zeros or bits", "ms", "× dense", "best peer", "× peer", "largest error")


@dataclass(frozen=True)
class Case:
    """One row before it is measured.

    Attributes:
        kernel, format, shape, batch: what runs.
        setting: "90 %" zeros, "4 bits" or "2:4".
        ours, dense: calls.
        peers: name → call of what else can do the job.
        error: largest absolute difference to the exact result.
    """

    kernel: str
    format: str
    shape: tuple[int, ...]
    batch: int
    setting: str
    ours: Call
    dense: Call
    error: float
    peers: dict[str, Call] = field(default_factory=dict)


@dataclass(frozen=True)
class Row:
    """One measured case; ratios above 1 say that ours is faster, and the spreads are first and third quartile."""

    kernel: str
    format: str
    shape: tuple[int, ...]
    batch: int
    sparsity_or_bits: str
    threads: int
    ratio_vs_dense: float
    spread: tuple[float, float]
    best_peer: str
    ratio_vs_best_peer: float | None
    max_abs_error: float
    median_ms: float
    dense_ms: float


def bench(only: str = "", rounds: int = 31, progress: Progress = SILENT) -> Iterator[Row]:
    """Measure the cases one by one, on one thread.

    Args:
        only: name of a group of cases; "" for all.
        rounds: timed calls of each candidate.
        progress: asked whether to go on.

    Raises:
        ConfigError: nothing is called `only`.
    """
    makers = [make for make in CASES if only in ("", make.__name__)]
    if not makers:
        raise ConfigError(f"bench: there is no group {only!r}; there are {', '.join(make.__name__ for make in CASES)}")
    for make in makers:
        for case in make():
            progress.check()
            yield measured(case, rounds)


def measured(case: Case, rounds: int) -> Row:
    """Time a case against its baseline and its peers, interleaved."""
    with torch.inference_mode():
        times = latency.compare({"ours": case.ours, "dense": case.dense} | case.peers, rounds=rounds, batch=case.batch)
    ratio = latency.ratio(times["dense"], times["ours"])
    best = min(case.peers, key=lambda name: times[name].median_ms, default="")
    against = latency.ratio(times[best], times["ours"]).median if best else None
    figures = (ratio.median, (ratio.low, ratio.high), best, against, case.error, times["ours"].median_ms, times["dense"].median_ms)
    return Row(case.kernel, case.format, case.shape, case.batch, case.setting, 1, *figures)


def as_plain(row: Row) -> dict[str, Any]:
    """Return a row as plain JSON values, four digits each."""
    plain: dict[str, Any] = asdict(row)
    for name, value in plain.items():
        plain[name] = (
            float(f"{value:.4g}") if isinstance(value, float) else [float(f"{n:.4g}") for n in value] if name == "spread" else value
        )
    return plain


def in_words(row: Row) -> tuple[str, ...]:
    """Return a row as it is printed, under `HEAD`."""
    ratio = f"{row.ratio_vs_dense:.2f} [{row.spread[0]:.2f}, {row.spread[1]:.2f}]"
    peer = "–" if row.ratio_vs_best_peer is None else f"{row.ratio_vs_best_peer:.2f}"
    what = (row.kernel, row.format, "×".join(map(str, row.shape)), str(row.batch), row.sparsity_or_bits)
    return (*what, f"{row.median_ms:.3f}", ratio, row.best_peer or "–", peer, f"{row.max_abs_error:.0e}")


def sparse_rows() -> Iterator[Case]:
    """Compressed sparse rows; at half the weights they lose."""
    for share in (0.5, 0.8, 0.9, 0.95):
        weight = _normal(1024, 1024) * (_rng().random((1024, 1024)) >= share)
        packed = CsrTensor.pack(weight.astype(np.float32) + np.float32(0))
        for batch in (1, 64):
            yield _linear("csr_linear", packed, batch, f"{share:.0%}")


def blocks() -> Iterator[Case]:
    """Blocks of four and eight outputs."""
    for block in (4, 8):
        for share in (0.75, 0.9):
            kept = np.repeat(_rng().random((1024 // block, 1024)) >= share, block, axis=0)
            packed = VectorSparseTensor.pack((_normal(1024, 1024) * kept).astype(np.float32) + np.float32(0), block=block)
            for batch in (1, 64):
                yield _linear("vector_linear", packed, batch, f"{share:.0%} in {block}×1")


def n_of_m() -> Iterator[Case]:
    """N:M along the inputs."""
    for size, n, m in ((1024, 2, 4), (4096, 2, 4), (1024, 1, 4), (1024, 2, 16)):
        groups = _normal(size, size).reshape(size, size // m, m)
        np.put_along_axis(groups, np.argsort(np.abs(groups), axis=2)[:, :, : m - n], 0, axis=2)
        packed = NMTensor.pack(groups.reshape(size, size), m=m)
        for batch in (1, 64):
            yield _linear("n_m_linear", packed, batch, f"{n}:{m}")


def codes() -> Iterator[Case]:
    """Codes of one to four bits, with float inputs."""
    rng, shape = _rng(), (4096, 4096)
    rows = rng.uniform(0.01, 0.1, 4096).astype(np.float32)
    for bits in (2, 4):
        packed = CodebookTensor.pack(rng.integers(0, 1 << bits, shape), rng.standard_normal(1 << bits).astype(np.float32), bits)
        yield _linear("lookup_linear", packed, 1, f"{bits} bits")
    yield _linear("lookup_linear", TernaryTensor.pack(rng.integers(-1, 2, shape), rows), 1, "ternary")
    scales = rng.uniform(0.01, 0.1, 4096 * 32).astype(np.float32)
    yield _linear(
        "lookup_linear_groups", LinearTensor.pack(rng.integers(-8, 8, shape), scales, bits=4, group=128), 1, "4 bits in groups of 128"
    )


def signs() -> Iterator[Case]:
    """Both sides binary; the packing of the inputs is part of the time."""
    weight = BinaryTensor.pack(_rng().random((1024, 1024)) < 0.5, np.full(1024, 0.1))
    dense, layer = torch.from_numpy(weight.unpack()), XnorLinear(weight)
    for batch in (1, 64):
        x = _normal(batch, 1024)
        ones = torch.from_numpy(np.where(x < 0, -1, 1).astype(np.float32))
        error = _difference(layer(x), ones.double().numpy() @ dense.double().numpy().T)
        calls = partial(layer, x), partial(F.linear, ones, dense)
        yield Case("xnor_linear", "binary", (1024, 1024), batch, "1 bit", *calls, error)


def bytes_in_blocks() -> Iterator[Case]:
    """Int8, dense and in blocks of four inputs, against float32 and torch's int8."""
    x = _rng().integers(0, 256, (64, 1024), np.uint8)
    floats = torch.from_numpy(x.astype(np.float32))
    for share in (0.0, 0.75, 0.9):
        kept = np.repeat(_rng().random((1024, 256)) >= share, 4, axis=1)
        codes = (_rng().integers(-127, 128, (1024, 1024)) * kept).astype(np.int8)
        layer, dense = BlockInt8Linear(codes), torch.from_numpy(codes.astype(np.float32))
        error = _difference(layer(x), x.astype(np.int64) @ codes.astype(np.int64).T)
        peers = _torch_int8(torch.from_numpy(x), torch.from_numpy(codes))
        calls = partial(layer, x), partial(F.linear, floats, dense)
        yield Case("block_int8_linear", "block_int8", codes.shape, 64, f"{share:.0%}", *calls, error, peers)


def convolutions() -> Iterator[Case]:
    """One 3×3 convolution."""
    conv = torch.nn.Conv2d(128, 128, 3, padding=1).to(memory_format=torch.channels_last).eval()
    images = torch.from_numpy(_normal(16, 128, 14, 14)).contiguous(memory_format=torch.channels_last)
    for share in (0.5, 0.9):
        with torch.no_grad():
            conv.weight.copy_(torch.from_numpy(_normal(128, 128, 3, 3) / 34 * (_rng().random((128, 128, 3, 3)) >= share)))
        yield _network("csr_conv", torch.nn.Sequential(conv), images, f"{share:.0%}", "csr")


def networks() -> Iterator[Case]:
    """Whole networks of the zoo, pruned by magnitude over all layers without any training afterwards."""
    for name in ("vgg-small-bn", "lenet-300-100"):
        for share in (0.0, 0.8, 0.9, 0.95):
            steps = (Step(MagnitudeConfig(ratio=UniformRatioConfig(sparsity=share), scope="global")),) if share else ()
            recipe = Recipe(name, "fashion-mnist", steps)
            splits = flow.load_data(recipe)
            compressed = flow.compress(Compressed(model=load(name), network=name), recipe, splits)
            for batch in (1, 64):
                yield _network(name, compressed.model, splits.test[:batch].tensor(), f"{share:.0%}", "auto")


CASES: tuple[Callable[[], Iterator[Case]], ...] = (sparse_rows, blocks, n_of_m, codes, signs, bytes_in_blocks, convolutions, networks)


def _linear(kernel: str, packed: Format, batch: int, setting: str) -> Case:
    """Return the case of one linear layer."""
    x, dense = _normal(batch, packed.shape[1]), torch.from_numpy(packed.unpack())
    program, inputs = Program([runtime.Step("linear", kernel, (0,), packed)], (packed.shape[1],)), torch.from_numpy(x)
    error = _difference(program(x), x.astype(np.float64) @ packed.unpack().astype(np.float64).T)
    peers = _csr_peers(dense, inputs) if packed.kind in ("csr", "vector_sparse", "n_m") and packed.shape[0] <= 1024 else {}
    return Case(kernel, packed.kind, tuple(packed.shape), batch, setting, lambda: program(x), lambda: F.linear(inputs, dense), error, peers)


def _network(kernel: str, model: torch.nn.Module, images: Tensor, setting: str, formats: str) -> Case:
    """Return the case of a network, against torch in channels_last with batch norm folded."""
    dense = fold_batch_norm(model).to(memory_format=torch.channels_last)
    best = images.contiguous(memory_format=torch.channels_last) if images.dim() == 4 else images
    program, x = compile(model, images, formats), images.contiguous().numpy()
    with torch.inference_mode():
        error = _difference(program(x), dense(best).numpy())
    found = "+".join(sorted({layer.format for layer in program.layers if layer.format}))
    return Case(kernel, found, tuple(images.shape[1:]), len(images), setting, lambda: program(x), lambda: dense(best), error)


def _csr_peers(dense: Tensor, inputs: Tensor) -> dict[str, Call]:
    """Return what else multiplies by compressed sparse rows here."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Sparse CSR tensor support is in beta")
        rows, columns = dense.to_sparse_csr(), inputs.t().contiguous()
    peers: dict[str, Call] = {"torch CSR": lambda: rows @ columns}
    try:
        from scipy import sparse
    except ImportError:
        return peers
    matrix, array = sparse.csr_matrix(dense.numpy()), columns.numpy()
    return peers | {"SciPy CSR": lambda: matrix @ array}


def _torch_int8(x: Tensor, codes: Tensor) -> dict[str, Call]:
    """Return torch's int8 layer with float32 outputs, where this torch has one."""
    if not hasattr(torch.ops.onednn, "qlinear_pointwise") or not torch.backends.mkldnn.is_available():
        return {}
    out = len(codes)
    packed, ones, zeros = torch.ops.onednn.qlinear_prepack(codes, list(x.shape)), torch.ones(out), torch.zeros(out, dtype=torch.int64)
    last: Any = (1.0, 0, torch.float32, "none", [], "")
    return {"torch int8": lambda: torch.ops.onednn.qlinear_pointwise(x, 1.0, 0, packed, ones, zeros, None, *last)}


def _rng() -> np.random.Generator:
    return np.random.default_rng(0)


def _normal(*shape: int) -> NDArray[np.float32]:
    return np.random.default_rng(len(shape)).standard_normal(shape, np.float32)


def _difference(got: NDArray[Any], want: NDArray[Any]) -> float:
    return float(np.abs(got - want).max())
