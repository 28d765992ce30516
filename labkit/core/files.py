"""Write files so that a kill at any moment leaves the old one or the new one, never a half."""

import os
import stat
import threading
from contextlib import suppress
from pathlib import Path

from labkit.core.errors import FileFormatError


def write_atomic(path: Path, content: bytes) -> None:
    """Write `content` to `path` by way of a neighbour that is renamed when it is complete.

    Raises:
        FileFormatError: the folder is missing or cannot be written to.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}-{threading.get_ident()}.part")
    try:
        _write(temporary, content)
        os.replace(temporary, path)
    except OSError as error:
        raise FileFormatError(f"{path} cannot be written: {error.strerror or error}") from error
    finally:
        with suppress(OSError):  # renamed, or never made
            temporary.unlink()


def _write(path: Path, content: bytes) -> None:
    with path.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def read_limited(path: Path, most_bytes: int) -> bytes:
    """Read a file of at most `most_bytes`.

    Raises:
        FileFormatError: it is missing, cannot be read, is larger, or is no ordinary file: a device never ends.
    """
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            raise FileFormatError(f"{path} cannot be read: it is not an ordinary file")
        with path.open("rb") as file:
            content = file.read(most_bytes + 1)
    except OSError as error:
        raise FileFormatError(f"{path} cannot be read: {error.strerror or error}") from error
    if len(content) > most_bytes:
        raise FileFormatError(f"{path} has more than {most_bytes} bytes, the most that labkit reads here")
    return content
