"""Freed memory goes back to the system, where the C library can do that."""

import ctypes
import re
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from labkit.core.memory import give_back

BLOCK, COUNT = 100_000, 400  # bytes, so small that glibc keeps each in its heap


def resident_kb() -> int:
    return int(re.search(r"VmRSS:\s+(\d+)", Path("/proc/self/status").read_text())[1])


@pytest.mark.skipif(
    sys.platform != "linux" or not hasattr(ctypes.CDLL(None), "malloc_trim"), reason="only glibc keeps, and gives back on request"
)
def test_what_was_freed_is_given_back():
    kept = [bytearray(BLOCK) for _ in range(COUNT)]
    last = bytearray(BLOCK)  # above the others, so that freeing them leaves a hole in the heap
    full = resident_kb()
    kept.clear()
    before = resident_kb()
    give_back()
    assert before - resident_kb() > COUNT * BLOCK / 1024 / 2 or full - resident_kb() > COUNT * BLOCK / 1024 / 2
    assert len(last) == BLOCK


def test_a_c_library_without_the_call_is_left_alone(monkeypatch):
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setattr(ctypes, "CDLL", lambda name: SimpleNamespace())
    give_back()


def test_elsewhere_nothing_happens(monkeypatch):
    monkeypatch.setattr(sys, "platform", "win32")
    monkeypatch.setattr(ctypes, "CDLL", None)
    give_back()
