"""The scripts behind `make`: no ring passes in silence without tests, and the right Python is found."""

import os
import subprocess
from pathlib import Path

import pytest

from tests.architecture.source import ROOT


def ring(folder: Path, exit_status: int, *, not_built: str = "", pytest_runs: bool = True) -> tuple[int, str]:
    """Run a ring called `unit` whose command exits with `exit_status`; return its own exit status and all it said."""
    (folder / ".venv").mkdir(exist_ok=True)
    command = ["bash", "-c", f"exit {exit_status}", *(["-m", "pytest", "tests"] if pytest_runs else [])]
    environment = os.environ | {"RINGS_NOT_BUILT": not_built}
    done = subprocess.run([ROOT / ".ci" / "ring", "unit", "heading", *command], cwd=folder, env=environment, capture_output=True, text=True)
    return done.returncode, done.stdout + done.stderr


@pytest.mark.parametrize(
    ("exit_status", "not_built", "pytest_runs", "expected", "words"),
    [
        (0, "", True, 0, "unit: passed"),
        (1, "", True, 1, "FAILED: heading (exit status 1)"),
        (5, "", True, 5, "found no tests at all"),
        (5, "serial unit", True, 0, "HAS NO TESTS YET"),
        (0, "serial unit", True, 1, "take it out of RINGS_NOT_BUILT"),
        (1, "serial unit", True, 1, "FAILED: heading (exit status 1)"),
        (5, "unit", False, 5, "FAILED: heading (exit status 5)"),
        (0, "units", True, 0, "unit: passed"),
    ],
)
def test_a_ring_tells_passed_failed_and_empty_apart(
    exit_status: int, not_built: str, pytest_runs: bool, expected: int, words: str, tmp_path: Path
) -> None:
    code, said = ring(tmp_path, exit_status, not_built=not_built, pytest_runs=pytest_runs)
    assert code == expected
    assert "==== heading" in said
    assert words in said


def test_the_summary_lists_each_ring_with_its_time(tmp_path: Path) -> None:
    ring(tmp_path, 0)
    ring(tmp_path, 1)
    done = subprocess.run([ROOT / ".ci" / "ring", "--summary"], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert [line.split()[0] + line.split()[-1] for line in done.stdout.splitlines() if " s " in line] == ["unitpassed", "unitFAILED"]


def find_python(folder: Path, fakes: dict[str, str], named: str = "") -> tuple[int, str]:
    """Run find-python where only `fakes` are on the PATH: name → body of a shell script."""
    for name, body in fakes.items():
        (folder / name).write_text(f"#!/bin/sh\n{body}\n")
        (folder / name).chmod(0o755)
    script = [_which("bash"), ROOT / ".ci" / "find-python", named]
    done = subprocess.run(script, env={"PATH": str(folder)}, capture_output=True, text=True)
    return done.returncode, done.stdout + done.stderr


def _which(name: str) -> str:
    return subprocess.run(["sh", "-c", f"command -v {name}"], capture_output=True, text=True, check=True).stdout.strip()


GOOD, OLD, PLACEHOLDER = "exit 0", "exit 1", "echo 'not installed' >&2; exit 127"
WITHOUT_VENV = 'case "$2" in *ensurepip*) exit 1 ;; esac'


@pytest.mark.parametrize(
    ("fakes", "named", "expected"),
    [
        ({"python3": GOOD}, "", "python3"),
        ({"python3.11": GOOD, "python3.12": GOOD, "python3": GOOD}, "", "python3.12"),
        ({"python3.13": PLACEHOLDER, "python3.11": GOOD}, "", "python3.11"),
        ({"python3.12": WITHOUT_VENV, "python3": GOOD}, "", "python3"),
        ({"python3.13": GOOD, "mine": GOOD}, "mine", "mine"),
    ],
)
def test_the_newest_python_that_runs_is_taken(fakes: dict[str, str], named: str, expected: str, tmp_path: Path) -> None:
    assert find_python(tmp_path, fakes, named) == (0, expected + "\n")


@pytest.mark.parametrize(
    ("fakes", "named", "words"),
    [
        ({}, "", "no Python 3.11 or newer was found"),
        ({"python3": OLD}, "", "no Python 3.11 or newer was found"),
        ({"python3": WITHOUT_VENV}, "", "python3-venv"),
        ({"python3": GOOD, "mine": OLD}, "mine", "mine is not a Python 3.11 or newer that runs"),
    ],
)
def test_where_there_is_none_a_sentence_says_what_to_do(fakes: dict[str, str], named: str, words: str, tmp_path: Path) -> None:
    code, said = find_python(tmp_path, fakes, named)
    assert code == 1
    assert words in said
    assert said.count("\n") == 1
