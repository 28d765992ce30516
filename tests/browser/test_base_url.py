"""The labs under a path, as behind a proxy that hands requests on with their whole path."""

from urllib.parse import urlsplit

import pytest

from benchmarks import _browser

HANDLE = ".toy-slider [role=slider]"
PREFIX = "/user/a.b+c%40d/labkit/"


@pytest.fixture(scope="module")
def prefixed(browser, tmp_path_factory):
    with _browser.running_server(
        _browser.ROOT / "tests" / "browser" / "toy_labs", tmp_path_factory.mktemp("prefixed") / "log.txt", base_url=PREFIX
    ) as server:
        yield server


def test_everything_is_under_the_path(browser, prefixed):
    context = browser.new_context()
    try:
        record = _browser.Record()
        page = _browser.open_lab(context, prefixed.url, record)
        sockets = []
        page.on("websocket", lambda each: sockets.append(each.url))
        page.reload()
        page.wait_for_selector("body.is-ready")
        record.errors.clear()  # the page that went says that its line is dead
        assert page.url == prefixed.lab("01_toy")
        page.locator(HANDLE).press("ArrowRight")
        page.wait_for_function("() => document.querySelector('.toy-label').textContent.includes('value 11')")
        page.wait_for_selector(".bk-Figure")
        page.wait_for_timeout(6000)  # one pulse
        asked = [urlsplit(url) for url in record.requests + sockets]
        assert sockets
        assert [each.geturl() for each in asked if each.scheme not in ("data", "blob") and not each.path.startswith(PREFIX)] == []
        assert any("/pulse/" in each.path for each in asked)
        assert record.foreign(prefixed) == set()
        assert record.errors == []
        page.locator(".lk-brand").click()
        page.wait_for_selector("body.is-ready")
        assert page.url == prefixed.lab("01_toy")
        record.errors.clear()
    finally:
        context.close()


def test_the_path_leads_to_the_labs_without_its_last_slash_too(browser, prefixed):
    context = browser.new_context()
    try:
        page = context.new_page()
        page.goto(prefixed.url.rstrip("/"), wait_until="commit")
        assert page.url == prefixed.lab("01_toy")
        page.goto(f"{prefixed.url}labs/1", wait_until="commit")
        assert page.url == prefixed.lab("01_toy")
        answer = page.goto(prefixed.url.replace(PREFIX, "/labs/01_toy"))
        assert answer.status == 404
    finally:
        context.close()
