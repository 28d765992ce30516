"""The page around a lab, on notebooks that have one of everything a lab has."""

import os
import signal
from pathlib import Path

import pytest

from benchmarks import _browser

HANDLE = ".toy-slider [role=slider]"
FIGURE_TOP = "() => Bokeh.documents[0].roots()[0].renderers[0].data_source.get_array('y')[2]"
SIDEWAYS = "() => document.documentElement.scrollWidth - document.documentElement.clientWidth"
BACKGROUND = "() => getComputedStyle(document.documentElement).backgroundColor"


@pytest.fixture
def toy(lab_page):
    """A page of its own, for a test that ends it."""
    page = lab_page("01_toy")
    page.wait_for_selector(".bk-Figure")
    return page


@pytest.fixture(scope="module")
def shared(browser, server):
    """One page for the tests that move its slider or only look."""
    context = browser.new_context(viewport={"width": 1280, "height": 900}, color_scheme="light")
    record = _browser.Record()
    page = _browser.open_lab(context, server.lab("01_toy"), record)
    page.labkit_record = record
    page.wait_for_selector(".bk-Figure")
    yield page
    context.close()
    assert record.foreign(server) == set()
    assert record.errors == []


def test_a_slider_moves_label_figure_and_canvas(shared):
    canvas = shared.locator("canvas.toy-canvas")
    shared.locator(HANDLE).press("Home")
    shared.wait_for_function("() => document.querySelector('canvas.toy-canvas').dataset.value === '0'")
    before = canvas.evaluate("node => node.toDataURL()")
    shared.locator(HANDLE).press("ArrowRight")
    shared.wait_for_function("() => document.querySelector('.toy-label').textContent.includes('value 1')")
    shared.wait_for_function(f"() => ({FIGURE_TOP})() === 3")
    shared.wait_for_function("() => document.querySelector('canvas.toy-canvas').dataset.value === '1'")
    assert canvas.evaluate("node => node.toDataURL()") != before


def test_the_figure_is_repainted_and_not_only_its_data(shared):
    plot = shared.locator(".bk-Figure canvas").first
    shared.locator(HANDLE).press("Home")
    shared.wait_for_function(f"() => ({FIGURE_TOP})() === 0")
    shared.wait_for_timeout(300)
    before = plot.evaluate("node => node.toDataURL()")
    shared.locator(HANDLE).press("End")
    shared.wait_for_function(f"() => ({FIGURE_TOP})() === 300")
    shared.wait_for_timeout(300)
    assert plot.evaluate("node => node.toDataURL()") != before


def test_time_is_measured_inside_the_page(shared):
    shared.locator(HANDLE).press("Home")
    times = _browser.key_to_change(shared, HANDLE, "ArrowRight", ".toy-label", times=5)
    assert len(times) == 5
    assert all(0 < each < 5000 for each in times)
    canvas = _browser.key_to_change(shared, HANDLE, "ArrowRight", "canvas.toy-canvas")
    assert 0 < canvas[0] < 5000


def test_bokeh_is_loaded_once_and_from_here(shared):
    loaded = [url for url in shared.labkit_record.requests if "bokeh" in url and "jupyter_bokeh" not in url]
    assert len(loaded) == 1
    assert loaded[0].endswith("/page/bokeh.min.js")


def test_a_second_visit_asks_for_pages_and_messages_only(browser, server):
    context = browser.new_context()
    try:
        first = _browser.open_lab(context, server.lab("01_toy"))
        first.wait_for_load_state("networkidle")  # the front end fetches parts of itself after the widgets are there
        first.close()
        page = context.new_page()
        fetched = []
        page.on("response", lambda answer: fetched.append(answer))
        page.goto(server.lab("01_toy"), timeout=_browser.READY_TIMEOUT_MS)
        page.wait_for_selector("body.is-ready", timeout=_browser.READY_TIMEOUT_MS)
        fresh = page.evaluate(
            "() => performance.getEntriesByType('resource').filter(each => each.transferSize > 0).map(each => new URL(each.name).pathname)"
        )
        assert [path for path in fresh if not path.startswith(("/api/kernels/", "/pulse/"))] == []
        assert len(fetched) > 20
    finally:
        context.close()


def test_the_page_has_landmarks_names_and_language(toy):
    assert toy.title() == "A toy lab · labkit"
    assert toy.locator("html").get_attribute("lang") == "en"
    assert toy.locator("main").count() == 1
    assert toy.locator("main .toy-slider").count() == 1
    assert toy.locator("h1").all_inner_texts() == ["A toy lab"]
    assert toy.locator(HANDLE).get_attribute("aria-label") == "share"
    toy.keyboard.press("Tab")
    assert toy.evaluate("() => document.activeElement.textContent") == "Skip to the lab"
    toy.keyboard.press("Enter")
    assert toy.evaluate("() => document.activeElement.id") == "lk-main"


def test_dark_follows_the_system_and_a_choice_stays(lab_page):
    light, dark = lab_page("01_toy"), lab_page("01_toy", theme="dark")
    assert light.evaluate(BACKGROUND) != dark.evaluate(BACKGROUND)
    assert dark.locator("body").get_attribute("data-jp-theme-light") == "false"
    light.emulate_media(color_scheme="dark")
    light.wait_for_function(f"wanted => ({BACKGROUND})() === wanted", arg=dark.evaluate(BACKGROUND))
    before = dark.evaluate(BACKGROUND)
    dark.get_by_role("button", name="Light").click()
    assert dark.evaluate(BACKGROUND) != before
    dark.reload()
    assert dark.evaluate(BACKGROUND) != before


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("width", ["wide", "narrow"])
def test_the_pieces_fit_without_scrolling_sideways(lab_page, width, theme):
    page = lab_page("03_pieces", width=width, theme=theme)
    page.wait_for_function("() => document.querySelectorAll('.bk-Figure').length === 2")
    _browser.shot(page, f"pieces-{width}-{theme}")
    assert page.evaluate(SIDEWAYS) <= 0
    too_wide = """() => [...document.querySelectorAll('.lk-lab *')].filter(
        node => node.getBoundingClientRect().right > innerWidth + 1).map(node => node.className)"""
    assert page.evaluate(too_wide) == []


def test_less_motion_is_less_motion(lab_page):
    page = lab_page("03_pieces", reduced_motion="reduce")
    assert page.locator(".is-refining").evaluate("node => getComputedStyle(node).animationName") == "none"


def test_refining_looks_different_from_settled(lab_page):
    page = lab_page("03_pieces")
    style = "node => { const s = getComputedStyle(node); return [s.color, s.fontStyle, s.fontWeight].join(); }"
    settled, refining = page.locator(".lk-value").first.evaluate(style), page.locator(".is-refining .lk-value").evaluate(style)
    assert settled != refining


def test_no_source_reaches_the_page(shared):
    assert "SECRET_OF_THE_SOURCE" not in shared.content()


def test_a_failing_cell_leaves_what_was_before_it_and_a_sentence(lab_page):
    page = lab_page("02_failing")
    page.wait_for_selector("p.before")
    assert page.get_by_text("This part of the lab could not be computed").is_visible()
    for secret in ("the secret is 42", "ValueError", "Traceback"):
        assert secret not in page.content()
    _browser.shot(page, "failing")


def test_a_killed_kernel_shows_a_banner_whose_button_reloads(toy, server):
    kernel = toy.evaluate("() => JSON.parse(document.getElementById('jupyter-config-data').textContent).kernelId")
    os.kill(process_of(kernel), signal.SIGKILL)
    banner = toy.locator(".lk-banner")
    banner.wait_for(state="visible", timeout=15_000)
    assert "kernel stopped" in banner.inner_text()
    _browser.shot(toy, "stopped")
    toy.labkit_record.errors.clear()  # the front end says that its line is dead
    banner.get_by_role("button", name="Reload").click()
    toy.wait_for_selector("body.is-ready", timeout=_browser.READY_TIMEOUT_MS)
    assert not toy.locator(".lk-banner").is_visible()
    toy.locator(HANDLE).press("ArrowRight")
    toy.wait_for_function("() => document.querySelector('.toy-label').textContent.includes('value 11')")
    toy.labkit_record.errors.clear()


def test_a_closed_tab_ends_its_kernel(toy):
    kernel = toy.evaluate("() => JSON.parse(document.getElementById('jupyter-config-data').textContent).kernelId")
    process = process_of(kernel)
    other = toy.context.new_page()
    toy.close(run_before_unload=True)
    for _ in range(100):
        if not _running(process):
            return
        other.wait_for_timeout(100)
    pytest.fail("the kernel of a closed tab still runs after 10 s")


def test_without_javascript_the_page_says_so(browser, server):
    context = browser.new_context(java_script_enabled=False)
    try:
        page = context.new_page()
        page.goto(server.lab("01_toy"))
        assert "it needs JavaScript" in page.locator("noscript p").inner_text()
        assert page.locator("noscript p").bounding_box()["height"] > 20
        assert page.locator("#lk-loading").bounding_box() is None
        _browser.shot(page, "no-javascript")
    finally:
        context.close()


def process_of(kernel):
    """Process id of a kernel, by its own name if it was forked, else by that of its connection file."""
    for line in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if line.with_name("comm").read_text().strip() == f"labkit {kernel[:8]}" or f"kernel-{kernel}.json" in line.read_text():
                return int(line.parent.name)
        except OSError:
            continue
    raise LookupError(f"no process of kernel {kernel}")


def _running(process):
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False
