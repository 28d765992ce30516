"""One server and one browser for all browser tests; a page that fails its test on any error or foreign request."""

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # for `benchmarks`, which is no installed package

from benchmarks import _browser, live

TOY_LABS = Path(__file__).with_name("toy_labs")
_REQUIRED = ("CI", "LABKIT_REQUIRE_BROWSER")
_MISSING = pytest.StashKey[str]()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.browser)


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    reason = config.stash.get(_MISSING, "")
    if reason:
        terminalreporter.write_sep("!", "NO BROWSER TEST WAS RUN", red=True, bold=True)
        terminalreporter.write_line(f"{reason}. With CI or LABKIT_REQUIRE_BROWSER set this is a failure.")


@pytest.fixture(scope="session")
def browser(request: pytest.FixtureRequest) -> Iterator[Any]:
    with ExitStack() as stack:
        try:
            found = stack.enter_context(_browser.running_browser())
        except _browser.NoBrowserError as error:
            if any(os.environ.get(name) for name in _REQUIRED):
                pytest.fail(f"browser tests are required here, but {error}", pytrace=False)
            request.config.stash[_MISSING] = str(error)
            pytest.skip(f"no browser: {error}")
        yield found


@pytest.fixture(scope="session")
def server(browser: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[_browser.Server]:
    """The toy labs, served."""
    with _browser.running_server(TOY_LABS, tmp_path_factory.mktemp("server") / "log.txt") as running:
        yield running


@pytest.fixture
def lab_page(browser: Any, server: _browser.Server) -> Iterator[Callable[..., Any]]:
    """Open a lab: `lab_page("01_toy", width="narrow", theme="dark")`; its page is closed after the test.

    A console error, an exception or a request to another host fails the test, unless `record.errors` was emptied.
    """
    with ExitStack() as stack:
        records: list[_browser.Record] = []

        def open_page(lab: str, *, width: str = "wide", theme: str = "light", **options: Any) -> Any:
            wide, high = _browser.WIDTHS[width]
            context = browser.new_context(viewport={"width": wide, "height": high}, color_scheme=theme, **options)
            stack.callback(context.close)
            record = _browser.Record()
            records.append(record)
            page = _browser.open_lab(context, server.lab(lab), record)
            page.labkit_record = record
            return page

        yield open_page
        for record in records:
            assert record.foreign(server) == set(), "a page asked another host"
            assert record.errors == []


@pytest.fixture(scope="module")
def lab_server(request: pytest.FixtureRequest, browser: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[_browser.Server]:
    """The lab that a module of tests is about, which its constant LAB names, as the real command serves it."""
    command = [sys.executable, "-m", "labkit", "lab", request.module.LAB, "--no-browser", "--port", "{port}"]
    folder = tmp_path_factory.mktemp(f"lab{request.module.LAB}")
    with _browser.running_server(folder, folder / "log.txt", command=command) as running:
        yield running


@pytest.fixture(scope="module")
def opened(request: pytest.FixtureRequest, browser: Any, lab_server: _browser.Server) -> Callable[..., Any]:
    """Open that lab and wait for its figures, of which the module's constant FIGURES says how many there are.

    `with opened(record, "narrow", "dark", link="#layer=fc") as page:`; `url` is of another server.
    """

    @contextmanager
    def open_page(record: _browser.Record, width: str = "wide", theme: str = "light", *, link: str = "", url: str = "") -> Iterator[Any]:
        wide, high = _browser.WIDTHS[width]
        context = browser.new_context(viewport={"width": wide, "height": high}, color_scheme=theme)
        try:
            page = context.new_page()
            record.watch(page)
            page.add_init_script(path=str(live.SCRIPT))
            page.goto(f"{url or lab_server.url}{link}", timeout=_browser.READY_TIMEOUT_MS)
            page.wait_for_selector("body.is-ready", timeout=_browser.READY_TIMEOUT_MS)
            there = "(n) => document.querySelectorAll('.bk-Figure').length === n"
            page.wait_for_function(there, arg=request.module.FIGURES, timeout=_browser.READY_TIMEOUT_MS)
            yield page
        finally:
            context.close()

    return open_page


@pytest.fixture(scope="module")
def record() -> _browser.Record:
    """What goes wrong on `page`, and whom it asks."""
    return _browser.Record()


@pytest.fixture(scope="module")
def page(opened: Callable[..., Any], record: _browser.Record) -> Iterator[Any]:
    """One page of that lab for the tests that only move its controls."""
    with opened(record) as made:
        yield made
