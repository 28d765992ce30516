"""History, comparison and take-away as a learner has them: in Chromium, with files that really arrive."""

import csv
import io
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest

from benchmarks import _browser, live
from labkit import flow
from labkit.core import recipe as recipes

TINY = """
from labkit.panels.pruning_granularity import PruningGranularity, State

PruningGranularity(State(network="digits-small"), networks=("digits-small",)).widget
"""
WAIT_MS = 60_000
SETTLED = "() => [...document.querySelectorAll('.lk-score')].every((cell) => !cell.classList.contains('is-refining'))"
ROWS = ".lk-history tbody tr"
HAS_ROWS = "(n) => document.querySelectorAll('.lk-history tbody tr').length === n"
SHOWN = "(label) => document.querySelector('.lk-history tr[aria-current] th')?.innerText.trim() === label"


@pytest.fixture(scope="module")
def lab(browser, tmp_path_factory):
    """One page on which three settings have settled, and its record."""
    folder = tmp_path_factory.mktemp("history")
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(TINY)])
    notebook.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3", "language": "python"}
    nbformat.write(notebook, folder / "01_tiny.ipynb")
    record = _browser.Record()
    with _browser.running_server(folder, folder / "log.txt") as running:
        context = browser.new_context(viewport={"width": 1280, "height": 900}, accept_downloads=True)
        page = _browser.open_lab(context, running.url, record)
        page.wait_for_function(HAS_ROWS, arg=1, timeout=WAIT_MS)
        for n, key in enumerate(("PageUp", "PageUp"), start=2):
            page.wait_for_function(SETTLED, timeout=WAIT_MS)
            page.locator(live.SLIDER).first.press(key)
            page.wait_for_function(HAS_ROWS, arg=n, timeout=WAIT_MS)
        page.wait_for_function(SETTLED, timeout=WAIT_MS)
        yield page
        assert record.errors == []
        assert record.foreign(running) == set()
        context.close()


def labels(page) -> list[str]:
    return [text.strip() for text in page.locator(f"{ROWS} th").all_inner_texts()]


def saved(page, button: str, folder: Path) -> Path:
    with page.expect_download(timeout=WAIT_MS) as found:
        page.get_by_role("button", name=button, exact=True).click()
    path = folder / found.value.suggested_filename
    found.value.save_as(path)
    return path


def strip_bytes(page) -> int:
    return int(page.locator(".lk-score").nth(1).get_attribute("title").split(" bytes")[0].replace(",", ""))


def test_every_setting_has_a_row_and_is_told_in_words(lab):
    assert labels(lab)[-1] == "as the lab opens"
    assert all(label.startswith("sparsity ") for label in labels(lab)[:-1])
    assert lab.locator(".lk-plane .lk-summary").inner_text().startswith("3 settings measured. On the front")
    assert lab.locator(".lk-history caption").inner_text().startswith("3 settings")


def test_columns_sort_by_keyboard_and_keep_the_focus(lab):
    newest = labels(lab)
    size = lab.locator(".lk-history thead button", has_text="size")
    size.focus()
    lab.keyboard.press("Enter")
    assert labels(lab) == newest[::-1], "fewer zeros are more bytes"
    assert lab.locator(".lk-history th[aria-sort=descending]").inner_text().startswith("size")
    lab.keyboard.press("Enter")
    lab.keyboard.press("Enter")
    assert labels(lab) == newest
    assert lab.locator(".lk-history th[aria-sort]").count() == 0


def test_going_back_moves_the_controls_and_adds_no_row(lab):
    first = lab.locator(live.READOUT).first.inner_text()
    lab.get_by_role("button", name="Go back to as the lab opens").press("Enter")
    lab.wait_for_function(SHOWN, arg="as the lab opens", timeout=WAIT_MS)
    assert lab.locator(live.READOUT).first.inner_text() == "50%" != first
    lab.wait_for_function(SETTLED, timeout=WAIT_MS)
    assert lab.locator(ROWS).count() == 3


def test_two_pins_are_compared_class_by_class_and_image_by_image(lab):
    pins = lab.locator(f"{ROWS} button[aria-pressed]")
    assert lab.locator(".lk-compare table").count() == 0
    pins.nth(2).click()
    lab.wait_for_selector(".lk-history .lk-letter")
    pins.nth(0).click()
    lab.wait_for_selector(".lk-flips canvas", timeout=WAIT_MS)
    assert lab.locator(".lk-classes tbody tr").count() == 10
    assert "sparsity" in lab.locator(".lk-figures").inner_text()
    counts = [int(text.split("(")[1].rstrip(")")) for text in lab.locator(".lk-flips [aria-pressed]").all_inner_texts()]
    assert lab.locator(".lk-flips canvas").count() == min(24, counts[0])
    assert sum(counts) > 0
    lab.locator(".lk-flips [aria-pressed]").nth(1).click()
    lab.wait_for_function("() => document.querySelectorAll('.lk-flips [aria-pressed]')[1].ariaPressed === 'true'", timeout=WAIT_MS)
    truth, first, second = lab.locator(".lk-flips canvas").first.get_attribute("aria-label").split("; ")
    assert truth.removeprefix("truth ") == second.removeprefix("B says ") != first.removeprefix("A says ")


def test_the_model_that_arrives_is_the_file_of_the_strip_and_the_recipe_makes_it_again(lab, tmp_path):
    lab.wait_for_function(SETTLED, timeout=WAIT_MS)
    model, recipe = saved(lab, "Save model", tmp_path), saved(lab, "Save recipe", tmp_path)
    assert model.name == "digits-small-weight-50.labkit"
    assert model.stat().st_size == strip_bytes(lab)
    assert flow.load_file(model).network == "digits-small"
    again = tmp_path / "again.labkit"
    command = [sys.executable, "-m", "labkit", "compress", "digits-small", "--recipe", str(recipe), "--out", str(again)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    assert again.read_bytes() == model.read_bytes()


def test_the_code_on_the_page_runs(lab, tmp_path):
    lab.get_by_role("button", name="Show the code").click()
    lab.wait_for_selector(".lk-code pre")
    (tmp_path / "program.py").write_text(lab.locator(".lk-code code").text_content(), encoding="utf-8")
    done = subprocess.run([sys.executable, "program.py"], cwd=tmp_path, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    (model,) = tmp_path.glob("*.labkit")
    assert model.stat().st_size == strip_bytes(lab)
    share = lab.locator(".lk-score").first.get_attribute("title").split(" of ")[0]
    assert f"{int(share) / 500:.2%} of 500 test images" in done.stdout
    lab.get_by_role("button", name="Copy", exact=True).click()
    lab.wait_for_function("() => document.querySelector('.lk-code button').textContent !== 'Copy'", timeout=WAIT_MS)


def test_the_history_arrives_as_csv(lab, tmp_path):
    rows = list(csv.DictReader(io.StringIO(saved(lab, "Save as CSV", tmp_path).read_bytes().decode(), newline="")))
    assert rows[0]["setting"] == "as the lab opens"
    assert len(rows) == 3
    assert int(rows[0]["size (bytes)"]) == strip_bytes(lab)
    assert {recipes.from_yaml(row["recipe (JSON)"]).digest for row in rows} == {row["recipe digest"] for row in rows}


def test_a_narrow_page_does_not_scroll_sideways(lab):
    lab.set_viewport_size({"width": 390, "height": 844})
    lab.wait_for_timeout(300)
    assert lab.evaluate("() => document.documentElement.scrollWidth - document.documentElement.clientWidth") <= 0
    box = lab.locator(".lk-history-box")
    assert box.evaluate("(node) => node.scrollWidth > node.clientWidth"), "the table scrolls within its own box"
    lab.set_viewport_size({"width": 1280, "height": 900})
