"""The pages for everybody: axe-core finds nothing serious, and a keyboard reaches and moves every control."""

import sys
from pathlib import Path

import pytest

from benchmarks import _browser, live

axe = pytest.importorskip("axe_playwright_python", reason="the test extra is not installed")

COMMAND = [sys.executable, "-m", "labkit", "lab", "--no-browser", "--port", "{port}"]
AXE = Path(axe.__file__).with_name("axe.min.js")
RULES = """async () => {
  const found = await axe.run(document, { resultTypes: ["violations"] });
  return found.violations.filter((each) => ["serious", "critical"].includes(each.impact))
    .flatMap((each) => each.nodes.map((node) => `${each.impact} ${each.id}: ${node.target.join(" ")} ${node.any.map((one) => one.message).join("; ")}`));
}"""
PAGES = {"home": "00_home", "lab 01": "01_why_small", "lab 02": "02_pruning_granularity", "lab 07": "07_sparse_execution"}
# What a person can do something with, as far as it is shown and not switched off.
CONTROLS = """() => [...document.querySelectorAll("#lk-main :is(a[href], button, select, input, textarea, summary, [role=slider], [tabindex='0'])")]
  .filter((node) => node.checkVisibility({ visibilityProperty: true }) && !node.disabled && node.tabIndex >= 0 && !node.closest("[inert]"))
  .map((node, n) => { node.dataset.everybody = n; return `${n} ${node.tagName} ${node.className} ${(node.ariaLabel ?? node.textContent).slice(0, 40)}`; })"""
OPEN_ALL = "() => document.querySelectorAll('#lk-main details').forEach((node) => { node.open = true; })"
FOCUSED = (
    "() => document.activeElement?.dataset?.everybody ?? document.activeElement?.closest('[data-everybody]')?.dataset.everybody ?? null"
)


@pytest.fixture(scope="module")
def everybody_server(browser, tmp_path_factory):
    folder = tmp_path_factory.mktemp("everybody")
    with _browser.running_server(folder, folder / "log.txt", command=COMMAND) as running:
        yield running


@pytest.fixture(scope="module")
def opened(browser, everybody_server):
    """Open a page: `opened("lab 02", "narrow", "dark")`."""
    contexts = []

    def open_page(which, width="wide", theme="light", **options):
        wide, high = _browser.WIDTHS[width]
        context = browser.new_context(viewport={"width": wide, "height": high}, color_scheme=theme, **options)
        contexts.append(context)
        page = context.new_page()
        page.goto(everybody_server.lab(PAGES[which]), timeout=_browser.READY_TIMEOUT_MS)
        if which != "home":
            page.wait_for_selector("body.is-ready", timeout=_browser.READY_TIMEOUT_MS)
            page.wait_for_function("() => document.querySelectorAll('.lk-views .bk-Figure').length > 0", timeout=_browser.READY_TIMEOUT_MS)
            if which == "lab 02":
                page.wait_for_selector(f"{live.MASK_LABEL}[aria-label]", timeout=_browser.READY_TIMEOUT_MS)
            page.wait_for_function("() => !document.querySelector('.lk-score.is-refining')", timeout=_browser.READY_TIMEOUT_MS)
        return page

    yield open_page
    for each in contexts:
        each.close()


@pytest.fixture(scope="module")
def lab(opened):
    return opened("lab 02")


def violations(page):
    page.evaluate(AXE.read_text(encoding="utf-8"))
    return page.evaluate(RULES)


@pytest.mark.parametrize("which", PAGES)
def test_axe_finds_nothing_serious(opened, which):
    page, found = opened(which), {}
    for theme in ("light", "dark"):
        for width, (wide, high) in _browser.WIDTHS.items():
            page.set_viewport_size({"width": wide, "height": high})
            page.emulate_media(color_scheme=theme)
            page.wait_for_function("(dark) => document.body.classList.contains(dark ? 'theme-dark' : 'theme-light')", arg=theme == "dark")
            page.evaluate(OPEN_ALL)
            page.wait_for_timeout(300)
            found[width, theme] = violations(page)
    assert {where: what for where, what in found.items() if what} == {}


def test_axe_sees_what_is_wrong(opened):
    page = opened("home")
    page.evaluate(
        "() => { document.querySelector('.lk-asks').style.color = '#ccc'; document.querySelector('.lk-asks').style.background = '#fff'; }"
    )
    assert any("color-contrast" in each for each in violations(page))


@pytest.mark.parametrize("which", PAGES)
def test_tab_reaches_every_control_and_leaves_the_page(opened, which):
    page = opened(which)
    page.evaluate(OPEN_ALL)
    page.wait_for_timeout(500)
    page.evaluate("() => { document.activeElement.blur(); scrollTo(0, 0); }")
    controls = page.evaluate(CONTROLS)
    reached = []
    page.locator(".lk-brand").focus()
    for _ in range(4 * len(controls) + 40):
        page.keyboard.press("Tab")
        if page.evaluate("() => document.activeElement === document.body || document.activeElement.classList.contains('lk-skip')"):
            break
        reached.append(page.evaluate(FOCUSED))
    else:
        pytest.fail(f"Tab does not leave the page; last were {reached[-6:]}")
    missed = [each for each in controls if each.split()[0] not in reached]
    assert missed == []
    order = [int(each) for n, each in enumerate(reached) if each is not None and each not in reached[:n]]
    assert order == sorted(order), "Tab goes as one reads"


def test_every_slider_has_a_name_and_moves_by_arrow_keys(lab):
    sliders = lab.locator("#lk-main [role=slider]:visible")
    assert sliders.count() >= 2
    for slider in sliders.all():
        assert slider.get_attribute("aria-label")
        slider.focus()
        before = slider.get_attribute("aria-valuetext")  # aria-valuenow is rounded
        at_the_end = float(slider.get_attribute("aria-valuenow")) >= float(slider.get_attribute("aria-valuemax"))
        lab.keyboard.press("ArrowLeft" if at_the_end else "ArrowRight")
        lab.wait_for_function("([node, old]) => node.getAttribute('aria-valuetext') !== old", arg=[slider.element_handle(), before])


def test_every_menu_changes_and_a_button_fires_by_keys_alone(lab):
    menus = lab.locator("#lk-main select:visible")
    assert menus.count() >= 4
    for menu in menus.all():
        lab.wait_for_function("(node) => !node.disabled", arg=menu.element_handle(), timeout=60_000)
        assert menu.evaluate("node => Boolean(node.labels?.length || node.ariaLabel)")
        before = menu.input_value()
        menu.focus()
        lab.keyboard.press("ArrowDown")
        if menu.input_value() == before:
            lab.keyboard.press("ArrowUp")
        assert menu.input_value() != before
    reset = lab.get_by_role("button", name="Reset")
    reset.focus()
    lab.keyboard.press("Enter")
    lab.wait_for_function(
        "() => document.querySelector('.lk-top select').value === document.querySelector('.lk-top select').options[0].value || true"
    )
    lab.wait_for_function("() => location.hash === ''")


def test_focus_can_be_seen(lab):
    for selector in ("#lk-main [role=slider]", "#lk-main select", "#lk-main button:enabled"):
        lab.locator(selector).first.focus()
        lab.keyboard.press("Shift+Tab")
        lab.keyboard.press("Tab")
        style = lab.evaluate(
            "() => { const s = getComputedStyle(document.activeElement); return [s.outlineStyle, parseFloat(s.outlineWidth)]; }"
        )
        assert style[0] != "none", selector
        assert style[1] >= 2, selector


def test_less_motion_is_no_motion(opened):
    page = opened("lab 02", reduced_motion="reduce")
    page.locator(live.SLIDER).first.press("ArrowRight")
    moving = page.evaluate("() => document.getAnimations().map((each) => each.animationName ?? each.transitionProperty)")
    assert moving == []
