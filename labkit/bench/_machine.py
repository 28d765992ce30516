"""What this machine gives one thread at most, so that a ratio can be held against it.

Dense products share what they read: a vector that lies in a register takes part in several of them. A product of a stored
weight reads its own inputs, so that how much a cache hands out in a cycle bounds it; see `labkit.runtime.loads`.
"""

from dataclasses import asdict, dataclass

from labkit.bench._rows import short
from labkit.core.progress import SILENT, Progress
from labkit.measure import latency
from labkit.measure.roof import roof
from labkit.runtime.loads import loop

FIRST_BYTES, SECOND_BYTES = 32 << 10, 512 << 10  # within a first-level and a second-level cache
ROUNDS, ROOFS = 50, 3


@dataclass(frozen=True)
class Machine:
    """Rates of one thread; of the roof the middle one of three, of the loops the fastest round but one, since a clock may slip.

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
        return {name: short(rate) for name, rate in asdict(self).items()}

    def in_words(self) -> str:
        """Say what that is, for people."""
        return (
            f"At most, one thread here does {self.shared:.0f} · 10⁹ products a second where they share what is read, as in a dense layer; "
            f"{self.first:.0f} · 10⁹ where each reads its own inputs from the first cache, as in a sparse one, and {self.second:.0f} · 10⁹ "
            f"from the second; and it reads {self.memory:.1f} GB/s from memory."
        )


def machine(progress: Progress = SILENT) -> Machine:
    """Measure the rates, in about three seconds.

    Raises:
        Cancelled: between two rounds, or while another measurement is waited for.
        LabkitError: another measurement did not end.
    """
    here = sorted((roof(progress) for _ in range(ROOFS)), key=lambda found: found.peak_gflops)[ROOFS // 2]
    loops = {str(size): loop(size) for size in (FIRST_BYTES, SECOND_BYTES)}
    times = latency.compare({name: call for name, (call, _) in loops.items()}, rounds=ROUNDS, progress=progress)
    first, second = (loops[name][1] / sorted(found.times_ms)[1] / 1e6 for name, found in times.items())
    return Machine(here.peak_gflops / 2, first, second, here.bandwidth_gbps)
