import os
import threading
from pathlib import Path

import pytest

from labkit.core import files
from labkit.core.errors import FileFormatError
from labkit.core.files import read_limited, write_atomic


def test_what_is_written_is_read(tmp_path: Path) -> None:
    write_atomic(tmp_path / "a", b"one")
    write_atomic(tmp_path / "a", b"two")
    assert read_limited(tmp_path / "a", 3) == b"two"
    assert os.listdir(tmp_path) == ["a"]


def test_an_interrupted_write_leaves_the_old_file_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def stop(_: int) -> None:
        raise KeyboardInterrupt

    write_atomic(tmp_path / "a", b"old")
    monkeypatch.setattr(files.os, "fsync", stop)
    with pytest.raises(KeyboardInterrupt):
        write_atomic(tmp_path / "a", b"new")
    assert os.listdir(tmp_path) == ["a"]
    assert (tmp_path / "a").read_bytes() == b"old"


def test_a_full_disk_is_a_sentence_and_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(files.os, "fsync", full)
    with pytest.raises(FileFormatError, match=r"a cannot be written: No space left on device"):
        write_atomic(tmp_path / "a", b"new")
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("place", ["missing/a", "file/a", "folder", "x" * 250])
def test_a_place_that_cannot_be_written_is_a_sentence(tmp_path: Path, place: str) -> None:
    (tmp_path / "file").write_bytes(b"")
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "kept").write_bytes(b"")
    with pytest.raises(FileFormatError, match="cannot be written"):
        write_atomic(tmp_path / place, b"new")
    assert sorted(os.listdir(tmp_path)) == ["file", "folder"]


def test_two_threads_that_write_one_file_leave_one_of_the_two(tmp_path: Path) -> None:
    contents = [bytes([n]) * 200_000 for n in range(4)]
    threads = [threading.Thread(target=write_atomic, args=(tmp_path / "a", content)) for content in contents]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (tmp_path / "a").read_bytes() in contents
    assert os.listdir(tmp_path) == ["a"]


def test_the_limit_is_kept_to_the_byte(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"1234")
    assert read_limited(tmp_path / "a", 4) == b"1234"
    with pytest.raises(FileFormatError, match="more than 3 bytes"):
        read_limited(tmp_path / "a", 3)


def test_what_is_no_file_is_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")  # reading it would wait for ever
    for path, reason in (
        (tmp_path / "missing", "No such file"),
        (tmp_path, "ordinary"),
        (tmp_path / "pipe", "ordinary"),
        (Path("/dev/zero"), "ordinary"),
    ):
        with pytest.raises(FileFormatError, match=f"cannot be read: .*{reason}"):
            read_limited(path, 10)
