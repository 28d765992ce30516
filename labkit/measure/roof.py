"""The roof of this machine, measured: how fast one thread multiplies, and how fast it reads memory.

    peak       operations / time of a product of two float32 matrices, 2·n³, or of a 3×3 convolution, the fastest round of the fastest
    bandwidth  bytes / time of one pass over an array too large for the usual caches, as one vector or as the rows of a matrix, which
               are read several at a time; the fastest round of the faster

A roof is what a machine can do at most, so that the fastest round counts, not the median. On a machine that is busy with
other work both are too low.

Source  Williams, Waterman and Patterson 2009, Communications of the ACM 52(4), for the model.
"""

from dataclasses import dataclass

import numpy as np
import torch

from labkit.core.progress import SILENT, Progress
from labkit.measure import latency

PRODUCT = 512  # rows and columns; three such matrices take 3 MB and stay in the caches
IMAGES, CHANNELS, SIDE = 8, 128, 14  # of the convolution's outputs; it is direct, and some processors do it faster than any product
READ_BYTES, WIDTH = 128 << 20, 4096
MOST_ROUNDS = 12
BUDGET_S = 0.6


@dataclass(frozen=True)
class Roof:
    """What bounds any program on this machine, on one thread.

    Attributes:
        peak_gflops: 10⁹ float32 operations a second; a multiplication and an addition are two.
        bandwidth_gbps: 10⁹ bytes read from memory a second.
        rounds: how often each was timed; the fastest counts.
        notes: what a person should know ("measured without the machine-wide lock").
    """

    peak_gflops: float
    bandwidth_gbps: float
    rounds: int
    notes: tuple[str, ...] = ()

    @property
    def ridge(self) -> float:
        """Operations a byte from which on arithmetic, not memory, is the limit."""
        return self.peak_gflops / self.bandwidth_gbps


def roof(progress: Progress = SILENT) -> Roof:
    """Measure the roof on one thread, in about a second and 128 MB, while nothing else of labkit measures.

    Raises:
        Cancelled: between two rounds, or while another measurement is waited for.
        LabkitError: another measurement did not end.
    """
    rng = np.random.default_rng(0)
    left, right = (rng.standard_normal((PRODUCT, PRODUCT), dtype=np.float32) for _ in range(2))
    out, long = np.empty_like(left), np.ones(READ_BYTES // 4, np.float32)
    tensors = [torch.from_numpy(array) for array in (left, right, out)]
    rows = torch.from_numpy(long).view(-1, WIDTH)
    factors, sums = torch.ones(WIDTH), torch.empty(len(rows))
    shapes = ((IMAGES, CHANNELS, SIDE + 2, SIDE + 2), (CHANNELS, CHANNELS, 3, 3))
    drawn = (torch.from_numpy(rng.standard_normal(shape, dtype=np.float32)) for shape in shapes)
    images, weight = (each.contiguous(memory_format=torch.channels_last) for each in drawn)
    calls = {
        "numpy": lambda: np.matmul(left, right, out=out),
        "torch": lambda: torch.mm(tensors[0], tensors[1], out=tensors[2]),
        "convolution": lambda: torch.conv2d(images, weight),
        "vector": lambda: np.dot(long, long),
        "matrix": lambda: torch.mv(rows, factors, out=sums),
    }
    times = latency.compare(calls, rounds=MOST_ROUNDS, warmup=1, budget_s=BUDGET_S, progress=progress)
    best_ms = {name: min(found.times_ms) for name, found in times.items()}
    operations = {"numpy": 2 * PRODUCT**3, "torch": 2 * PRODUCT**3, "convolution": 2 * IMAGES * SIDE**2 * 9 * CHANNELS**2}
    peak, read = max(count / best_ms[name] for name, count in operations.items()) / 1e6, min(best_ms["vector"], best_ms["matrix"])
    return Roof(peak, READ_BYTES / read / 1e6, times["vector"].runs, times["vector"].notes)
