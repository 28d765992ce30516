"""Randomness that is handed in: every random draw in labkit comes from a generator made here."""

import hashlib
import operator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Generator


def generator(seed: int, *purpose: str) -> "Generator":
    """Make a torch generator for one purpose, independent of those for other purposes under the same seed.

    Args:
        seed: the run's seed.
        purpose: words that name the use ("init", "shuffle"), so that adding a use never shifts another's draws.
    """
    import torch

    seed = operator.index(seed)  # NumPy's 3 must draw what Python's 3 draws
    digest = hashlib.sha256(repr((seed, purpose)).encode()).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest[:7], "big"))
