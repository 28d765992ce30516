"""Lab 02 as a learner has it: the real command, the real notebook, a trained network, and Chromium."""

import json

from benchmarks import _browser, live

SIDEWAYS = "() => document.documentElement.scrollWidth - document.documentElement.clientWidth"
SETTLED = "() => !document.querySelector('.lk-score').classList.contains('is-refining')"
SETTLED_MS = 60_000
LAB, FIGURES = "02", 4
BREAKING = """
from labkit import workbench
from labkit.panels.pruning_granularity import PruningGranularity, State

whole = workbench.Workbench.sketch


def sketch(self, recipe):
    if recipe.steps[0].config.ratio.sparsity > 0.55:
        raise RuntimeError("<script>the mask</script> is lost")
    return whole(self, recipe)


workbench.Workbench.sketch = sketch
PruningGranularity(State(network="digits-small"), networks=("digits-small",)).widget
"""


def strip(page) -> list[list[str]]:
    return page.eval_on_selector_all(".lk-score", "nodes => nodes.map((node) => [...node.children].map((each) => each.textContent))")


def press(page, key: str) -> None:
    page.locator(live.SLIDER).first.press(key)


def test_the_page_is_whole_and_asks_nobody_else(page, record, lab_server):
    assert page.locator("h1").inner_text().startswith("Pruning granularity")
    assert [name for name, *_ in strip(page)] == ["accuracy", "size on disk", "MACs per image", "latency here", "energy per image"]
    assert page.locator(".lk-views .lk-view").count() == 5
    assert "holds" not in page.locator("main").inner_text(), "Voilà has run the check cell"
    assert record.foreign(lab_server) == set()
    assert record.errors == []


def test_a_slider_step_moves_every_view_and_settles_on_all_test_images(page, record):
    page.wait_for_function(SETTLED, timeout=SETTLED_MS)
    summaries = ".lk-summary"
    before = strip(page), page.locator(summaries).all_inner_texts(), page.locator(live.MASK_LABEL).get_attribute("aria-label")
    found = live.step(page, "ArrowRight", ["view 0", "view 1", "view 2", "first", "settled"])
    assert found["first"] <= found["settled"]
    after = strip(page), page.locator(summaries).all_inner_texts(), page.locator(live.MASK_LABEL).get_attribute("aria-label")
    for n in (0, 1, 2, 4):  # latency follows once it is measured
        assert after[0][n] != before[0][n], after[0][n]
    for n in (0, 1, 2):
        assert after[1][n] != before[1][n]
    assert after[2] != before[2]
    assert "all 10,000 images" in after[0][0][2]
    assert record.errors == []


def test_a_drag_storm_leaves_no_stale_picture(page, record):
    live.drag(page)  # raises if the mask is not the slider's
    page.wait_for_function(SETTLED, timeout=SETTLED_MS)
    label = page.locator(live.MASK_LABEL).get_attribute("aria-label")
    share = float(label.rsplit(";", 1)[1].split("%")[0])
    assert f"{share:.1f}% of all weights are gone" in page.locator(".lk-summary").nth(2).inner_text()
    assert record.errors == []


def test_channels_shrink_the_network_and_the_ring_of_the_layer_follows_a_click(page, record):
    page.locator(".lk-controls select").first.select_option("channel")
    whole = "() => !document.querySelectorAll('.lk-score')[2].textContent.includes('weight not zero')"
    page.wait_for_function(whole, timeout=SETTLED_MS)  # the smaller network's weights are all there
    page.wait_for_function(SETTLED, timeout=SETTLED_MS)
    assert "before new batch norm" in strip(page)[0][2]
    bars = page.locator(".lk-view").nth(2).locator(".bk-Figure")
    bars.scroll_into_view_if_needed()
    box = bars.bounding_box()
    page.mouse.click(box["x"] + box["width"] * 0.8, box["y"] + 18)
    page.wait_for_function("() => document.querySelector('.lk-raster canvas').ariaLabel.startsWith('conv1:')")
    assert page.locator(".lk-top select").nth(1).input_value() == "conv1"
    assert record.errors == []


def test_fine_tuning_is_cancelled_and_the_settings_come_back(page, record):
    page.get_by_role("button", name="Fine-tune").click()
    page.wait_for_function("() => document.querySelector('progress')?.value > 0.02", timeout=SETTLED_MS)
    assert page.locator(".lk-controls select").first.is_disabled()
    page.get_by_role("button", name="Cancel").click()
    page.wait_for_function("() => document.querySelector('.lk-status').textContent.includes('Cancelled')", timeout=SETTLED_MS)
    page.wait_for_function("() => !document.querySelector('.lk-controls select').disabled")
    page.wait_for_function(SETTLED, timeout=SETTLED_MS)
    assert record.errors == []


def test_narrow_and_dark(opened):
    record = _browser.Record()
    with opened(record, "narrow", "dark") as page:
        assert page.evaluate(SIDEWAYS) <= 0
        background = page.evaluate("() => getComputedStyle(document.querySelector('.lk-view')).backgroundColor")
        assert sum(int(each) for each in background.removeprefix("rgb(").rstrip(")").split(",")) < 150
        found = live.step(page, "ArrowRight", ["view 0", "view 1"])
        assert found["view 0"] > 0
        assert record.errors == []


def test_an_exception_in_a_callback_becomes_a_sentence(opened, tmp_path):
    import nbformat

    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(BREAKING)])
    notebook.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3", "language": "python"}
    nbformat.write(notebook, tmp_path / "01_breaking.ipynb")
    record = _browser.Record()
    with _browser.running_server(tmp_path, tmp_path / "log.txt") as running, opened(record, url=running.url) as page:
        for _ in range(6):
            press(page, "ArrowRight")
        page.wait_for_selector(".lk-status .is-error", timeout=SETTLED_MS)
        said = page.locator(".lk-status").inner_text()
        assert "RuntimeError: <script>the mask</script> is lost" in said
        assert "Traceback" not in json.dumps(page.content())
        kept = int(page.locator(live.READOUT).first.inner_text().rstrip("%"))
        assert 50 <= kept <= 55, "the slider must go back to what the page shows"
        press(page, "ArrowLeft")
        page.wait_for_function("() => !document.querySelector('.lk-status .is-error')")
        assert record.errors == []
