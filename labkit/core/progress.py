"""Progress that can be watched and cancelled, the same for the command line, a job in a lab and a test.

Long work calls `progress.step(done, total, **figures)` at least once a second. Who started the work passes a `Progress`
that draws a bar, feeds a live curve or does nothing; cancelling makes the next `step` raise `Cancelled`.
"""

import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

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

    def pause(self, seconds: float) -> None:
        """Wait, and raise `Cancelled` at once if the work should stop meanwhile."""
        self._cancelled.wait(seconds)
        self.check()

    def quiet(self) -> "Progress":
        """Return a progress for a part of the work: cancelled with this one, and heard by nobody."""
        part = Progress()
        part._cancelled = self._cancelled
        return part

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
    """Yield a progress that draws one bar per piece of work on standard error, with rate and time left.

    Where standard error is no terminal but a file or a pipe, it gets a line now and then instead, and none for work that is
    done before the first is due: a log stays readable.
    """
    drawing = _Bars() if sys.stderr.isatty() else _Lines()
    try:
        yield Progress(drawing.draw)
    finally:
        drawing.close()


class _Bars:
    """One bar for each piece of work; the next piece begins where the name changes or the count falls back."""

    def __init__(self) -> None:
        self._bar: Any = None
        self._what = ""

    def draw(self, tick: Tick) -> None:
        from tqdm import tqdm

        if self._bar is None or self._what != tick.what or tick.done < self._bar.n:
            self.close()
            self._what = tick.what
            scaled = tick.total >= 100_000  # bytes, not steps
            self._bar = tqdm(total=tick.total, desc=tick.what, unit_scale=scaled, dynamic_ncols=True, mininterval=0.2)
        self._bar.total = tick.total
        if tick.figures:
            self._bar.set_postfix({name: f"{value:.4g}" for name, value in tick.figures.items()}, refresh=False)
        self._bar.update(tick.done - self._bar.n)

    def close(self) -> None:
        if self._bar is not None:
            self._bar.close()


class _Lines:
    """A line when a piece of work has taken `EVERY` seconds, and again each time that it has taken as long once more."""

    EVERY = 10.0

    def __init__(self) -> None:
        self._last: Tick | None = None
        self._due = self.EVERY

    def draw(self, tick: Tick) -> None:
        if self._last is None or self._last.what != tick.what or tick.seconds < self._last.seconds:
            self._due = self.EVERY
        self._last = tick
        if tick.seconds >= self._due:
            self._due = tick.seconds + self.EVERY
            figures = "".join(f", {name} {value:.4g}" for name, value in tick.figures.items())
            left = "" if tick.seconds_left is None else f", {tick.seconds_left:.0f} s left"
            sys.stderr.write(f"{tick.what}: {tick.done:,.0f} of {tick.total:,.0f}{figures}{left}\n")
            sys.stderr.flush()

    def close(self) -> None:
        """Leave nothing open."""
