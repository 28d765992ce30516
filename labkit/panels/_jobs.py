"""One worker thread for a panel: the newest request runs, what it makes stale is cancelled or never begun.

A slider that is dragged asks sixty times a second for an accuracy that takes seconds. Only the last question matters, so
the worker holds at most one running and one waiting piece of work; asking again replaces the waiting one and cancels the
running one, which stops at its next `progress.step`.
"""

import os
import threading
from collections.abc import Callable
from contextlib import suppress

from labkit.core.errors import Cancelled
from labkit.core.memory import give_back
from labkit.core.progress import Progress, Tick
from labkit.panels._ahead import is_building

Work = Callable[[Progress], None]
Failed = Callable[[BaseException], None]

NICENESS = 10
REST_S = 3.0
"""How long nobody must have asked for anything before freed memory is given back: tens of megabytes after a measurement."""


def _step_back() -> None:
    """Let this thread give way to whoever draws: the kernel's main thread, and a browser on the same machine."""
    if hasattr(os, "setpriority"):
        with suppress(OSError):  # a system that has no priorities for threads
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), NICENESS)


class Worker:
    """Runs work on one daemon thread, latest wins.

    Args:
        failed: called on the worker's thread with whatever a piece of work raises, `Cancelled` excepted.
    """

    def __init__(self, failed: Failed) -> None:
        self._failed = failed
        self._changed = threading.Condition()
        self._waiting: tuple[Work, Progress] | None = None
        self._running: Progress | None = None
        self._closed = False
        self._thread: threading.Thread | None = None
        if not is_building():
            self.begin()

    def begin(self) -> None:
        """Start the thread; only for a worker that was made while panels are built ahead.

        Only now it is made, too: a thread that a fork finds not yet started counts as ended in the copy, for good.
        """
        self._thread = threading.Thread(target=self._loop, name="labkit-panel", daemon=True)
        self._thread.start()

    def submit(self, work: Work, listener: Callable[[Tick], None] | None = None) -> Progress:
        """Ask for `work`; whatever waits is dropped and whatever runs is cancelled. Return its progress, to cancel it by."""
        progress = Progress(listener)
        with self._changed:
            self._cancel_all()
            if not self._closed:
                self._waiting = (work, progress)
                self._changed.notify_all()
        return progress

    def cancel(self) -> None:
        """Drop what waits and cancel what runs."""
        with self._changed:
            self._cancel_all()

    def wait(self, seconds: float) -> bool:
        """Wait until nothing runs and nothing waits; return whether that came about within `seconds`."""
        with self._changed:
            return self._changed.wait_for(lambda: self._waiting is None and self._running is None, seconds)

    def close(self) -> None:
        """Cancel everything and end the thread."""
        with self._changed:
            self._cancel_all()
            self._closed = True
            self._changed.notify_all()
        if self._thread is not None and threading.current_thread() is not self._thread:
            self._thread.join(timeout=10.0)

    def _cancel_all(self) -> None:
        if self._waiting is not None:
            self._waiting[1].cancel()
            self._waiting = None
        if self._running is not None:
            self._running.cancel()
        self._changed.notify_all()

    def _loop(self) -> None:
        _step_back()
        while (taken := self._next()) is not None:
            self._do(*taken)

    def _next(self) -> tuple[Work, Progress] | None:
        """Wait for work and take it, None at the end; where none comes for a while, give freed memory back first."""

        def is_asked() -> bool:
            return self._waiting is not None or self._closed

        with self._changed:
            self._running = None
            self._changed.notify_all()
            if not self._changed.wait_for(is_asked, REST_S):
                give_back()
                self._changed.wait_for(is_asked)
            if self._waiting is None:
                return None
            (work, self._running), self._waiting = self._waiting, None
            return work, self._running

    def _do(self, work: Work, progress: Progress) -> None:
        try:
            work(progress)
        except Cancelled:
            return  # somebody asked for something newer
        except Exception as error:
            self._failed(error)
