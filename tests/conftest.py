"""What every test may use."""

import os
from pathlib import Path

import pytest
import torch

from tests.browsers import find_chromium

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="session")
def root() -> Path:
    """The repository."""
    return ROOT


@pytest.fixture(scope="session")
def chromium() -> Path:
    """A Chromium to drive. Without one the test is skipped, but fails where CI is set: there nothing may be left out."""
    found = find_chromium()
    if found is not None:
        return found
    reason = "no Chromium was found: install one, name it with LABKIT_CHROMIUM, or run `playwright install chromium`"
    if os.environ.get("CI"):
        pytest.fail(reason)
    pytest.skip(reason)


@pytest.fixture(autouse=True)
def _one_state_of_torch() -> object:
    """Give each test torch's global generator and thread count as they were, so that no test depends on another."""
    threads = torch.get_num_threads()
    with torch.random.fork_rng():
        yield
    torch.set_num_threads(threads)
