"""Write files so that a kill at any moment leaves the old one or the new one, never a half."""

import os
from pathlib import Path

from labkit.core.errors import FileFormatError


def write_atomic(path: Path, content: bytes) -> None:
    """Write `content` to `path` by way of a neighbour that is renamed when it is complete.

    Raises:
        FileFormatError: the folder is missing or cannot be written to.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        _write(temporary, content)
        os.replace(temporary, path)
    except OSError as error:
        raise FileFormatError(f"{path} cannot be written: {error.strerror or error}") from error
    finally:
        temporary.unlink(missing_ok=True)


def _write(path: Path, content: bytes) -> None:
    with path.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def read_limited(path: Path, most_bytes: int) -> bytes:
    """Read a file of at most `most_bytes`.

    Raises:
        FileFormatError: it is missing, cannot be read or is larger.
    """
    try:
        size = path.stat().st_size
        if size > most_bytes:
            raise FileFormatError(f"{path} has {size} bytes: labkit reads at most {most_bytes} here")
        return path.read_bytes()
    except OSError as error:
        raise FileFormatError(f"{path} cannot be read: {error.strerror or error}") from error
