"""Memory that was freed, back to the system: the C library of most Linux systems keeps it for a next time that may not come."""

import ctypes
import sys


def give_back() -> None:
    """Return to the system what this process has freed; a few milliseconds. Does nothing where the C library has no such call."""
    if sys.platform == "linux":
        trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # glibc's own, musl has none
        if trim is not None:
            trim(ctypes.c_size_t(0))
