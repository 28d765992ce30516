"""A lab that `labkit new-lab` begins works, passes the house's linter, and takes nobody's place."""

import importlib.util
import json
import shutil
import subprocess
import sys

import pytest

from labkit.core.errors import ConfigError, LabkitError
from labkit.new_lab import new_lab


@pytest.fixture
def checkout(root, tmp_path):
    """As much of a checkout as a new lab needs."""
    for folder in ("labs", "labkit/panels", "docs"):
        (tmp_path / folder).mkdir(parents=True)
    for name in ("CONTRIBUTING.md", "docs/labs.md"):
        shutil.copy(root / name, tmp_path / name)
    return tmp_path


def test_the_new_lab_works(checkout):
    said = new_lab("04_pruning_ratios", checkout)
    assert "labkit/panels/pruning_ratios.py" in said
    assert "its row is there" in said
    path = checkout / "labkit" / "panels" / "pruning_ratios.py"
    spec = importlib.util.spec_from_file_location("new_lab_of_a_test", path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    try:
        spec.loader.exec_module(module)
        assert module.LAB.name == "04_pruning_ratios"
        assert module.__doc__.startswith("Lab 04:")
        panel = module.PruningRatios(module.State(network="digits-small"), networks=("digits-small",))
        panel.controls["prune"].by_path[("ratio", "sparsity")].value = 0.8
        assert panel.worker.wait(60)
        assert "is-error" not in panel.status.widget.value
        assert panel.measured.accuracy.n == 500
        assert "some" in panel.guide.kept.steps
        panel.close()
    finally:
        del sys.modules[spec.name]


def test_its_code_and_notebook_keep_to_the_rules(checkout, root):
    new_lab("04_pruning_ratios", checkout)
    text = (checkout / "labkit" / "panels" / "pruning_ratios.py").read_text()
    for words in (["check"], ["format", "--check"]):
        command = [sys.executable, "-m", "ruff", *words, "--stdin-filename", "labkit/panels/pruning_ratios.py", "-"]
        made = subprocess.run(command, input=text, cwd=root, capture_output=True, text=True)
        assert made.returncode == 0, made.stdout
    notebook = json.loads((checkout / "labs" / "04_pruning_ratios.ipynb").read_text())
    assert "".join(notebook["cells"][0]["source"]).startswith("# Pruning ratios\n")
    assert "".join(notebook["cells"][1]["source"]) == "from labkit.panels.pruning_ratios import panel\n\npanel()"


@pytest.mark.parametrize(
    "name", ["", "pruning", "3_pruning", "04_Pruning", "04_", "04_a/../../b", "04 a", "04_a__b", "04_ratios\n", "٠٤_ratios"]
)
def test_a_name_of_another_form_is_refused(checkout, name):
    with pytest.raises(ConfigError, match="two digits and words"):
        new_lab(name, checkout)
    assert list((checkout / "labs").iterdir()) == []


def test_a_number_that_is_somebody_elses_is_refused(checkout):
    with pytest.raises(ConfigError, match="04_pruning_ratios under this number"):
        new_lab("04_other", checkout)
    assert "give it a row" in new_lab("22_other", checkout)


@pytest.mark.parametrize("there", ["labs/04_pruning_ratios.ipynb", "labkit/panels/pruning_ratios.py"])
def test_nothing_is_replaced(checkout, there):
    (checkout / there).write_text("mine")
    with pytest.raises(LabkitError, match="is there already"):
        new_lab("04_pruning_ratios", checkout)
    assert (checkout / there).read_text() == "mine"
    assert len([*(checkout / "labs").iterdir(), *(checkout / "labkit" / "panels").iterdir()]) == 1


def test_an_installed_copy_says_where_to_go(tmp_path):
    with pytest.raises(LabkitError, match="clone the repository"):
        new_lab("04_pruning_ratios", tmp_path)
