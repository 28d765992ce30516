"""Compile all kernels ahead, so that nobody waits for it in a lab."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from labkit.core.progress import SILENT, Progress
from labkit.runtime.kernels._cache import folder
from labkit.runtime.kernels._simd import aligned
from labkit.runtime.kernels.interpret import COLUMNS, interpret
from labkit.runtime.kernels.lanes import gather, scatter


def warm(progress: Progress = SILENT) -> Path | None:
    """Compile every kernel, or load it from the cache.

    Args:
        progress: told of each kernel.

    Returns:
        The folder where the compiled kernels are kept; None where there is none, so that each process compiles again.
    """
    progress.begin("compiling kernels")
    arena, outside, geometry = aligned(16), np.zeros(1, np.float32), np.zeros(10, np.int64)
    geometry[6] = 1  # floats an image; no channels, so nothing is copied
    weights = (np.zeros(1, np.int64), np.zeros(0, np.int32), np.zeros(0, np.float32), np.zeros(0, np.float32))
    calls: tuple[Callable[[], Any], ...] = (
        lambda: gather(outside, arena, geometry, 0),
        lambda: scatter(arena, outside, geometry, 0),
        lambda: interpret(arena, np.zeros((0, COLUMNS), np.int64), np.zeros((0, 2), np.float32), *weights),
    )
    for n, call in enumerate(calls):
        progress.step(n, len(calls))
        call()
    progress.step(len(calls), len(calls))
    return folder()
