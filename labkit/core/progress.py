"""Progress that can be watched and cancelled, the same for the command line, a job in a lab and a test.

Long work calls `progress.step(done, total, **figures)` at least once a second. Who started the work passes a `Progress`
that draws a bar, feeds a live curve or does nothing; cancelling makes the next `step` raise `Cancelled`.
"""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from labkit.core.errors import Cancelled


@dataclass(frozen=True)
class Tick:
    """One report of a running piece of work.

    Attributes:
        what: what is being done, a few words.
        done: units finished so far.
        total: units in all.
        seconds: time since the work began.
        figures: what is measured meanwhile (loss, accuracy), by name.
    """

    what: str
    done: float
    total: float
    seconds: float
    figures: dict[str, float] = field(default_factory=dict)

    @property
    def seconds_left(self) -> float | None:
        """Time left at the present rate; None before anything is done."""
        return self.seconds * (self.total - self.done) / self.done if self.done > 0 else None


class Progress:
    """Passes ticks to a listener and carries the wish to cancel.

    Args:
        listener: called with every `Tick`, on the thread that works.
    """

    def __init__(self, listener: Callable[[Tick], None] | None = None) -> None:
        self._listener = listener
        self._cancelled = threading.Event()
        self._what, self._start = "working", time.perf_counter()

    def cancel(self) -> None:
        """Ask the work to stop; the next `step` or `check` raises `Cancelled`. Any thread may call this."""
        self._cancelled.set()

    @property
    def is_cancelled(self) -> bool:
        return self._cancelled.is_set()

    def begin(self, what: str) -> None:
        """Name the work and start its clock."""
        self._what, self._start = what, time.perf_counter()

    def check(self) -> None:
        """Raise `Cancelled` if the work should stop."""
        if self._cancelled.is_set():
            raise Cancelled(f"{self._what}: cancelled")

    def step(self, done: float, total: float, **figures: float) -> None:
        """Report how far the work is, then raise `Cancelled` if it should stop."""
        if self._listener is not None:
            self._listener(Tick(self._what, done, total, time.perf_counter() - self._start, figures))
        self.check()


class _Silent(Progress):
    """Shared by everybody who gave no progress, so that cancelling it would stop them all, for good."""

    def cancel(self) -> None:
        raise RuntimeError("SILENT is shared by all work and must not be cancelled: pass a Progress of your own")


SILENT: Progress = _Silent()
"""A progress that nobody watches and nobody cancels."""


@contextmanager
def terminal_bar() -> Iterator[Progress]:
    """Yield a progress that draws one bar per piece of work on standard error, with rate and time left."""
    from tqdm import tqdm

    bar: tqdm | None = None
    what = ""

    def draw(tick: Tick) -> None:
        nonlocal bar, what
        if bar is None or what != tick.what:
            if bar is not None:
                bar.close()
            what = tick.what
            bar = tqdm(total=tick.total, desc=tick.what, unit_scale=True, dynamic_ncols=True, mininterval=0.2)
        bar.total = tick.total
        if tick.figures:
            bar.set_postfix({name: f"{value:.4g}" for name, value in tick.figures.items()}, refresh=False)
        bar.update(tick.done - bar.n)

    try:
        yield Progress(draw)
    finally:
        if bar is not None:
            bar.close()
