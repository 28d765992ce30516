"""One latency measurement at a time on a machine: two at once would each report the other's disturbance."""

import os
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import ModuleType

from labkit.core.errors import LabkitError
from labkit.core.progress import SILENT, Progress

_fcntl: ModuleType | None
try:
    import fcntl

    _fcntl = fcntl
except ImportError:  # not a Unix
    _fcntl = None

MOST_WAIT_S = 600.0
_POLL_S = 0.05


def lock_path() -> Path:
    """Return the file that is locked; it is empty, and stays behind."""
    return Path(tempfile.gettempdir()) / "labkit-latency.lock"


@contextmanager
def machine_lock(progress: Progress = SILENT, wait_s: float = MOST_WAIT_S) -> Iterator[str]:
    """Hold the machine-wide lock, waiting for whoever has it. The system frees it when its owner dies.

    Args:
        progress: asked while waiting whether to go on.
        wait_s: longest wait, seconds.

    Yields:
        "" when the lock is held, else a sentence that says why there is none: then nothing is locked.

    Raises:
        Cancelled: while waiting, when `progress` says so.
        LabkitError: somebody else held it for all of `wait_s`.
    """
    if _fcntl is None:
        yield "measured without the machine-wide lock: this platform has no file locks"
        return
    try:
        descriptor = _open(lock_path())
    except OSError as error:
        yield f"measured without the machine-wide lock: {lock_path()} cannot be opened ({error.strerror})"
        return
    try:
        _acquire(descriptor, progress, wait_s)
        yield ""
    finally:
        os.close(descriptor)  # frees the lock


def _open(path: Path) -> int:
    """Open the file of the lock, whoever made it; it is never written to, and a link is not followed."""
    flags = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0)
    for _ in range(3):  # somebody may make or remove it between the two calls
        with suppress(FileNotFoundError):
            return os.open(path, flags)
        try:
            descriptor = os.open(path, flags | os.O_CREAT | os.O_EXCL, 0o644)
        except FileExistsError:
            continue
        os.fchmod(descriptor, 0o644)  # other users lock the same file, whatever our umask is
        return descriptor
    raise OSError(0, "it comes and goes")


def _acquire(descriptor: int, progress: Progress, wait_s: float) -> None:
    if _fcntl is None:
        return
    deadline = time.monotonic() + wait_s
    while True:  # until the deadline
        progress.check()
        with suppress(BlockingIOError):
            _fcntl.flock(descriptor, _fcntl.LOCK_EX | _fcntl.LOCK_NB)
            return
        if time.monotonic() >= deadline:
            raise LabkitError(f"another measurement has held {lock_path()} for {wait_s:g} s: wait for it to end, then measure again")
        time.sleep(_POLL_S)
