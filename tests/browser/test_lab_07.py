"""Lab 07 as a learner has it: the real command, the real notebook, kernels that are compiled and timed here, and Chromium."""

import pytest

from benchmarks import _browser, live

SIDEWAYS = "() => document.documentElement.scrollWidth - document.documentElement.clientWidth"
SETTLED = "() => !document.querySelector('.lk-score.is-refining')"
SETTLED_MS = 90_000
SUMMARIES = ".lk-views .lk-summary"
SWEEP = "() => !document.querySelector('.lk-job button').disabled"
LAB, FIGURES = "07", 6
FORMATS, PLANE, SWEPT, TIMES, WALK = range(5)


def said(page, view: int) -> str:
    return page.locator(SUMMARIES).nth(view).inner_text()


def settled(page) -> None:
    page.wait_for_timeout(300)
    page.wait_for_function(SETTLED, timeout=SETTLED_MS)


def test_the_page_is_whole_and_asks_nobody_else(page, record, lab_server):
    assert page.locator("h1").inner_text().startswith("Sparse execution")
    assert page.locator(".lk-views .lk-view").count() == 5
    assert "Nothing measured yet" in said(page, SWEPT)
    assert "Packed here" not in page.locator("main").inner_text(), "Voilà has run the check cell"
    settled(page)
    page.wait_for_function(f"() => document.querySelectorAll('{SUMMARIES}')[{TIMES}].textContent.includes('permits')", timeout=SETTLED_MS)
    assert record.foreign(lab_server) == set()
    assert record.errors == []


def test_a_slider_step_moves_the_bytes_and_the_line_and_settles(page, record):
    before = said(page, FORMATS), page.locator(".lk-score").all_inner_texts()
    live.step(page, "ArrowRight", [f"view {FORMATS}", f"view {SWEPT}", "first", "settled"])
    assert said(page, FORMATS) != before[0]
    assert all(now != old for now, old in zip(page.locator(".lk-score").all_inner_texts()[:3], before[1], strict=False))
    live.drag(page, live.LABS["07"])  # raises if the bytes are not the slider's
    assert record.errors == []


def test_the_batch_is_timed_and_the_address_brings_everything_back(page, record):
    page.get_by_label("machine", exact=True).select_option("eie")
    slider = page.get_by_role("slider", name="step")
    for _ in range(3):
        slider.press("ArrowRight")
    page.wait_for_function(f"() => document.querySelectorAll('{SUMMARIES}')[{WALK}].textContent.startsWith('Cycle 3')")
    assert page.locator(".lk-pe").count() == 4
    page.get_by_label("images a call", exact=True).select_option("1")
    page.wait_for_function("() => document.querySelectorAll('.lk-score')[3].textContent.includes('one image')", timeout=SETTLED_MS)
    settled(page)
    address = page.evaluate("() => location.hash")
    assert address.endswith("&run.batch=1&walk.machine=eie&walk.step=3")
    bytes_said = said(page, FORMATS)
    page.reload()
    page.wait_for_selector("body.is-ready", timeout=_browser.READY_TIMEOUT_MS)
    page.wait_for_function(f"(old) => document.querySelector('{SUMMARIES}')?.innerText === old", arg=bytes_said, timeout=SETTLED_MS)
    assert page.evaluate("() => location.hash") == address
    assert said(page, WALK).startswith("Cycle 3")
    assert page.get_by_label("images a call", exact=True).input_value() == "1"
    assert record.errors == []


def test_a_sweep_shows_its_progress_is_cancelled_and_comes_to_its_end(page, record):
    settled(page)
    page.get_by_label("layer to sweep", exact=True).select_option("3×3 convolution, 128 channels")  # long enough to be cancelled
    page.wait_for_function(f"() => document.querySelectorAll('{SUMMARIES}')[{SWEPT}].textContent.includes('yet of 3×3')")
    page.get_by_role("button", name="Sweep").click()
    page.wait_for_function(
        f"() => document.querySelectorAll('{SUMMARIES}')[{SWEPT}].textContent.startsWith('Not swept')", timeout=SETTLED_MS
    )
    assert page.locator(".lk-controls select").first.is_disabled()
    page.get_by_role("button", name="Cancel").click()
    page.wait_for_function(SWEEP, timeout=SETTLED_MS)
    assert said(page, SWEPT).startswith("Not swept to the end")
    assert page.locator(".lk-controls select").first.is_enabled()
    page.get_by_label("layer to sweep", exact=True).select_option("layer in view")
    page.get_by_label("layer in view", exact=True).select_option("fc")
    page.wait_for_function(f"() => document.querySelectorAll('{SUMMARIES}')[{SWEPT}].textContent.includes('yet of fc')")
    page.get_by_role("button", name="Sweep").click()
    page.wait_for_function(
        f"() => document.querySelectorAll('{SUMMARIES}')[{SWEPT}].textContent.startsWith('fc, one thread')", timeout=SETTLED_MS
    )
    page.wait_for_function(SWEEP, timeout=SETTLED_MS)
    assert "(one image)" in said(page, SWEPT)
    assert "(64 images)" in said(page, SWEPT)
    assert "1 of 5 done" in page.locator(".lk-steps").inner_text()
    assert record.errors == []


def test_a_hostile_link_is_clamped_and_said_so(opened):
    record = _browser.Record()
    hostile = "#walk.step=1e9&walk.machine=%3Cscript%3E&run.batch=7&sweep.layer=..%2Fetc&walk.queue=-3"
    with opened(record, link=hostile) as page:
        page.wait_for_function("() => location.hash === '#walk.step=28'", timeout=SETTLED_MS)
        assert "Not all of the link could be followed" in page.locator(".lk-status").inner_text()
        assert "That was the last one" in said(page, WALK)
        assert record.errors == []


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_narrow_and_in_both_themes(opened, theme):
    record = _browser.Record()
    with opened(record, "narrow", theme, link="#walk.machine=eie&walk.step=9") as page:
        page.wait_for_selector(".lk-pe")
        assert page.evaluate(SIDEWAYS) <= 0
        for box in page.locator(".lk-walk-matrix, .lk-pes").all():
            found = box.bounding_box()
            assert found["x"] + found["width"] <= _browser.WIDTHS["narrow"][0], "the machine is cut off"
        background = page.evaluate("() => getComputedStyle(document.querySelector('.lk-view')).backgroundColor")
        assert (sum(int(each) for each in background.removeprefix("rgb(").rstrip(")").split(",")) < 150) == (theme == "dark")
        assert record.errors == []
