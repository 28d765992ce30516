"""How long the first call takes after `labkit warm`: `python -m benchmarks.first_call [--repeats N] [--json FILE]`.

Writes programs to files, and for each starts new processes that import labkit's runtime, load the program, and call it. Imports
are not counted; loading, in which weights are laid out for their kernels, and the first call, in which compiled kernels come
from the cache, are; most of the first call is Numba importing its own library. The second call shows what the network takes.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from labkit import flow
from labkit.core.recipe import Recipe
from labkit.core.recipe import Step as RecipeStep
from labkit.core.records import Compressed
from labkit.formats import Format
from labkit.formats.binary import BinaryTensor
from labkit.formats.codebook import CodebookTensor
from labkit.formats.csr import CsrTensor
from labkit.formats.linear import LinearTensor
from labkit.formats.n_m import NMTensor
from labkit.formats.ternary import TernaryTensor
from labkit.formats.vector_sparse import VectorSparseTensor
from labkit.measure.host import host, in_words
from labkit.models import load
from labkit.pruning.criterion.magnitude import MagnitudeConfig
from labkit.pruning.ratio.uniform_ratio import UniformRatioConfig
from labkit.runtime import Program, compile  # noqa: A004
from labkit.runtime.steps import Step
from labkit.runtime.warm import warm

REACH_MS = 400.0
WIDTH = 256
CHILD = """
import json, sys, time
from pathlib import Path
import numpy as np
from labkit.runtime import Program
from labkit.runtime.kernels import dense, interpret, csr_linear, vector_linear, n_m_linear, lookup_linear, byte_lookup_linear
import labkit.runtime.packed, labkit.runtime.sparse
path, batch = Path(sys.argv[1]), int(sys.argv[2])
times = [time.perf_counter()]
program = Program.load(path)
x = np.zeros((batch, *program.image), np.float32)
times.append(time.perf_counter())
for _ in range(2):
    program(x)
    times.append(time.perf_counter())
print(json.dumps([1e3 * (b - a) for a, b in zip(times, times[1:])]))
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Measure, print the table, and write it as JSON if asked; 1 where a case misses the reach."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=5, help="new processes for each case (default 5)")
    parser.add_argument("--only", default="", help="cases whose name holds this")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the result here as well")
    args = parser.parse_args(argv)
    warm()
    chosen = {name: make for name, make in CASES.items() if args.only in name}
    with tempfile.TemporaryDirectory() as folder:
        rows = [row(name, make(), Path(folder), args.repeats) for name, make in chosen.items()]
    for each in rows:
        print("{what:44s} load {load_ms:6.0f} ms   first call {first_ms:6.0f} ms   second {second_ms:7.2f} ms   {verdict}".format(**each))
    print(in_words(host()))
    if args.json:
        args.json.write_text(json.dumps({"host": in_words(host()), "rows": rows}, indent=2, ensure_ascii=False) + "\n")
    return int(any(each["verdict"] != "reached" for each in rows))


def row(name: str, program: Program, folder: Path, repeats: int) -> dict[str, Any]:
    """Return the medians of a case over new processes.

    Args:
        name: of the case; what follows its last space is the batch.
        program: what is saved, loaded and called.
        folder: for its file.
        repeats: processes.
    """
    path = folder / "program.safetensors"
    program.save(path)
    command = [sys.executable, "-c", CHILD, str(path), name.split()[-1]]
    runs = [json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout) for _ in range(repeats)]
    load_ms, first_ms, second_ms = (statistics.median(column) for column in zip(*runs, strict=True))
    verdict = "reached" if load_ms + first_ms <= REACH_MS else f"above {REACH_MS:.0f} ms"
    return {"what": name, "load_ms": load_ms, "first_ms": first_ms, "second_ms": second_ms, "n": repeats, "verdict": verdict}


def _network() -> Program:
    step = RecipeStep(MagnitudeConfig(ratio=UniformRatioConfig(sparsity=0.9), scope="global"))
    recipe = Recipe("vgg-small-bn", "fashion-mnist", (step,))
    splits = flow.load_data(recipe)
    compressed = flow.compress(Compressed(model=load(recipe.network), network=recipe.network), recipe, splits)
    return compile(compressed, splits.test[:1].tensor(), "rule")


def _linear(weight: Format, input_bits: int = 32) -> Program:
    return Program([Step("linear", weight.kind, (0,), weight, input_bits=input_bits)], (WIDTH,))


def _sparse(share: float, block: int = 1) -> NDArray[np.float32]:
    rng = np.random.default_rng(0)
    kept = np.repeat(rng.random((WIDTH // block, WIDTH)) >= share, block, axis=0)
    return (rng.standard_normal((WIDTH, WIDTH)) * kept).astype(np.float32) + np.float32(0)


def _two_of_four() -> NDArray[np.float32]:
    weight = np.random.default_rng(0).standard_normal((WIDTH, WIDTH)).astype(np.float32)
    return weight * np.tile([1, 0, 0, 1], (WIDTH, WIDTH // 4)).astype(np.float32)


def _coded() -> dict[str, Format]:
    """Return weights that are codes, by name."""
    rng, shape = np.random.default_rng(0), (WIDTH, WIDTH)
    return {
        "codebook 2 bits": CodebookTensor.pack(rng.integers(0, 4, shape), rng.standard_normal(4)),
        "codebook 4 bits": CodebookTensor.pack(rng.integers(0, 16, shape), rng.standard_normal(16)),
        "ternary": TernaryTensor.pack(rng.integers(-1, 2, shape), 0.1),
        "binary": BinaryTensor.pack(rng.random(shape) < 0.5, 0.1),
        "int4 groups of 128": LinearTensor.pack(rng.integers(-8, 8, shape), np.full(2 * WIDTH, 0.1), bits=4, group=128),
    }


CASES: dict[str, Callable[[], Program]] = {
    **{f"vgg-small-bn at 90 %, batch {batch}": _network for batch in (1, 64)},
    **{f"csr 90 %, batch {batch}": lambda: _linear(CsrTensor.pack(_sparse(0.9))) for batch in (1, 64)},
    **{f"blocks of 4 90 %, batch {batch}": lambda: _linear(VectorSparseTensor.pack(_sparse(0.9, 4), block=4)) for batch in (1, 64)},
    **{f"2:4, batch {batch}": lambda: _linear(NMTensor.pack(_two_of_four(), m=4)) for batch in (1, 64)},
    **{f"{name}, batch 1": lambda name=name: _linear(_coded()[name]) for name in _coded()},
    **{f"{name}, inputs of 8 bits, batch 1": lambda name=name: _linear(_coded()[name], 8) for name in _coded()},
}


if __name__ == "__main__":
    raise SystemExit(main())
