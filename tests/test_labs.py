import json

import pytest

from labkit import labs
from labkit.core.errors import LabkitError, UnknownNameError
from labkit.labs import Lab, catalogue, find_lab, lab_names, labs_folder, title_of

NAMES = ["01_why_small", "02_pruning_granularity", "10_linear_quantization"]


@pytest.mark.parametrize("asked", ["02", "2", "02_pruning_granularity"])
def test_a_lab_is_found_by_number_or_name(asked):
    assert find_lab(asked, NAMES) == "02_pruning_granularity"


def test_a_number_is_not_a_prefix():
    assert find_lab("1", NAMES) == "01_why_small"
    assert find_lab("10", NAMES) == "10_linear_quantization"


def test_no_lab_means_home_or_else_the_first():
    assert find_lab(None, NAMES) == "01_why_small"
    assert find_lab(None, ["00_home", *NAMES]) == "00_home"


def test_an_unknown_lab_names_the_nearest():
    with pytest.raises(UnknownNameError, match="unknown lab '02_pruning_granularty': did you mean '02_pruning_granularity'"):
        find_lab("02_pruning_granularty", NAMES)


@pytest.mark.parametrize("asked", ["", "99", "²", "../01_why_small", "01_why_small.ipynb"])
def test_nothing_else_is_a_lab(asked):
    with pytest.raises(UnknownNameError):
        find_lab(asked, NAMES)


def test_names_are_the_notebooks_sorted(tmp_path):
    for name in ("02_b.ipynb", "01_a.ipynb", "notes.md"):
        (tmp_path / name).write_text("{}")
    (tmp_path / ".ipynb_checkpoints").mkdir()
    (tmp_path / ".ipynb_checkpoints" / "01_a-checkpoint.ipynb").write_text("{}")
    assert lab_names(tmp_path) == ["01_a", "02_b"]


def test_a_folder_without_notebooks_is_an_error(tmp_path):
    with pytest.raises(LabkitError, match="holds no lab"):
        lab_names(tmp_path)


def test_the_wheels_own_labs_come_before_those_of_a_checkout(tmp_path, monkeypatch):
    package = tmp_path / "labkit"
    (package / "serve").mkdir(parents=True)
    monkeypatch.setattr(labs, "_PACKAGE", package)
    with pytest.raises(LabkitError, match="the labs are missing"):
        labs_folder()
    (tmp_path / "labs").mkdir()
    assert labs_folder() == tmp_path / "labs"
    (package / "serve" / "labs").mkdir()
    assert labs_folder() == package / "serve" / "labs"


def notebook(path, *cells):
    path.write_text(json.dumps({"cells": [{"cell_type": kind, "source": text.splitlines(keepends=True)} for kind, text in cells]}))


def test_the_catalogue_has_what_is_there_and_listed_in_order(tmp_path, monkeypatch):
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "labs.md").write_text(
        "| lab | question | minutes | chapter |\n|---|---|---|---|\n| `00_home` | Where? | 2 | Motivation |\n"
        "| `01_why` | Why? | 15 | Motivation |\n| `02_b` | How | 9 | Pruning |\n| `03_gone` | What? | 5 | Pruning |\n"
    )
    monkeypatch.setattr(labs, "_PACKAGE", tmp_path / "labkit")
    for name in ("00_home", "02_b", "01_why", "99_unlisted"):
        notebook(tmp_path / f"{name}.ipynb", ("markdown", f"# Title of {name}\n\ntext"))
    assert catalogue(tmp_path) == [
        Lab("01_why", "Title of 01_why", "Why?", 15, "Motivation"),
        Lab("02_b", "Title of 02_b", "How", 9, "Pruning"),
    ]


def test_a_title_is_the_first_heading(tmp_path):
    notebook(tmp_path / "02_x.ipynb", ("code", "# no\n"), ("markdown", "# Shapes of pruning\ntext"))
    assert title_of(tmp_path / "02_x.ipynb") == "Shapes of pruning"
    notebook(tmp_path / "02_x.ipynb", ("code", "# no\n"))
    with pytest.raises(LabkitError, match="title"):
        title_of(tmp_path / "02_x.ipynb")
