"""Lab 01 as a learner has it: the real command, the real notebook, this machine's roof, and Chromium."""

import csv
import io
import re
import subprocess
import sys

import pytest

from benchmarks import _browser, live

LAB, FIGURES = "01", 4
SETTLED_MS = 90_000
SETTLED = "() => !document.querySelector('.lk-score.is-refining')"
SIDEWAYS = "() => document.documentElement.scrollWidth - document.documentElement.clientWidth"
SUMMARIES = ".lk-views .lk-summary"
ROWS = ".lk-history tbody tr"
HAS_ROWS = "(n) => document.querySelectorAll('.lk-history tbody tr').length === n"
ENERGY, MOVED, ROOF, PLANE = range(4)


def said(page, view: int) -> str:
    return page.locator(SUMMARIES).nth(view).inner_text()


def score(page, cell: int) -> str:
    return page.locator(".lk-score .lk-value").nth(cell).inner_text()


def test_the_lab_models_at_once_and_then_measures_its_roof(page, record, lab_server):
    assert page.locator("h1").inner_text().startswith("Why small")
    assert page.locator(".lk-views .lk-view").count() == 4
    assert "DRAM takes 98%" in said(page, ENERGY)
    page.wait_for_function(SETTLED, timeout=SETTLED_MS)
    assert "Measured, one thread" in said(page, ROOF)
    assert record.foreign(lab_server) == set()
    assert record.errors == []


def test_every_setting_that_rests_is_a_row_and_a_dot(page, record):
    page.wait_for_function(HAS_ROWS, arg=1, timeout=SETTLED_MS)
    page.get_by_label("batch", exact=True).select_option("64")
    page.wait_for_function(HAS_ROWS, arg=2, timeout=SETTLED_MS)
    page.locator(live.SLIDER).first.press("ArrowLeft")  # once: between two presses a slow machine may come to rest
    page.wait_for_function(HAS_ROWS, arg=3, timeout=SETTLED_MS)
    assert [text.strip() for text in page.locator(f"{ROWS} th").all_inner_texts()] == [
        "width 0.75, 64 images",
        "64 images",
        "as the lab opens",
    ]
    assert page.locator(ROWS).first.locator("td").first.inner_text() == score(page, 4)
    assert said(page, PLANE).startswith("3 settings. On the front, where nothing else is both richer in products and more frugal: ")
    page.get_by_label("against", exact=True).select_option("latency here")
    page.wait_for_function(f"() => document.querySelectorAll('{SUMMARIES}')[{PLANE}].textContent.includes('both faster and more frugal')")
    assert record.errors == []


def test_two_are_pinned_by_keyboard_and_compared(page, record):
    pins = page.locator(f"{ROWS} button[aria-pressed]")
    assert page.locator(".lk-compare table").count() == 0
    for n in (2, 1):
        pins.nth(n).press("Enter")
        page.wait_for_function("(n) => document.querySelectorAll('.lk-history tbody .lk-letter').length === n", arg=3 - n)
    page.wait_for_selector(".lk-compare .lk-figures")
    settings, figures = page.locator(".lk-compare .lk-figures").all_inner_texts()
    assert settings.split()[-4:] == ["one", "image", "64", "images"]
    for figure in ("175 µJ", "6.55 µJ", "on-chip memory", "1.07 MB", "0.266 M", "64 images"):
        assert figure in figures, figure
    assert "the same products" in page.locator(".lk-findings .lk-summary").nth(1).inner_text()
    assert "In the history, pin one network" in page.locator(".lk-steps li.is-done").last.inner_text()
    assert record.errors == []


def test_a_row_is_gone_back_to_and_none_is_added(page, record):
    page.get_by_role("button", name="Go back to as the lab opens").press("Enter")
    page.wait_for_function("() => document.querySelector('.lk-history tr[aria-current] th')?.innerText.includes('as the lab opens')")
    page.wait_for_function("() => location.hash === ''")
    page.wait_for_timeout(1500)
    assert page.locator(ROWS).count() == 3
    assert page.get_by_label("batch", exact=True).input_value() == "1"
    assert record.errors == []


def test_with_two_compared_and_the_code_open_axe_finds_nothing_serious(page):
    everybody = pytest.importorskip("tests.browser.test_everybody")
    page.get_by_role("button", name="Show the code").press("Enter")
    page.wait_for_selector(".lk-code pre")
    assert everybody.violations(page) == []


def test_the_code_on_the_page_runs_and_comes_to_its_figures(page, record, tmp_path):
    (tmp_path / "program.py").write_text(page.locator(".lk-code code").text_content(), encoding="utf-8")
    command = [sys.executable, "-X", "utf8", "program.py"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, encoding="utf-8", timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    assert f"energy   {score(page, 4)} an image, modelled" in done.stdout
    assert re.search(r"^MACs +266,200 an image, of 266,200$", done.stdout, re.MULTILINE)
    assert score(page, 2) == "0.266 M"
    assert re.search(r"^weights +1,066,440 bytes$", done.stdout, re.MULTILINE)
    assert score(page, 1) == "1.07 MB"
    assert re.search(r"^latency +[\d.]+ ms for a batch of 1$", done.stdout, re.MULTILINE)
    page.get_by_role("button", name="Copy", exact=True).click()
    page.wait_for_function("() => document.querySelector('.lk-code button').textContent !== 'Copy'", timeout=SETTLED_MS)
    assert record.errors == []


def test_the_history_arrives_as_csv_and_nothing_else_is_offered(page, tmp_path):
    with page.expect_download(timeout=SETTLED_MS) as found:
        page.get_by_role("button", name="Save as CSV", exact=True).click()
    found.value.save_as(tmp_path / "history.csv")
    rows = list(csv.DictReader(io.StringIO((tmp_path / "history.csv").read_bytes().decode(), newline="")))
    assert [row["link"] for row in rows] == ["#", "#chip.batch=64", "#network.width=0.75&chip.batch=64"]
    assert page.get_by_role("button", name=re.compile("Save (recipe|model)")).count() == 0


def test_the_address_brings_the_setting_back_and_no_history(page, record, opened):
    page.get_by_role("button", name=re.compile("^Go back to width 0.75")).click()
    page.wait_for_function("() => location.hash === '#network.width=0.75&chip.batch=64'")
    shown, link = said(page, ENERGY), page.evaluate("() => location.hash")
    assert "nobody has trained" in page.locator(".lk-score").first.inner_text()
    other = _browser.Record()
    with opened(other, link=link) as fresh:
        fresh.wait_for_function(f"(old) => document.querySelector('{SUMMARIES}')?.innerText === old", arg=shown, timeout=SETTLED_MS)
        fresh.wait_for_function(HAS_ROWS, arg=1, timeout=SETTLED_MS)
        assert fresh.locator(".lk-history .lk-letter").count() == 0
        assert fresh.locator(".lk-compare table").count() == 0
        assert other.errors == []
    page.reload()
    page.wait_for_selector("body.is-ready", timeout=_browser.READY_TIMEOUT_MS)
    page.wait_for_function(f"(old) => document.querySelector('{SUMMARIES}')?.innerText === old", arg=shown, timeout=SETTLED_MS)
    assert record.errors == []


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_narrow_and_in_both_themes_two_compared_do_not_scroll_sideways(opened, theme):
    record = _browser.Record()
    with opened(record, "narrow", theme) as page:
        page.wait_for_function(HAS_ROWS, arg=1, timeout=SETTLED_MS)
        page.get_by_label("kind", exact=True).select_option("convolutional")
        page.wait_for_function(HAS_ROWS, arg=2, timeout=SETTLED_MS)
        for n in range(2):
            page.locator(f"{ROWS} button[aria-pressed]").nth(n).click()
        page.wait_for_selector(".lk-compare .lk-figures")
        page.get_by_role("button", name="Show the code").click()
        page.wait_for_selector(".lk-code pre")
        assert page.evaluate(SIDEWAYS) <= 0
        background = page.evaluate("() => getComputedStyle(document.querySelector('.lk-view')).backgroundColor")
        assert (sum(int(each) for each in background.removeprefix("rgb(").rstrip(")").split(",")) < 150) == (theme == "dark")
        assert record.errors == []
