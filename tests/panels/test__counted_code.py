"""The program that lab 01 shows is run, and comes to the figures that the lab shows."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from labkit.blueprint import BlueprintConfig, counted
from labkit.measure.energy import EnergyConfig
from labkit.panels._counted_code import program
from labkit.panels._counted_entry import entry_of
from labkit.panels._counted_state import State

CASES = {
    "as the lab opens": State(),
    "everything else": State(
        BlueprintConfig(kind="convolutional", width=0.5, depth=1, sparsity=0.35), EnergyConfig(bits=8, batch=4, buffer=1 << 10)
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_the_program_comes_to_the_figures_of_the_page(name: str, tmp_path: Path) -> None:
    state = CASES[name]
    (tmp_path / "program.py").write_text(program(state.network, state.chip), encoding="utf-8")
    command = [sys.executable, "-X", "utf8", "program.py"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, encoding="utf-8", timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    entry = entry_of(state, State(), "", None)
    said = {line.split()[0]: line.split(maxsplit=1)[1] for line in done.stdout.splitlines()}
    assert said["weights"] == f"{entry.weight_bytes:,} bytes"
    assert said["MACs"] == f"{entry.cost.effective_macs:,} an image, of {entry.cost.macs:,}"
    assert said["moved"].startswith(f"{entry.moved:,.0f} bytes an image")
    for part, energy in (entry.energy | {"energy": entry.y}).items():
        assert said[part] == f"{energy:.3g} µJ an image, modelled"
    assert re.fullmatch(rf"[\d.e-]+ ms for a batch of {state.chip.batch}", said["latency"])
    assert float(said["latency"].split()[0]) > 0
    for layer in counted(state.network).layers:
        assert re.fullmatch(r"[\d.e+]+ of [\d.e+]+ · 10⁹ operations a second", said[layer.name])


@pytest.mark.skipif(shutil.which("ruff", path=str(Path(sys.executable).parent)) is None, reason="ruff is not installed")
@pytest.mark.parametrize("name", CASES)
def test_it_is_formatted_as_ruff_formats(name: str) -> None:
    ruff = Path(sys.executable).parent / "ruff"
    text = program(CASES[name].network, CASES[name].chip)
    for command in (["format", "--check", "--isolated"], ["check", "--isolated", "--select", "E,F,I,B"]):
        done = subprocess.run([ruff, *command, "-"], input=text, capture_output=True, encoding="utf-8", check=False)
        assert done.returncode == 0, f"{done.stdout}{done.stderr}\n{text}"
