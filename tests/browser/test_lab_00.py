"""The way in: cards of the labs, what this browser remembers of them, and no kernel."""

import json
import sys

import pytest

from benchmarks import _browser
from labkit.labs import HOME, catalogue, labs_folder

COMMAND = [sys.executable, "-m", "labkit", "lab", "--no-browser", "--port", "{port}"]
LABS = catalogue(labs_folder())
SIDEWAYS = "() => document.documentElement.scrollWidth - document.documentElement.clientWidth"
KEPT = "labkit.lab.1."
LAST = "labkit.last.1"
LAB_02 = "02_pruning_granularity"
HOSTILE = [
    "",
    "{",
    "null",
    "[]",
    "7",
    '{"steps": 3, "total": 4}',
    '{"steps": ["a"], "total": 0}',
    '{"steps": ["a"], "total": -1}',
    '{"steps": ["a"], "total": 1e999}',
    '{"steps": ["a"], "total": "<img src=x onerror=document.title=1>"}',
    '{"steps": [{"a": 1}, null, 7], "total": 4, "met": "<script>"}',
    '{"__proto__": {"steps": ["a"], "total": 4}}',
    json.dumps({"steps": ["a"], "total": 4, "pad": "x" * 200_000}),
]


@pytest.fixture(scope="module")
def home_server(browser, tmp_path_factory):
    folder = tmp_path_factory.mktemp("home")
    with _browser.running_server(folder, folder / "log.txt", command=COMMAND) as running:
        yield running


@pytest.fixture
def opened(browser, home_server):
    """Open the start page: `opened({key: what the browser keeps under it}, width, theme)`."""
    contexts, record = [], _browser.Record()

    def open_page(kept=(), width="wide", theme="light", **options):
        wide, high = _browser.WIDTHS[width]
        context = browser.new_context(viewport={"width": wide, "height": high}, color_scheme=theme, **options)
        contexts.append(context)
        context.add_init_script(
            f"if (!localStorage.getItem('seeded')) {{ localStorage.setItem('seeded', 'yes');"
            f" for (const [key, text] of Object.entries({json.dumps(dict(kept))})) localStorage.setItem(key, text); }}"
        )
        page = context.new_page()
        record.watch(page)
        page.goto(home_server.url, wait_until="networkidle", timeout=_browser.READY_TIMEOUT_MS)
        return page

    yield open_page
    for each in contexts:
        each.close()
    assert record.foreign(home_server) == set()
    assert record.errors == []


def card(page, lab=LAB_02):
    return page.locator(f'.lk-lab-card[data-lab="{lab}"]')


def keys(page):
    return page.evaluate("() => Object.keys(localStorage).sort()")


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("width", ["wide", "narrow"])
def test_every_lab_has_a_card_with_a_picture_that_is_there(opened, width, theme):
    page = opened(width=width, theme=theme)
    assert page.url.endswith(f"/labs/{HOME}")
    assert page.locator("h1").count() == 1
    assert page.locator(".lk-lab-card").evaluate_all("nodes => nodes.map((node) => node.dataset.lab)") == [lab.name for lab in LABS]
    for lab in LABS:
        said = card(page, lab.name).inner_text()
        for text in (lab.title, lab.question, f"about {lab.minutes} min", lab.chapter):
            assert text in said
    for picture in page.locator(f".lk-picture img.is-{theme}").all():
        picture.scroll_into_view_if_needed()
        page.wait_for_function("node => node.complete", arg=picture.element_handle())
        assert picture.evaluate("node => [node.checkVisibility(), node.naturalWidth]") == [True, 720]
    assert page.locator(".lk-picture img:visible").count() == len(LABS)
    assert page.evaluate(SIDEWAYS) <= 0
    columns = page.locator(".lk-cards").evaluate("node => getComputedStyle(node).gridTemplateColumns.split(' ').length")
    assert columns == (3 if width == "wide" else 1)
    _browser.shot(page, f"home-{width}-{theme}")


def test_it_needs_no_kernel_and_no_front_end(opened):
    page = opened()
    asked = page.evaluate("() => performance.getEntriesByType('resource').map((each) => new URL(each.name).pathname)")
    assert [path for path in asked if "voila" in path or "bokeh" in path or "/api/" in path] == []
    assert page.locator("#jupyter-config-data").count() == 0


def test_what_was_done_is_shown_and_the_last_lab_is_marked(opened):
    page = opened({KEPT + LAB_02: json.dumps({"steps": ["a", "b", "b", "c"], "total": 4, "best": [], "met": True}), LAST: LAB_02})
    assert card(page).locator(".lk-done").inner_text() == "3 of 4 steps · challenge met"
    assert card(page).locator(".lk-continue").is_visible()
    share = card(page).locator(".lk-track > div").evaluate("node => node.offsetWidth / node.parentElement.offsetWidth")
    assert share == pytest.approx(0.75, abs=0.01)
    height = page.evaluate("() => document.documentElement.scrollHeight")
    assert opened().evaluate("() => document.documentElement.scrollHeight") == height, "progress moves the page"


@pytest.mark.parametrize("text", HOSTILE, ids=range(len(HOSTILE)))
def test_what_is_kept_is_never_believed(opened, text):
    page = opened({KEPT + LAB_02: text, LAST: "<b>x</b>"})
    assert card(page).locator(".lk-done").inner_text() == ""
    assert page.locator(".lk-continue:visible").count() == 0
    assert page.title().endswith("labkit")


def test_more_steps_than_there_are_is_all_of_them(opened):
    page = opened({KEPT + LAB_02: json.dumps({"steps": [str(n) for n in range(50)], "total": 4})})
    assert card(page).locator(".lk-done").inner_text() == "4 of 4 steps"


def test_to_forget_asks_first_and_leaves_what_is_not_progress(opened):
    kept = {KEPT + LAB_02: json.dumps({"steps": ["a"], "total": 4}), KEPT + "99_gone": "{}", LAST: LAB_02, "other": "stays"}
    page = opened(kept)
    ask = page.get_by_role("button", name="Forget my progress")
    ask.focus()
    page.keyboard.press("Enter")
    page.get_by_role("dialog", name="Forget what you have done?").wait_for()
    assert page.evaluate("() => document.activeElement.textContent") == "Keep them"
    page.keyboard.press("Escape")
    assert len(keys(page)) == 5
    ask.click()
    page.get_by_role("button", name="Keep them").click()
    assert len(keys(page)) == 5
    ask.click()
    page.get_by_role("button", name="Forget them").click()
    page.wait_for_function("() => document.querySelector('.lk-done').textContent === ''")
    assert keys(page) == ["other", "seeded"]
    assert not ask.is_visible()
    assert page.evaluate("() => document.activeElement.closest('.lk-lab-card') !== null"), "the focus is lost"


def test_without_storage_the_cards_are_there(opened, browser, home_server):
    context = browser.new_context()
    try:
        context.add_init_script(
            "Object.defineProperty(window, 'localStorage', { get() { throw new DOMException('off', 'SecurityError'); } })"
        )
        page = context.new_page()
        failures = []
        page.on("pageerror", lambda error: failures.append(str(error)))
        page.goto(home_server.url, wait_until="networkidle")
        assert page.locator(".lk-lab-card").count() == len(LABS)
        assert failures == []
    finally:
        context.close()


def test_a_card_leads_to_its_lab_and_the_header_back(opened):
    page = opened()
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")  # skip to the labs
    page.keyboard.press("Tab")
    assert page.evaluate("() => document.activeElement.textContent") == LABS[0].title
    assert card(page, LABS[0].name).evaluate("node => getComputedStyle(node).outlineStyle") == "solid"
    page.keyboard.press("Enter")
    page.wait_for_url(f"**/labs/{LABS[0].name}", wait_until="commit")
    page.wait_for_selector("body.is-ready", timeout=_browser.READY_TIMEOUT_MS)
    page.locator(".lk-brand").click()
    page.wait_for_url(f"**/labs/{HOME}", wait_until="commit")
    card(page, LABS[0].name).locator(".lk-continue").wait_for(state="visible")


def test_a_lab_that_was_opened_by_its_address_is_the_last_one(opened, home_server):
    page = opened()
    page.goto(home_server.lab(LAB_02), timeout=_browser.READY_TIMEOUT_MS)
    page.wait_for_selector("body.is-ready", timeout=_browser.READY_TIMEOUT_MS)
    page.goto(home_server.url)
    card(page).locator(".lk-continue").wait_for(state="visible")


def test_less_motion_is_less_motion(opened):
    page = opened(reduced_motion="reduce")
    assert card(page).evaluate("node => getComputedStyle(node).transitionDuration") in ("0s", "")
