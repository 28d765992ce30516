import pytest

from labkit.core.errors import LabkitError, UnknownNameError
from labkit.serve import _folder
from labkit.serve._folder import find_lab, lab_names, labs_folder

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
    package = tmp_path / "labkit" / "serve"
    package.mkdir(parents=True)
    monkeypatch.setattr(_folder, "_PACKAGE", package)
    with pytest.raises(LabkitError, match="the labs are missing"):
        labs_folder()
    (tmp_path / "labs").mkdir()
    assert labs_folder() == tmp_path / "labs"
    (package / "labs").mkdir()
    assert labs_folder() == package / "labs"
