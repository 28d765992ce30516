"""Lab 01 as a learner has it: the real command, the real notebook, this machine's roof, and Chromium."""

import sys

from benchmarks import _browser, live

SIDEWAYS = "() => document.documentElement.scrollWidth - document.documentElement.clientWidth"
SUMMARIES = ".lk-views .lk-summary"
COMMAND = [sys.executable, "-m", "labkit", "lab", "01", "--no-browser", "--port", "{port}"]


def test_the_lab_models_at_once_measures_its_roof_and_keeps_its_state_in_the_address(browser, tmp_path):
    with _browser.running_server(tmp_path, tmp_path / "log.txt", command=COMMAND) as server:
        wide, high = _browser.WIDTHS["wide"]
        context = browser.new_context(viewport={"width": wide, "height": high})
        try:
            page, record = context.new_page(), _browser.Record()
            record.watch(page)
            page.goto(server.url, timeout=_browser.READY_TIMEOUT_MS)
            page.wait_for_selector("body.is-ready", timeout=_browser.READY_TIMEOUT_MS)
            page.wait_for_function("() => document.querySelectorAll('.bk-Figure').length === 3", timeout=_browser.READY_TIMEOUT_MS)
            assert page.locator("h1").inner_text().startswith("Why small")
            assert "DRAM takes 98%" in page.locator(SUMMARIES).first.inner_text()
            page.wait_for_function("() => !document.querySelector('.lk-score.is-refining')", timeout=60_000)
            assert "Measured, one thread" in page.locator(SUMMARIES).last.inner_text()
            for _ in range(2):
                page.locator(live.SLIDER).first.press("ArrowLeft")
            page.get_by_label("batch", exact=True).select_option("64")
            page.wait_for_function("() => location.hash === '#network.width=0.5&chip.batch=64'")
            page.wait_for_function("() => !document.querySelector('.lk-score.is-refining')", timeout=60_000)
            shown = page.locator(SUMMARIES).first.inner_text()
            assert "nobody has trained" in page.locator(".lk-score").first.inner_text()
            page.reload()
            page.wait_for_selector("body.is-ready", timeout=_browser.READY_TIMEOUT_MS)
            page.wait_for_function(f"(old) => document.querySelector('{SUMMARIES}')?.innerText === old", arg=shown)
            page.set_viewport_size({"width": _browser.WIDTHS["narrow"][0], "height": high})
            page.wait_for_function(f"() => ({SIDEWAYS})() <= 0")
            assert record.foreign(server) == set()
            assert record.errors == []
        finally:
            context.close()
