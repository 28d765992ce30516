import os
import signal
import stat
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from labkit.core.errors import Cancelled, LabkitError
from labkit.core.progress import Progress
from labkit.measure import _lock
from labkit.measure._lock import machine_lock

OWNER = """
import fcntl, os, sys, time
fd = os.open(sys.argv[1], os.O_RDONLY | os.O_CREAT, 0o644)
fcntl.flock(fd, fcntl.LOCK_EX)
print("locked", flush=True)
time.sleep(60)
"""


@pytest.fixture(autouse=True)
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A lock of this test's own."""
    monkeypatch.setattr(_lock, "lock_path", lambda: tmp_path / "lock")
    return tmp_path / "lock"


def is_free() -> bool:
    try:
        with machine_lock(wait_s=0):
            return True
    except LabkitError:
        return False


def test_it_is_held_inside_and_free_outside() -> None:
    assert is_free()
    with machine_lock() as note:
        assert note == ""
        assert not is_free()
    assert is_free()


def test_it_is_freed_by_an_error() -> None:
    with pytest.raises(ZeroDivisionError), machine_lock():
        raise ZeroDivisionError
    assert is_free()


def test_an_owner_that_was_killed_does_not_block(path: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", OWNER, str(path)], stdout=subprocess.PIPE, text=True) as owner:
        assert owner.stdout is not None
        assert owner.stdout.readline() == "locked\n"
        assert not is_free()
        owner.send_signal(signal.SIGKILL)
        owner.wait()
    assert is_free()


def test_waiting_ends_when_it_is_freed() -> None:
    held, done = threading.Event(), threading.Event()

    def hold() -> None:
        with machine_lock():
            held.set()
            done.wait(5)

    thread = threading.Thread(target=hold)
    thread.start()
    held.wait(5)
    threading.Timer(0.1, done.set).start()
    with machine_lock() as note:
        assert done.is_set()
        assert note == ""
    thread.join()


def test_waiting_can_be_cancelled_and_leaves_no_file_open() -> None:
    progress = Progress()
    descriptors = len(os.listdir("/proc/self/fd")) if Path("/proc/self/fd").exists() else 0
    with machine_lock():
        threading.Timer(0.1, progress.cancel).start()
        start = time.monotonic()
        with pytest.raises(Cancelled), machine_lock(progress):
            pytest.fail("held twice")
        assert time.monotonic() - start < 5
    assert not descriptors or len(os.listdir("/proc/self/fd")) == descriptors


def test_waiting_ends_after_the_longest_wait_with_a_sentence(path: Path) -> None:
    with (
        machine_lock(),
        pytest.raises(LabkitError, match=rf"another measurement has held {path} for 0\.1 s: wait"),
        machine_lock(wait_s=0.1),
    ):
        pytest.fail("held twice")


def test_other_users_can_lock_the_same_file_whatever_the_umask(path: Path) -> None:
    before = os.umask(0o077)
    try:
        with machine_lock():
            pass
    finally:
        os.umask(before)
    assert stat.S_IMODE(path.stat().st_mode) == 0o644
    assert path.stat().st_size == 0


def test_a_link_is_not_followed_and_a_missing_folder_is_told(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path.symlink_to(tmp_path / "victim")
    with machine_lock() as note:
        assert note.startswith("measured without the machine-wide lock: ")
    assert not (tmp_path / "victim").exists()
    monkeypatch.setattr(_lock, "lock_path", lambda: tmp_path / "none" / "lock")
    with machine_lock() as note:
        assert "No such file" in note


def test_without_file_locks_there_is_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_lock, "_fcntl", None)
    with machine_lock() as note:
        assert note == "measured without the machine-wide lock: this platform has no file locks"
