"""A program is its imports, its values spelled out as a formatter breaks them, and its end."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from labkit.blueprint import BlueprintConfig
from labkit.measure.energy import EnergyConfig
from labkit.panels._code import script


def test_it_imports_what_its_end_needs_and_the_values_types() -> None:
    text = script({"labkit": {"flow", "blueprint"}}, {"chip": EnergyConfig(bits=8), "network": BlueprintConfig()}, "print(chip)\n")
    assert text == (
        "from labkit import blueprint, flow\n"
        "from labkit.blueprint import BlueprintConfig\n"
        "from labkit.measure.energy import EnergyConfig\n"
        "\n"
        "chip = EnergyConfig(bits=8, batch=1, buffer=65536)\n"
        'network = BlueprintConfig(kind="linear", width=1.0, depth=2, sparsity=0.0)\n'
        "\n"
        "print(chip)\n"
    )


@pytest.mark.skipif(shutil.which("ruff", path=str(Path(sys.executable).parent)) is None, reason="ruff is not installed")
def test_a_value_is_broken_where_ruff_breaks_it_whatever_its_name() -> None:
    values = {"x" * n: BlueprintConfig() for n in range(1, 60)}
    text = script({}, values, "")
    assert "=BlueprintConfig(\n" not in text
    assert " = BlueprintConfig(\n" in text
    command = [Path(sys.executable).parent / "ruff", "format", "--diff", "--isolated", "-"]
    done = subprocess.run(command, input=text.rstrip() + "\n", capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
