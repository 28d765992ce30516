"""What leads through a lab and what brings it back, in Chromium: address, memory, steps, guess, challenge, About."""

import json

import nbformat
import pytest

from benchmarks import _browser

LAB = """
import os
import ipywidgets
from labkit.panels.pruning_granularity import PruningGranularity, State

end = ipywidgets.Button(description="End the kernel")
end.on_click(lambda _: os.kill(os.getpid(), 9))
ipywidgets.VBox([PruningGranularity(State(network="digits-small"), networks=("digits-small", "lenet-300-100")).widget, end])
"""
LIVE_MS = 60_000
KEY = "labkit.lab.1.02_pruning_granularity"
SETTLED = "() => document.querySelector('.lk-score:nth-child(4)').textContent.includes('images')"
STATE = "layer=fc&prune.granularity=channel&prune.ratio.sparsity=0.377&prune.scope=global&prune.p=2.5&tune.epochs=3&tune.lr_factor=0.05"
SHOWN = """() => ({
  controls: [...document.querySelectorAll('.lk-controls :is(select, .widget-readout)')].map((each) => each.value ?? each.textContent),
  top: [...document.querySelectorAll('.lk-top select')].map((each) => each.value),
  mask: document.querySelector('.lk-raster canvas').ariaLabel,
  summaries: [...document.querySelectorAll('.lk-views .lk-summary')].slice(0, 3).map((each) => each.textContent),
  size: document.querySelector('.lk-score:nth-child(2)').textContent,
})"""
HOSTILE = [
    "#network=<script>window.bad=1</script>&layer=%3Cimg%20src=x%20onerror=window.bad=1%3E",
    "#prune.__class__.__init__.__globals__=1&__class__=x&constructor.prototype.bad=1",
    "#prune.ratio.sparsity=NaN&prune.p=1e999&tune.epochs=0x10&is_tuned=maybe",
    "#%zz%00%ff=%&&&===&prune.granularity=%F0%9F%92%A5&" + "a." * 300,
    "#prune.ratio.sparsity=0.8&prune.ratio.sparsity=" + "9" * 20_000,
]


@pytest.fixture(scope="module")
def labs(browser, tmp_path_factory):
    folder = tmp_path_factory.mktemp("anatomy")
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_markdown_cell("# Quick"), nbformat.v4.new_code_cell(LAB)])
    notebook.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3", "language": "python"}
    nbformat.write(notebook, folder / "01_quick.ipynb")
    with _browser.running_server(folder, folder / "log.txt") as running:
        yield running


@pytest.fixture
def record():
    return _browser.Record()


@pytest.fixture(scope="module")
def context(browser):
    made = browser.new_context(viewport={"width": 1280, "height": 900}, permissions=["clipboard-read", "clipboard-write"])
    yield made
    made.close()


@pytest.fixture(scope="module")
def page(context, labs):
    """One page for the tests that only move what is on it; what it asked and what went wrong is in `labkit_record`."""
    record = _browser.Record()
    made = opened(context, labs.url, record)
    made.labkit_record = record
    yield made
    assert record.errors == []
    assert record.foreign(labs) == set()
    made.close()


def opened(context, url, record):
    page = _browser.open_lab(context, url, record)
    page.wait_for_selector(".lk-raster canvas[aria-label]", timeout=_browser.READY_TIMEOUT_MS)
    return page


def settle(page):
    page.wait_for_function(SETTLED, timeout=LIVE_MS)


def address(page):
    return page.url.partition("#")[2]


def at_address(page, words):
    page.wait_for_function("(words) => location.hash === (words && '#' + words)", arg=words, timeout=LIVE_MS)


def status_says(page, words):
    page.wait_for_function("(words) => document.querySelector('.lk-status').textContent.includes(words)", arg=words, timeout=LIVE_MS)


def go(page, words):
    page.evaluate("(words) => { location.hash = words; }", words)


def test_a_link_restores_the_whole_state_and_is_copied(page, labs, browser, record):
    go(page, STATE)
    page.wait_for_function("() => document.querySelector('.lk-raster canvas').ariaLabel.startsWith('fc: 10')", timeout=LIVE_MS)
    settle(page)
    page.get_by_role("button", name="Copy link").click()
    status_says(page, "Link copied")
    link = page.evaluate("() => navigator.clipboard.readText()")
    assert link == f"{labs.lab('01_quick')}#{STATE}"
    shown = page.evaluate(SHOWN)
    assert shown["controls"][:4] == ["38%", "channel", "global", "2.5"]
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    try:
        other = opened(context, link, record)
        other.wait_for_function("() => document.querySelector('.lk-raster canvas').ariaLabel.startsWith('fc: 10')", timeout=LIVE_MS)
        settle(other)
        assert other.evaluate(SHOWN) == shown
        assert address(other) == STATE
        assert record.errors == []
    finally:
        context.close()


def test_the_address_follows_the_slider_and_reset_empties_it(page):
    go(page, "prune.ratio.sparsity=0.2")
    page.wait_for_function("() => document.querySelector('.lk-controls .widget-readout').textContent === '20%'", timeout=LIVE_MS)
    page.evaluate(
        "() => { window.writes = 0; const old = history.replaceState; history.replaceState = function (...words) { window.writes++; return old.apply(this, words); }; }"
    )
    slider = page.locator(".lk-controls [role=slider]").first
    for _ in range(20):
        slider.press("ArrowRight")
    at_address(page, "prune.ratio.sparsity=0.4")
    assert page.evaluate("() => window.writes") <= 12, "the address is written while the slider moves"
    page.get_by_role("button", name="Reset").click()
    at_address(page, "")
    assert "#" not in page.url


def test_hostile_addresses_are_harmless_and_told(page):
    for words in HOSTILE:
        go(page, words)
        status_says(page, "Not all of the link could be followed")
        page.get_by_role("button", name="Reset").click()
        at_address(page, "")
    assert page.evaluate("() => window.bad") is None
    assert page.locator(".lk-status script, .lk-status img").count() == 0


def test_a_step_ticks_is_told_and_remembered(page):
    tick = page.locator(".lk-steps li").first
    height = page.locator(".lk-steps").bounding_box()["height"]
    go(page, "prune.ratio.sparsity=0.7")
    page.wait_for_selector(".lk-steps li.is-done", timeout=LIVE_MS)
    assert "Done:" in tick.inner_text()
    assert page.locator(".lk-steps").bounding_box()["height"] == height
    assert "Step done" in page.locator(".lk-said").inner_text()
    assert page.locator(".lk-said").get_attribute("role") == "status"
    kept = json.loads(page.evaluate("(key) => localStorage.getItem(key)", KEY))
    assert "half_is_free" in kept["steps"]
    assert kept["total"] == 5


def test_the_guess_is_revealed_beside_what_was_measured(page):
    assert "Measured" not in page.locator(".lk-answer").inner_text()
    page.locator(".lk-guess [role=slider]").press("End")
    page.get_by_role("button", name="Show me").click()
    page.wait_for_function("() => document.querySelector('.lk-answer').textContent.includes('You guessed 100 %')", timeout=LIVE_MS)
    assert "points lower" in page.locator(".lk-answer").inner_text()
    assert page.locator(".lk-line[role=img]").get_attribute("aria-label").startswith("You guessed 100 %")
    assert page.locator(".lk-controls select").first.input_value() == "channel"


def test_the_challenge_fills_and_an_attempt_brings_its_setting_back(page):
    go(page, "prune.ratio.sparsity=0.3")
    page.wait_for_selector(".lk-verdict.is-met", timeout=LIVE_MS)
    assert page.locator(".lk-gauge[aria-valuenow='100']").count() == 2
    page.get_by_role("button", name="Reset").click()
    at_address(page, "")
    page.locator(".lk-attempts button").first.click()
    at_address(page, "prune.ratio.sparsity=0.3")
    assert json.loads(page.evaluate("(key) => localStorage.getItem(key)", KEY))["met"] is True


def test_about_is_opened_by_keyboard_and_filled_then(page):
    assert page.locator(".lk-about-body").inner_text() == ""
    summary = page.locator(".lk-about summary").first
    summary.focus()
    summary.press("Enter")
    page.get_by_text("Where the usual account is wrong").wait_for(timeout=LIVE_MS)
    assert page.evaluate("() => document.activeElement.textContent.startsWith('About')")
    page.locator(".lk-about-body summary").first.click()
    assert page.locator(".lk-about-body pre").first.is_visible()


def test_after_the_kernel_died_a_reload_brings_the_state_back(context, labs, record):
    page = opened(context, labs.url + "#" + STATE, record)
    at_address(page, STATE)
    settle(page)
    page.locator(".lk-top select").first.select_option("lenet-300-100")
    page.wait_for_function("() => location.hash.includes('network=lenet-300-100')", timeout=LIVE_MS)
    before = address(page)
    shown = page.evaluate(SHOWN)
    page.get_by_role("button", name="End the kernel").click()
    banner = page.locator(".lk-banner")
    banner.wait_for(state="visible", timeout=LIVE_MS)
    banner.get_by_role("button", name="Reload").click()
    page.wait_for_selector("body.is-ready", timeout=_browser.READY_TIMEOUT_MS)
    page.wait_for_function("(mask) => document.querySelector('.lk-raster canvas')?.ariaLabel === mask", arg=shown["mask"], timeout=LIVE_MS)
    settle(page)
    assert page.evaluate(SHOWN)["controls"] == shown["controls"]
    assert page.evaluate(SHOWN)["top"] == shown["top"]
    assert address(page) == before
    assert page.locator(".lk-steps li.is-done").count() >= 1, "the browser remembers what was done"
    page.close()


def test_a_browser_that_keeps_nothing_has_the_whole_lab(browser, labs, record):
    context = browser.new_context(viewport={"width": 390, "height": 844})
    context.add_init_script("Object.defineProperty(window, 'localStorage', { get() { throw new DOMException('off', 'SecurityError'); } });")
    try:
        page = opened(context, labs.url + "#prune.ratio.sparsity=0.8", record)
        page.wait_for_selector(".lk-steps li.is-done", timeout=LIVE_MS)
        at_address(page, "prune.ratio.sparsity=0.8")
        assert page.evaluate("() => document.documentElement.scrollWidth - document.documentElement.clientWidth") <= 0
        assert record.errors == []
    finally:
        context.close()
