"""Download a full set to the user's cache: all of it or nothing, whatever stops it."""

import socket
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPException
from pathlib import Path

from labkit.core.errors import DataError, unknown_name
from labkit.core.progress import SILENT, Progress
from labkit.data import fashion_mnist

STALLED_S = 30.0
"""A server that sends nothing for so long is given up."""


def fetch(name: str, progress: Progress = SILENT) -> Path:
    """Download the full set `name`, unless it is there already.

    It is made in a temporary folder beside its place, read once, and renamed when it is complete and right.

    Args:
        name: "fashion-mnist"; the other sets are complete as they come.
        progress: hears of each file, and is asked before each whether to go on.

    Returns:
        The folder with the IDX files: the one that was found, or the new one.

    Raises:
        UnknownNameError: there is nothing to download under that name.
        DataError: it cannot be downloaded or written, or is not what it should be; nothing is left behind.
        Cancelled: between two files, when `progress` says so; nothing is left behind.
    """
    if name != "fashion-mnist":
        raise unknown_name("set to download", name, ["fashion-mnist"])
    found = fashion_mnist.find_full()
    if found is not None:
        progress.begin(f"{name} is already there")
        progress.step(1, 1)
        return found
    raw = fashion_mnist.user_folder()
    progress.begin(f"downloading {name}")
    try:
        _fetch_into(raw.parents[1], progress)
    except OSError as error:
        raise DataError(f"{name} cannot be put into {raw} ({error}): make room there, or set XDG_CACHE_HOME to another folder") from error
    return raw


def _fetch_into(root: Path, progress: Progress) -> None:
    """Download to a torchvision root; `root`/FashionMNIST appears complete or not at all."""
    root.mkdir(parents=True, exist_ok=True)
    target = root / "FashionMNIST"
    with tempfile.TemporaryDirectory(prefix=".fetch-", dir=root) as folder:
        fresh = Path(folder) / "FashionMNIST"
        _download_all(fresh / "raw", progress)
        fashion_mnist.read_full(fresh / "raw")
        fashion_mnist.read_split(fresh / "raw", "test")
        if target.exists():  # an incomplete one, or it would have been found
            target.rename(Path(folder) / "old")
        fresh.rename(target)


def _download_all(folder: Path, progress: Progress) -> None:
    from torchvision.datasets import FashionMNIST

    for done, (file, md5) in enumerate(FashionMNIST.resources):
        progress.step(done, len(FashionMNIST.resources))
        reasons = []
        for mirror in FashionMNIST.mirrors:
            try:
                with _stalls_noticed():
                    download(f"{mirror}{file}", folder, file, md5)
                break
            except (RuntimeError, OSError, HTTPException) as error:  # URLError and time-outs are OSErrors
                reasons.append(str(error))
        else:
            raise DataError(
                f"{file} of Fashion-MNIST cannot be downloaded ({'; '.join(reasons)}): look at the network connection and try again; "
                "labs run without it"
            )
    progress.step(len(FashionMNIST.resources), len(FashionMNIST.resources))


def download(url: str, folder: Path, file: str, md5: str) -> None:
    """Download one file by torchvision, check it and unpack it beside itself."""
    from torchvision.datasets.utils import download_and_extract_archive

    download_and_extract_archive(url, download_root=str(folder), filename=file, md5=md5)


@contextmanager
def _stalls_noticed() -> Iterator[None]:
    """Give connections that are opened meanwhile a time limit, which torchvision cannot be told."""
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(STALLED_S)
    try:
        yield
    finally:
        socket.setdefaulttimeout(before)
