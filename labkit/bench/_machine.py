"""What this machine gives one thread at most, so that a ratio can be held against it.

Dense products share what they read: a vector that lies in a register takes part in several of them. A product of a stored
weight reads its own inputs, so that how much a cache hands out in a cycle bounds it. This bound is that of the loop that
all sparse convolutions run, with nothing around it: one output, and inputs at random places.
"""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from labkit.core.progress import SILENT, Progress
from labkit.measure import latency
from labkit.measure.roof import roof
from labkit.runtime.kernels import csr_conv as conv
from labkit.runtime.kernels._simd import LANES, aligned, on_a_line
from labkit.runtime.kernels._taps import packed
from labkit.runtime.kernels.interpret import COLUMNS

WEIGHTS = 1 << 13
FIRST_BYTES, SECOND_BYTES = 32 << 10, 512 << 10  # within a first-level and a second-level cache
ROUNDS = 50


@dataclass(frozen=True)
class Machine:
    """Rates of one thread, the fastest round of each.

    Attributes:
        shared: 10⁹ float32 products a second where products share what is read: the fastest dense one.
        first, second: 10⁹ products a second of a sparse convolution's loop, where each reads its own inputs from the first and from
            the second cache.
        memory: 10⁹ bytes a second read from memory.
    """

    shared: float
    first: float
    second: float
    memory: float

    def as_plain(self) -> dict[str, float]:
        """Return the rates as plain JSON values, four digits each."""
        return {name: float(f"{rate:.4g}") for name, rate in asdict(self).items()}

    def in_words(self) -> str:
        """Say what that is, for people."""
        return (
            f"At most, one thread here does {self.shared:.0f} · 10⁹ products a second where they share what is read, as in a dense layer; "
            f"{self.first:.0f} · 10⁹ where each reads its own inputs from the first cache, as in a sparse one, and {self.second:.0f} · 10⁹ "
            f"from the second; and it reads {self.memory:.1f} GB/s from memory."
        )


def machine(progress: Progress = SILENT) -> Machine:
    """Measure the rates, in about two seconds.

    Raises:
        Cancelled: between two rounds, or while another measurement is waited for.
        LabkitError: another measurement did not end.
    """
    here = roof(progress)
    calls = {str(size): _loop(size) for size in (FIRST_BYTES, SECOND_BYTES)}
    times = latency.compare(calls, rounds=ROUNDS, progress=progress)
    rows, pixels, _ = conv.TILES[0]
    products = WEIGHTS * rows * pixels * LANES
    first, second = (products / min(found.times_ms) / 1e6 for found in times.values())
    return Machine(here.peak_gflops / 2, first, second, here.bandwidth_gbps)


def _loop(size: int) -> Callable[[], Any]:
    """Return a call of the kernel of the first tile: one output, whose inputs lie at random places in `size` bytes."""
    rows, pixels, _ = conv.TILES[0]
    rng, arena, pitch = np.random.default_rng(0), aligned(size // 4), 2 * pixels
    tile, line = rows * pixels * LANES, pitch * rows * LANES
    places = rng.integers(0, (arena.size - tile - line) // LANES, WEIGHTS) * LANES
    taps = on_a_line(packed(places, rng.standard_normal(WEIGHTS).astype(np.float32)))
    row = np.zeros(COLUMNS, np.int64)
    row[[conv.OUTPUTS, conv.BLOCKS, conv.STRIDE_Y, conv.STRIDE_X]] = 1
    row[[conv.HEIGHT, conv.WIDTH, conv.X_PITCH, conv.Y_PITCH]] = rows, pixels, pitch, pixels
    row[conv.Y] = arena.size - tile
    pointers, bias = np.array([0, WEIGHTS], np.int64), np.zeros(1, np.float32)
    low, high = np.float32(-np.inf), np.float32(np.inf)
    return lambda: conv.VARIANTS[0](arena, row, pointers, taps, bias, low, high)
