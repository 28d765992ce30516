"""The program that a lab shows is run, and comes to the accuracy and the bytes that the lab shows."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from labkit.core.progress import SILENT
from labkit.core.recipe import Recipe, from_dict
from labkit.execution import RunConfig
from labkit.panels._network_code import program
from labkit.workbench import Workbench

UNIFORM = {"name": "uniform_ratio", "sparsity": 0.6}
CASES = {
    "weight": [{"method": "magnitude", "ratio": UNIFORM}],
    "channel in some layers": [{"method": "magnitude", "granularity": "channel", "ratio": UNIFORM, "layers": "conv*"}],
    "global, then tuned": [
        {"method": "magnitude", "ratio": UNIFORM, "scope": "global", "p": 2.0},
        {"method": "masked_finetune", "lr_factor": 0.03, "flip": True},
    ],
}


def recipe(steps: list[dict[str, object]], seed: int = 0) -> Recipe:
    return from_dict({"version": 1, "network": "digits-small", "data": "digits", "seed": seed, "steps": steps})


@pytest.fixture(scope="module")
def bench() -> Workbench:
    return Workbench("digits-small")


@pytest.mark.parametrize("name", CASES)
def test_the_program_makes_the_network_that_the_lab_shows(name: str, bench: Workbench, tmp_path: Path) -> None:
    wanted = recipe(CASES[name], seed=3 if "tuned" in name else 0)
    (tmp_path / "program.py").write_text(program(wanted), encoding="utf-8")
    done = subprocess.run([sys.executable, "program.py"], cwd=tmp_path, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    made = bench.compress(wanted)
    *_, accuracy = bench.accuracy(made, SILENT)
    assert f"{accuracy.share:.2%} of 500 test images" in done.stdout
    assert re.search(r"latency +\d+\.\d\d ms for 64 images", done.stdout)
    assert (tmp_path / f"digits-small-{wanted.digest}.labkit").read_bytes() == bench.file(made)


@pytest.mark.parametrize("name", CASES)
def test_it_spells_out_a_recipe_with_the_same_digest(name: str) -> None:
    wanted = recipe(CASES[name], seed=5)
    text = program(wanted)
    beginning = text[: text.index("result = ")]
    found: dict[str, Recipe] = {}
    exec(compile(beginning, "program", "exec"), found)
    assert found["recipe"] == wanted
    assert len(text.splitlines()) < 60
    assert max(map(len, text.splitlines())) <= 88


@pytest.mark.skipif(shutil.which("ruff", path=str(Path(sys.executable).parent)) is None, reason="ruff is not installed")
@pytest.mark.parametrize("name", CASES)
def test_it_is_formatted_as_ruff_formats(name: str) -> None:
    ruff = Path(sys.executable).parent / "ruff"
    text = program(recipe(CASES[name]))
    for command in (["format", "--check", "--isolated"], ["check", "--isolated", "--select", "E,F,I,B"]):
        done = subprocess.run([ruff, *command, "-"], input=text, capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"{done.stdout}{done.stderr}\n{text}"


@pytest.mark.skipif(shutil.which("ruff", path=str(Path(sys.executable).parent)) is None, reason="ruff is not installed")
def test_lines_break_where_ruff_breaks_them_whatever_the_length() -> None:
    programs = [program(recipe([{"method": "uniform_ratio", "layers": "x" * n}, *CASES["weight"]])) for n in range(90)]
    programs += [
        program(recipe([{"method": "magnitude", "ratio": {"name": "uniform_ratio", "sparsity": 0.5 + 10**-n}}])) for n in range(1, 16)
    ]
    text = "\n".join(each[each.index("recipe = ") : each.index("\nresult = ")] for each in programs)
    command = [Path(sys.executable).parent / "ruff", "format", "--diff", "--isolated", "-"]
    done = subprocess.run(command, input=text, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def test_names_that_need_it_are_escaped() -> None:
    text = program(recipe([{"method": "magnitude", "layers": 'a"b\\c\nd'}]))
    found: dict[str, Recipe] = {}
    exec(compile(text[: text.index("result = ")], "program", "exec"), found)
    assert found["recipe"].steps[0].layers == 'a"b\\c\nd'


def test_the_program_times_the_network_as_the_lab_does() -> None:
    wanted = recipe(CASES["weight"])
    assert program(wanted) == program(wanted, RunConfig())
    one = program(wanted, RunConfig(batch=1, format="csr"))
    changed = [line for line in one.splitlines() if line not in program(wanted).splitlines()]
    assert changed == [
        "images = flow.load_data(recipe).test[:1]",
        'latency = flow.with_latency(found, result.compressed, images, formats="csr").latency',
    ]
