"""Where compiled kernels are kept: in a folder named by everything that they depend on.

Numba notices a change in the file of a kernel but not in a file that this one imports. So the folder's name is a hash of
all files here, of Numba's version and of the processor's features; a change of any starts a fresh folder.
Numba's cache holds pickles: a folder that somebody else can write to is not used.
"""

import hashlib
import os
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numba
from numba import njit
from numba.core.registry import cpu_target


def stamp(kernels: Path) -> str:
    """Return the hash that names the cache for the kernels in a folder, on this processor."""
    digest = hashlib.sha256(repr((numba.__version__, sys.version_info[:2], cpu_target.target_context.codegen().magic_tuple())).encode())
    for file in sorted(kernels.glob("*.py")):
        digest.update(file.name.encode() + b"\0" + file.read_bytes() + b"\0")
    return digest.hexdigest()[:16]


@cache
def folder() -> Path | None:
    """Return the folder that compiled kernels are kept in; None where there is no place that only this user can write to."""
    home = Path.home() / ("Library/Caches" if sys.platform == "darwin" else ".cache")
    path = Path(os.environ.get("XDG_CACHE_HOME") or home) / "labkit" / f"kernels-{stamp(Path(__file__).parent)}"
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        facts = path.stat()
    except OSError:
        return None
    private = not hasattr(os, "getuid") or (facts.st_uid == os.getuid() and not facts.st_mode & 0o022)
    return path if private and os.access(path, os.W_OK) else None


def kernel(function: Callable[..., Any]) -> Any:
    """Compile a function on its first call: without the interpreter's lock, and kept in `folder()`.

    Sums keep their order; only a product and a sum may be fused, and the sign of a zero may change.
    """
    config: Any = numba.config  # its settings are made when it is imported
    before, place = config.CACHE_DIR, folder()
    try:
        config.CACHE_DIR = str(place or "")
        return njit(function, cache=place is not None, nogil=True, fastmath={"contract", "nsz"})
    finally:
        config.CACHE_DIR = before
