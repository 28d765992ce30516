"""A panel of lab 02 on the tiny digits network, which trains and is measured in moments."""

from collections.abc import Iterator
from functools import cache

import pytest

from labkit.panels.pruning_granularity import PruningGranularity, State
from labkit.workbench import Workbench


@pytest.fixture(scope="session")
def benches():
    return cache(Workbench)


@pytest.fixture
def panel(benches) -> Iterator[PruningGranularity]:
    made = PruningGranularity(State(network="digits-small"), cache(Workbench), ("digits-small",))
    yield made
    made.close()
