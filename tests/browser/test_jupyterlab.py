"""A figure in JupyterLab: visible, live, and nothing of BokehJS in the saved notebook."""

import json
import os
import shutil
import sys

import nbformat
import pytest

from benchmarks import _browser

pytest.importorskip("jupyterlab", reason="the lab extra is not installed")

LAB = _browser.ROOT / "labs" / "02_pruning_granularity.ipynb"
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
    shutil.copy(LAB, folder)
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


def test_lab_02_is_the_same_notebook_here(browser, jupyterlab):
    context = browser.new_context(viewport={"width": 1500, "height": 1000})
    try:
        page = context.new_page()
        page.goto(f"{jupyterlab.url}lab/workspaces/lab02/tree/{LAB.name}", timeout=_browser.READY_TIMEOUT_MS)
        page.locator(".jp-Notebook .jp-CodeCell .cm-content").first.click(timeout=_browser.READY_TIMEOUT_MS)
        page.wait_for_selector(".jp-Notebook-ExecutionIndicator[data-status=idle]", timeout=_browser.READY_TIMEOUT_MS)
        page.keyboard.press("Control+Enter")
        page.wait_for_function("() => document.querySelectorAll('.lk-lab .bk-Figure').length === 4", timeout=_browser.READY_TIMEOUT_MS)
        before = page.locator(".lk-raster canvas").get_attribute("aria-label")
        page.locator(".lk-controls [role=slider]").first.press("ArrowRight")
        page.wait_for_function("(old) => document.querySelector('.lk-raster canvas').ariaLabel !== old", arg=before)
        page.wait_for_function("() => document.querySelector('.lk-score .lk-detail').textContent.includes('all 10,000')", timeout=60_000)
        _browser.shot(page, "jupyterlab-02")
    finally:
        context.close()
