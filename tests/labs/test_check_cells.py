"""Who runs a check cell: nbval does and compares it, a served page does not."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import nbformat
import pytest
from voila.execute import VoilaExecutor

from benchmarks import check_cells
from tests.architecture.source import ROOT

NBVAL = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "--nbval", "--nbval-current-env", "--rootdir", "."]


def notebook(path: Path, check: str, shown: str) -> Path:
    """Write a notebook with a panel whose output is not compared, and a check cell that is said to have printed `shown`."""
    panel = {"source": "print(object())", "metadata": {"tags": ["nbval-ignore-output"]}, "execution_count": None, "outputs": []}
    output = {"output_type": "stream", "name": "stdout", "text": shown}
    cell = {"source": check, "metadata": {"tags": ["skip-execution"]}, "execution_count": 2, "outputs": [output]}
    cells = [{"cell_type": "code", "id": f"c{n}", **each} for n, each in enumerate((panel, cell))]
    kernel = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
    path.write_text(json.dumps({"cells": cells, "metadata": kernel, "nbformat": 4, "nbformat_minor": 5}))
    return path


@pytest.mark.parametrize(("shown", "status", "words"), [("holds\n", 0, "2 passed"), ("fails\n", 1, "1 failed, 1 passed")])
def test_nbval_runs_the_check_cell_and_compares_it(shown: str, status: int, words: str, tmp_path: Path) -> None:
    path = notebook(tmp_path / "lab.ipynb", "print('holds')", shown)
    done = subprocess.run([*NBVAL, "-c", "/dev/null", path.name], cwd=tmp_path, capture_output=True, text=True)
    assert (done.returncode, words in done.stdout) == (status, True), done.stdout


def test_voila_leaves_the_check_cell_alone(tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    path = notebook(tmp_path / "lab.ipynb", f"open({str(mark)!r}, 'w')", "holds\n")
    made = nbformat.read(path, as_version=4)
    VoilaExecutor(made).execute(made, {})
    assert "object object" in made.cells[0].outputs[0].text
    assert not mark.exists()
    made.cells[1].metadata.tags = []
    VoilaExecutor(made).execute(made, {})
    assert mark.exists()


def test_running_the_check_cells_saves_what_they_print(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = notebook(tmp_path / "02_x.ipynb", "print('holds')\nprint('×')", "old\n")
    monkeypatch.setattr(check_cells, "LABS", tmp_path)
    assert check_cells.main(["02"]) == 0
    panel, cell = check_cells.code_cells(json.loads(path.read_text(encoding="utf-8")))
    assert (cell["outputs"][0]["text"], cell["execution_count"]) == (["holds\n", "×\n"], 2)
    assert (panel["outputs"], panel["execution_count"]) == ([], None)


def test_a_check_cell_that_fails_leaves_its_notebook(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = notebook(tmp_path / "02_x.ipynb", "1 / 0", "old\n")
    before = path.read_bytes()
    monkeypatch.setattr(check_cells, "LABS", tmp_path)
    assert check_cells.main([]) == 1
    assert path.read_bytes() == before


def cells(path: Path) -> list[dict[str, Any]]:
    return check_cells.code_cells(json.loads(path.read_text(encoding="utf-8")))


@pytest.mark.parametrize("path", sorted((ROOT / "labs").glob("*.ipynb")), ids=lambda path: path.stem)
def test_a_panel_is_saved_without_its_widgets(path: Path) -> None:
    panels = [cell for cell in cells(path) if "panel()" in "".join(cell["source"])]
    assert all("nbval-ignore-output" in cell["metadata"].get("tags", []) and not cell["outputs"] for cell in panels)
    assert "widgets" not in json.loads(path.read_text(encoding="utf-8"))["metadata"]
