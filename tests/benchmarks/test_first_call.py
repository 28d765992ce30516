"""The benchmark of the first call runs a saved program in a new process."""

import numpy as np

from benchmarks import first_call
from labkit.formats.csr import CsrTensor
from labkit.runtime import Program
from labkit.runtime.steps import Step


def test_a_program_is_loaded_and_called_elsewhere(tmp_path):
    program = Program([Step("linear", "layer", (0,), CsrTensor.pack(np.eye(8, dtype=np.float32)))], (8,))
    row = first_call.row("eight zeros, batch 3", program, tmp_path, 1)
    assert row["first_ms"] > row["second_ms"] > 0
    assert row["load_ms"] > 0
    assert (row["verdict"] == "reached") == (row["load_ms"] + row["first_ms"] <= first_call.REACH_MS)


def test_every_case_makes_a_program():
    for name, make in first_call.CASES.items():
        if not name.startswith("vgg"):
            program = make()
            assert program(np.ones((int(name.split()[-1]), first_call.WIDTH), np.float32)).shape[1] == first_call.WIDTH
            assert (program.layers[0].input_bits == 8) == ("inputs of 8 bits" in name)
