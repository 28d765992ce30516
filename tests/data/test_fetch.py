import functools
import gzip
import hashlib
import http.client
import os
import shutil
import socket
import threading
import urllib.error
from collections.abc import Callable, Iterator
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest

from labkit.core.errors import Cancelled, DataError, UnknownNameError
from labkit.core.progress import Progress, Tick
from labkit.data import fashion_mnist as fm
from labkit.data import fetch as module
from labkit.data.fetch import fetch
from tests.data.test_fashion_mnist import write_set

Download = Callable[[str, Path, str, str], None]


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the server would send: a set that begins with the shipped images."""
    pixels, labels = fm.read_sheets("train", fm.SHIPPED)
    train = np.concatenate([pixels] * 3), np.concatenate([labels] * 3)
    return write_set(tmp_path_factory.mktemp("server"), train)


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache of the user, and nothing found elsewhere."""
    monkeypatch.delenv("LABKIT_DATA", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(fm, "SYSTEM_FOLDER", tmp_path / "none")
    return tmp_path / "labkit" / "data"


@pytest.fixture
def serve(source: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[int], None]], list[str]]:
    """Replace the download by a copy; before the n-th file, `happen(n)` does what it likes."""

    def install(happen: Callable[[int], None] = lambda _: None) -> list[str]:
        asked: list[str] = []

        def download(url: str, folder: Path, file: str, md5: str) -> None:
            asked.append(url)
            folder.mkdir(parents=True, exist_ok=True)
            (folder / f"{file}.part").touch()
            happen(len(asked))
            (folder / f"{file}.part").unlink()
            shutil.copy(source / file.removesuffix(".gz"), folder)

        monkeypatch.setattr(module, "download", download)
        return asked

    return install


Serve = Callable[..., list[str]]


def test_a_set_is_fetched_whole_and_then_found(cache: Path, serve: Serve) -> None:
    asked, ticks = serve(), []  # type: ignore[var-annotated]
    folder = fetch("fashion-mnist", Progress(ticks.append))
    assert folder == cache / "FashionMNIST" / "raw" == fm.find_full()
    assert os.listdir(cache) == ["FashionMNIST"]
    assert [url.rsplit("/", 1)[1] for url in asked] == [f"{name}.gz" for split in ("train", "test") for name in fm.FILES[split][:2]]
    assert [tick.done for tick in ticks] == [0, 1, 2, 3, 4]


def test_what_is_already_there_is_left_alone(serve: Serve) -> None:
    serve()
    folder = fetch("fashion-mnist")
    before = {path: path.stat().st_mtime_ns for path in folder.iterdir()}
    asked = serve()
    ticks: list[Tick] = []
    assert fetch("fashion-mnist", Progress(ticks.append)) == folder
    assert asked == []
    assert {path: path.stat().st_mtime_ns for path in folder.iterdir()} == before
    assert ticks[-1].what == "fashion-mnist is already there"


def test_a_half_written_set_of_old_is_replaced(cache: Path, serve: Serve) -> None:
    raw = cache / "FashionMNIST" / "raw"
    raw.mkdir(parents=True)
    (raw / "train-images-idx3-ubyte").write_bytes(b"half")
    serve()
    assert fetch("fashion-mnist") == raw
    assert len(fm.read_full(raw)[1]) == 60_000
    assert os.listdir(cache) == ["FashionMNIST"]


NETWORK = [
    urllib.error.URLError("Name or service not known"),
    TimeoutError("timed out"),
    ConnectionResetError("reset by peer"),
    RuntimeError("File not found or corrupted."),
    http.client.BadStatusLine("what"),
]


@pytest.mark.parametrize("error", NETWORK, ids=lambda error: type(error).__name__)
@pytest.mark.parametrize("at", [1, 3])
def test_without_a_network_one_sentence_and_nothing_left(cache: Path, serve: Serve, error: Exception, at: int) -> None:
    def fail(n: int) -> None:
        if n >= at:
            raise error

    serve(fail)
    with pytest.raises(DataError, match=r"of Fashion-MNIST cannot be downloaded \(.*\): look at the network connection and try again"):
        fetch("fashion-mnist")
    assert os.listdir(cache) == []


@pytest.mark.parametrize("stop", [KeyboardInterrupt, SystemExit])
def test_ctrl_c_leaves_nothing(cache: Path, serve: Serve, stop: type[BaseException]) -> None:
    def interrupt(n: int) -> None:
        if n == 2:
            raise stop

    serve(interrupt)
    with pytest.raises(stop):
        fetch("fashion-mnist")
    assert os.listdir(cache) == []


def test_cancelling_leaves_nothing(cache: Path, serve: Serve) -> None:
    progress = Progress()
    asked = serve(lambda n: progress.cancel() if n == 2 else None)
    with pytest.raises(Cancelled):
        fetch("fashion-mnist", progress)
    assert len(asked) == 2
    assert os.listdir(cache) == []


def test_a_wrong_set_is_not_installed(cache: Path, serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    serve()
    monkeypatch.setitem(fm.CHECKSUMS, "train", 1)
    with pytest.raises(DataError, match="must hold Fashion-MNIST"):
        fetch("fashion-mnist")
    assert os.listdir(cache) == []


def test_a_place_that_cannot_be_written_is_a_sentence(tmp_path: Path, serve: Serve) -> None:
    serve()
    (tmp_path / "labkit").write_bytes(b"in the way")
    with pytest.raises(DataError, match=r"cannot be put into .*: make room there, or set XDG_CACHE_HOME"):
        fetch("fashion-mnist")


def test_a_wrong_labkit_data_is_told_before_anything_is_downloaded(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = serve()
    monkeypatch.setenv("LABKIT_DATA", "/nowhere")
    with pytest.raises(DataError, match="LABKIT_DATA"):
        fetch("fashion-mnist")
    assert asked == []


@pytest.mark.parametrize("name", ["digits", "mnist"])
def test_only_what_has_a_full_set_is_fetched(name: str) -> None:
    with pytest.raises(UnknownNameError, match=f"unknown set to download '{name}'"):
        fetch(name)


def test_connections_get_a_time_limit_and_the_old_one_is_restored(serve: Serve) -> None:
    seen: list[float | None] = []
    serve(lambda _: seen.append(socket.getdefaulttimeout()))
    fetch("fashion-mnist")
    assert seen == [module.STALLED_S] * 4
    assert socket.getdefaulttimeout() is None


@pytest.fixture
def address(tmp_path: Path) -> Iterator[str]:
    """A web server on this machine that serves `served/` below the test's folder."""
    (tmp_path / "served").mkdir()
    handler = functools.partial(SimpleHTTPRequestHandler, directory=str(tmp_path / "served"))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()


def test_torchvision_downloads_checks_and_unpacks_a_file(tmp_path: Path, address: str) -> None:
    content = gzip.compress(b"idx")
    (tmp_path / "served" / "a.gz").write_bytes(content)
    module.download(f"{address}a.gz", tmp_path / "out", "a.gz", hashlib.md5(content).hexdigest())
    assert (tmp_path / "out" / "a").read_bytes() == b"idx"
    with pytest.raises(RuntimeError, match="corrupted"):
        module.download(f"{address}a.gz", tmp_path / "other", "a.gz", "0" * 32)


def test_a_server_without_the_set_is_a_sentence(cache: Path, address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from torchvision.datasets import FashionMNIST

    monkeypatch.setattr(FashionMNIST, "mirrors", [address, "http://127.0.0.1:9/"])  # one answers 404, one does not answer
    with pytest.raises(DataError, match=r"cannot be downloaded \(.*404.*; .*refused.*\)"):
        fetch("fashion-mnist")
    assert os.listdir(cache) == []
