from collections.abc import Iterator

import pytest
import torch
from hypothesis import settings

settings.register_profile("labkit")  # a busy machine is no defect
settings.load_profile("labkit")


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    """Keep small work on one thread: on a busy machine threads wait for each other longer than they compute."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)
