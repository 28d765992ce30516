"""The labs in JupyterLab: each runs from top to bottom and is live; nothing of BokehJS is in a saved notebook."""

import json
import os
import shutil
import sys

import nbformat
import pytest

from benchmarks import _browser
from labkit.labs import HOME, lab_names

pytest.importorskip("jupyterlab", reason="the lab extra is not installed")

LABS = _browser.ROOT / "labs"
NAMES = [name for name in lab_names(LABS) if name != HOME]
RUN_ALL = """async () => {
  const panel = jupyterapp.shell.currentWidget;
  await panel.sessionContext.ready;
  await panel.sessionContext.session.kernel.info;
  const run = jupyterapp.commands.execute("notebook:run-all-cells");
  const limit = new Promise((_, fail) => setTimeout(() => fail(new Error("still running")), 150000));
  await Promise.race([run, limit]);
  const cells = [...panel.content.model.cells].map((cell) => cell.toJSON());
  return cells.filter((cell) => cell.cell_type === "code").map((cell) => [cell.execution_count, cell.outputs.map((each) => each.output_type)]);
}"""
LOOKS = """() => [...document.querySelectorAll(".lk-views .lk-summary, .lk-views canvas, .lk-strip")]
  .map((node) => node.textContent + (node.ariaLabel ?? "")).join()"""
CELL = """
import ipywidgets
from bokeh.models import ColumnDataSource
from bokeh.plotting import figure
from jupyter_bokeh.widgets import BokehModel
from labkit.panels._bokeh import ensure_bokeh

ensure_bokeh()
source = ColumnDataSource({"x": [0, 1], "y": [1, 2]})
plot = figure(height=200, width=300, y_range=(0, 100))
plot.vbar(x="x", top="y", width=0.8, source=source)
slider = ipywidgets.IntSlider(value=1, max=50, description="value")
slider.add_class("toy-slider")
slider.observe(lambda change: setattr(source, "data", {"x": [0, 1], "y": [change["new"], 2 * change["new"]]}), names="value")
panel = ipywidgets.VBox([slider, BokehModel(plot)])
panel.add_class("lk-lab")
panel
"""


@pytest.fixture(scope="module")
def notebook(tmp_path_factory):
    folder = tmp_path_factory.mktemp("notebooks")
    book = nbformat.v4.new_notebook(
        cells=[nbformat.v4.new_code_cell(CELL)],
        metadata={"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}},
    )
    nbformat.write(book, folder / "figure.ipynb")
    shutil.copytree(LABS, folder, dirs_exist_ok=True)
    return folder / "figure.ipynb"


@pytest.fixture(scope="module")
def jupyterlab(browser, notebook, tmp_path_factory):
    home = tmp_path_factory.mktemp("home")
    with pytest.MonkeyPatch.context() as patch:
        for name in ("JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR", "IPYTHONDIR"):
            patch.setenv(name, str(home / name.lower()))
        patch.delenv("JUPYTER_PATH", raising=False)
        command = [sys.executable, "-m", "jupyter", "lab", "--no-browser", "--port={port}", f"--ServerApp.root_dir={notebook.parent}"]
        command += [
            "--IdentityProvider.token=",
            "--ServerApp.password=",
            "--expose-app-in-browser",
            "--LabApp.news_url=None",
            "--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate",
        ]
        command += ["--allow-root"] if hasattr(os, "geteuid") and os.geteuid() == 0 else []
        with _browser.running_server(notebook.parent, home / "log.txt", command=command) as running:
            yield running


def test_a_figure_is_live_and_the_saved_notebook_is_small(browser, jupyterlab, notebook):
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    try:
        page = context.new_page()
        page.goto(f"{jupyterlab.url}lab/tree/{notebook.name}", timeout=_browser.READY_TIMEOUT_MS)
        page.locator(".jp-Notebook .jp-CodeCell .cm-content").first.click(timeout=_browser.READY_TIMEOUT_MS)
        page.wait_for_selector(".jp-Notebook-ExecutionIndicator[data-status=idle]", timeout=_browser.READY_TIMEOUT_MS)
        page.keyboard.press("Control+Enter")
        page.wait_for_selector(".bk-Figure", timeout=_browser.READY_TIMEOUT_MS)
        page.locator(".toy-slider [role=slider]").press("End")
        page.wait_for_function("() => Bokeh.documents[0].roots()[0].renderers[0].data_source.get_array('y')[1] === 100")
        assert page.locator("#labkit-style").count() == 1
        _browser.shot(page, "jupyterlab")
        page.keyboard.press("Control+s")
        page.wait_for_function("() => !document.querySelector('.jp-mod-dirty')")
        for _ in range(50):
            saved = notebook.read_text()
            if json.loads(saved)["cells"][0]["outputs"]:
                break
            page.wait_for_timeout(100)
        assert "BokehJS" not in saved
        assert len(saved) < 20_000
        assert json.loads(saved)["cells"][0]["outputs"]
    finally:
        context.close()


@pytest.fixture
def opened(browser, jupyterlab):
    """Open a notebook in a workspace of its own: `opened("02_pruning_granularity")`."""
    contexts, record = [], _browser.Record()

    def open_notebook(name):
        context = browser.new_context(viewport={"width": 1500, "height": 1000})
        contexts.append(context)
        page = context.new_page()
        record.watch(page)
        page.goto(f"{jupyterlab.url}lab/workspaces/{name}/tree/{name}.ipynb", timeout=_browser.READY_TIMEOUT_MS)
        page.wait_for_selector(".jp-Notebook-ExecutionIndicator[data-status=idle]", timeout=_browser.READY_TIMEOUT_MS)
        return page

    yield open_notebook
    for each in contexts:
        each.close()
    assert record.foreign(jupyterlab) == set()


def run_all(page):
    """Run every cell and hold that each has run and none has failed."""
    for count, outputs in page.evaluate(RUN_ALL):
        assert count is not None
        assert "error" not in outputs


@pytest.mark.parametrize("name", NAMES)
def test_a_lab_runs_from_top_to_bottom_and_its_slider_is_live(opened, name):
    page = opened(name)
    run_all(page)
    slider = page.locator(".lk-lab .lk-controls [role=slider]").first
    slider.scroll_into_view_if_needed(timeout=_browser.READY_TIMEOUT_MS)
    page.wait_for_function("() => document.querySelectorAll('.lk-lab .bk-Figure').length > 0", timeout=_browser.READY_TIMEOUT_MS)
    before = page.evaluate(LOOKS)
    slider.press("ArrowRight")
    page.wait_for_function(f"(old) => ({LOOKS})() !== old", arg=before)
    page.wait_for_function("() => !document.querySelector('.lk-score.is-refining')", timeout=90_000)
    assert page.locator(".lk-status .is-error").count() == 0
    _browser.shot(page, f"jupyterlab-{name[:2]}")


def test_the_home_lab_shows_its_pictures_and_opens_the_notebooks(opened):
    page = opened(HOME)
    run_all(page)
    page.wait_for_selector(".lk-home .lk-lab-card")
    assert page.locator(".lk-lab-card").evaluate_all("nodes => nodes.map((node) => node.dataset.lab)") == NAMES
    picture = page.locator(".lk-picture img.is-light").first
    picture.scroll_into_view_if_needed()
    page.wait_for_function("node => node.complete && node.naturalWidth === 720", arg=picture.element_handle())
    surface = page.locator(".lk-lab-card").first.evaluate("node => getComputedStyle(node).backgroundColor")
    assert surface == "rgb(255, 255, 255)", "the style has not come along"
    _browser.shot(page, "jupyterlab-00")
    page.locator(f'.lk-lab-card[data-lab="{NAMES[0]}"] a').click()
    page.get_by_role("tab", name=f"{NAMES[0]}.ipynb").wait_for()
    assert page.evaluate("() => localStorage.getItem('labkit.last.1')") == NAMES[0]
    if page.locator(".lk-findings").count():  # a lab about one network: its file arrives here as well
        with page.expect_download(timeout=_browser.READY_TIMEOUT_MS) as found:
            page.get_by_role("button", name="Save model", exact=True).click()
        size = page.locator(".lk-score").nth(1).get_attribute("title").split(" bytes")[0]
        assert f"{os.path.getsize(found.value.path()):,}" == size
