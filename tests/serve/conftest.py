import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # for `benchmarks`, which is no installed package

from benchmarks import _browser

TOY_LABS = Path(__file__).resolve().parents[1] / "browser" / "toy_labs"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[_browser.Server]:
    with _browser.running_server(TOY_LABS, tmp_path_factory.mktemp("server") / "log.txt") as running:
        yield running
