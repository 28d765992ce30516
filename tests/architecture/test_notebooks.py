"""Labs are thin, and nothing in them escapes the comparison with fresh outputs."""

import ast
import json
from pathlib import Path
from typing import Any

import pytest
from PIL import Image, ImageStat

from labkit.labs import HOME, THEMES, catalogue, picture_name
from labkit.panels.home import PICTURE_SIZE
from tests.architecture.papers import table
from tests.architecture.source import ROOT, tracked

LABS = [path for path in tracked(".ipynb") if path.parent == ROOT / "labs"]
CELLS, LINES = 4, 25
CHAPTERS = ("Motivation", "Pruning", "Quantization", "Architecture search")
CARD_BYTES = 40_000


def code_cells(path: Path) -> list[dict[str, Any]]:
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    return [cell for cell in cells if cell["cell_type"] == "code"]


def source_of(cell: dict[str, Any]) -> str:
    text = cell["source"]
    return text if isinstance(text, str) else "".join(text)


def is_check(cell: dict[str, Any]) -> bool:
    """Tell whether a cell checks the lab's claim: it calls something called check."""
    calls = [node.func for node in ast.walk(ast.parse(source_of(cell))) if isinstance(node, ast.Call)]
    return any(ast.unparse(each).split(".")[-1].startswith("check") for each in calls)


def faults(path: Path) -> list[str]:
    """Return one sentence for each rule that a notebook breaks."""
    cells, found = code_cells(path), []
    if len(cells) > CELLS:
        found.append(f"has {len(cells)} code cells, at most {CELLS} are allowed")
    for n, cell in enumerate(cells, 1):
        text, tags = source_of(cell), cell["metadata"].get("tags", [])
        if len(text.splitlines()) > LINES:
            found.append(f"code cell {n} has {len(text.splitlines())} lines, at most {LINES} are allowed")
        if any(isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef | ast.Lambda) for node in ast.walk(ast.parse(text))):
            found.append(f"code cell {n} defines something: definitions live in labkit/")
        if cell["outputs"] and cell["execution_count"] is None:
            found.append(f"code cell {n} has outputs but no execution count, so nbval never compares it: run it and save")
        if is_check(cell) and "skip-execution" not in tags:
            found.append(f"code cell {n} checks a claim and must be tagged skip-execution, or every visitor of a served page pays for it")
        if "skip-execution" in tags and (cell["execution_count"] is None or not cell["outputs"]):
            found.append(f"code cell {n} is a check cell without a committed output, so nothing is ever compared with it: run it and save")
    return found


def names_in_the_catalogue() -> list[str]:
    return [row["lab"].strip("`") for row in table((ROOT / "docs" / "labs.md").read_text(encoding="utf-8"), "lab")]


@pytest.mark.parametrize("path", LABS, ids=lambda path: path.stem)
def test_lab_keeps_to_the_rules(path: Path) -> None:
    assert not (found := faults(path)), f"{path.name}: {found}"


@pytest.mark.parametrize("path", [lab for lab in LABS if lab.stem != HOME], ids=lambda path: path.stem)
def test_lab_checks_its_claim_once(path: Path) -> None:
    checks = [cell for cell in code_cells(path) if "skip-execution" in cell["metadata"].get("tags", [])]
    assert len(checks) == 1, f"{path.name} must have one check cell, tagged skip-execution; it has {len(checks)}"


def test_every_lab_is_in_the_catalogue_in_order() -> None:
    names = names_in_the_catalogue()
    assert names == sorted(set(names))
    assert len(names) == 22
    assert [name[:3] for name in names] == [f"{n:02}_" for n in range(22)]
    assert {path.stem for path in LABS} <= set(names), "docs/labs.md has a row for each lab"


@pytest.mark.parametrize("path", [lab for lab in LABS if lab.stem != HOME], ids=lambda path: path.stem)
def test_lab_has_all_that_its_card_in_the_home_lab_shows(path: Path) -> None:
    (lab,) = [each for each in catalogue(ROOT / "labs") if each.name == path.stem]
    assert lab.question.endswith("?")
    assert 5 <= lab.minutes <= 60
    assert lab.chapter in CHAPTERS
    pictures = {theme: ROOT / "labs" / "pictures" / picture_name(lab.name, theme) for theme in THEMES}
    missing = [file.name for file in pictures.values() if not file.exists()]
    assert not missing, f"take them: python -m benchmarks.pictures --lab {path.stem[:2]} --only-cards"
    grey = {}
    for theme, file in pictures.items():
        assert file.stat().st_size <= CARD_BYTES
        with Image.open(file) as picture:
            assert (picture.format, picture.size) == ("WEBP", PICTURE_SIZE)
            assert min(high - low for low, high in picture.getextrema()) > 40, f"{file.name} shows nothing"
            grey[theme] = ImageStat.Stat(picture.convert("L")).mean[0]
    assert grey["dark"] < 128 < grey["light"], "each theme has a picture of its own"


def test_every_picture_is_of_a_lab_that_is_there() -> None:
    labs = {path.stem[:2] for path in LABS}
    assert [path.name for path in tracked(".webp") if path.name[:2] not in labs] == []


def _cell(source: str, tags: tuple[str, ...] = (), count: int | None = 1, outputs: bool = False) -> dict[str, Any]:
    shown = [{"output_type": "stream", "name": "stdout", "text": "holds"}] if outputs else []
    return {"cell_type": "code", "source": source, "metadata": {"tags": list(tags)}, "execution_count": count, "outputs": shown}


@pytest.mark.parametrize(
    ("cells", "words"),
    [
        ([_cell("x = 1")] * 5, "at most 4"),
        ([_cell("x = 1\n" * 26)], "at most 25"),
        ([_cell("def f(): ...")], "defines"),
        ([_cell("f = lambda: 1")], "defines"),
        ([_cell("x", count=None, outputs=True)], "never compares"),
        ([_cell("flow.check('02')", outputs=True)], "tagged skip-execution"),
        ([_cell("flow.check('02')", ("skip-execution",))], "without a committed output"),
        ([_cell("flow.check('02')", ("skip-execution",), outputs=True), _cell("x = 1")], None),
    ],
)
def test_the_rules_catch(cells: list[dict[str, Any]], words: str | None, tmp_path: Path) -> None:
    path = tmp_path / "99_test.ipynb"
    path.write_text(json.dumps({"cells": cells, "metadata": {}, "nbformat": 4, "nbformat_minor": 5}))
    found = faults(path)
    assert (found == []) if words is None else (len(found) == 1 and words in found[0])
