"""Rows: cases that were measured, as JSON and in print.

The dense baseline is torch eager in its best layout with batch norm folded. Cases that lose are shown like those that win.
"""

from dataclasses import asdict, dataclass
from typing import Any

import torch

from labkit.bench._case import NUMPY_DENSE, Case
from labkit.measure import latency

HEAD = ("kernel", "format", "shape", "batch", "zeros or bits", "ms", "× dense", "best peer", "× peer", "largest error")


@dataclass(frozen=True)
class Row:
    """One measured case; ratios above 1 say that ours is faster.

    Attributes:
        kernel, format, shape, batch: what ran.
        setting: zeros or bits in words.
        sparsity: share of zeros in the weights; None where bits are what matters.
        bits: of a weight; None where zeros are what matters.
        threads: of ours, the baseline and the peers.
        ratio_vs_dense, spread: median, and first and third quartile, of the ratio to float32 torch in each round.
        best_peer, ratio_vs_best_peer: the fastest of the peers; None where there is none.
        max_abs_error: largest absolute difference to the exact result.
        median_ms, dense_ms: of ours and of the baseline.
        peers: ratio to each peer.
        macs, effective_macs: products of the dense call, and those of weights that are not zero.
    """

    kernel: str
    format: str
    shape: tuple[int, ...]
    batch: int
    setting: str
    sparsity: float | None
    bits: float | None
    threads: int
    ratio_vs_dense: float
    spread: tuple[float, float]
    best_peer: str | None
    ratio_vs_best_peer: float | None
    max_abs_error: float
    median_ms: float
    dense_ms: float
    peers: dict[str, float]
    macs: int
    effective_macs: int


def measured(case: Case, rounds: int) -> Row:
    """Time a case against its baseline and its peers, interleaved."""
    with torch.inference_mode():
        times = latency.compare({"ours": case.ours, "dense": case.dense} | case.peers, rounds=rounds, batch=case.batch)
    ratios = {name: latency.ratio(times[name], times["ours"]) for name in times if name != "ours"}
    dense = ratios.pop("dense")
    peers = {name: ratio.median for name, ratio in ratios.items() if name != NUMPY_DENSE or ratio.median < dense.median}
    best = min(peers, key=lambda name: peers[name], default=None)
    return Row(
        kernel=case.kernel,
        format=case.format,
        shape=case.shape,
        batch=case.batch,
        setting=case.setting.words,
        sparsity=case.setting.sparsity,
        bits=case.setting.bits,
        threads=times["ours"].threads,
        ratio_vs_dense=dense.median,
        spread=(dense.low, dense.high),
        best_peer=best,
        ratio_vs_best_peer=None if best is None else peers[best],
        max_abs_error=case.error,
        median_ms=times["ours"].median_ms,
        dense_ms=times["dense"].median_ms,
        peers=peers,
        macs=case.macs,
        effective_macs=case.effective_macs,
    )


def as_plain(row: Row) -> dict[str, Any]:
    """Return a row as plain JSON values, four digits each."""
    plain: dict[str, Any] = {name: short(value) if isinstance(value, float) else value for name, value in asdict(row).items()}
    return plain | {"spread": [short(n) for n in row.spread], "peers": {name: short(n) for name, n in row.peers.items()}}


def from_plain(plain: dict[str, Any]) -> Row:
    """Return the row that `as_plain` made."""
    return Row(**plain | {"shape": tuple(plain["shape"]), "spread": tuple(plain["spread"])})


def in_words(row: Row) -> tuple[str, ...]:
    """Return a row as it is printed, under `HEAD`."""
    ratio = f"{row.ratio_vs_dense:.2f} [{row.spread[0]:.2f}, {row.spread[1]:.2f}]"
    peer = "–" if row.ratio_vs_best_peer is None else f"{row.ratio_vs_best_peer:.2f}"
    what = (row.kernel, row.format, "×".join(map(str, row.shape)), str(row.batch), row.setting)
    return (*what, f"{row.median_ms:.3f}", ratio, row.best_peer or "–", peer, f"{row.max_abs_error:.0e}")


def short(value: float) -> float:
    """Return a number with four digits, as the JSON has it."""
    return float(f"{value:.4g}")
