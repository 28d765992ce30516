"""labkit beside other engines, on the same networks: `make bench-peers`.

Each engine runs in a process of its own, in an environment of its own (DeepSparse needs an older NumPy than labkit), on an ONNX
file that labkit writes. All take turns, one call each a round, on one thread; a process whose turn it is not waits for its pipe.
A peer that is not installed, or that cannot run here, is left out by name.

    .venv/bin/python -m benchmarks.peers [--python .venv-peers/bin/python] [--rounds 31] [--json]
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch

from benchmarks._peer import ENGINES
from labkit.bench import network_case, to_onnx, zeros
from labkit.bench.networks import pruned
from labkit.cli_output import table
from labkit.measure import host, latency
from labkit.models import load
from labkit.runtime import compile  # noqa: A004

ROOT = Path(__file__).resolve().parents[1]
NETWORKS = ("vgg-small-bn", "lenet-300-100")
SHARES = (0.0, 0.8, 0.9, 0.95)
BATCHES = (1, 64)
WARM = 3


class Peer:
    """One engine on one network, in its own process; leaving the context ends it.

    Args:
        engine: one of `ENGINES`.
        python: interpreter of the peers' environment.
        folder: with model.onnx and input.npy.

    Attributes:
        why: it is left out; "" where it runs.
        version: of the engine.
    """

    def __init__(self, engine: str, python: Path, folder: Path) -> None:
        outputs = folder / f"{engine}.npy"
        command = [python, ROOT / "benchmarks" / "_peer.py", engine, folder / "model.onnx", folder / "input.npy", outputs]
        quiet = os.environ | {"NM_DISABLE_ANALYTICS": "1"}  # DeepSparse reports its use to its makers otherwise
        pipe = subprocess.PIPE
        self._process = subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=subprocess.DEVNULL, text=True, env=quiet)
        first = self._answer()
        self.version, self.why = first.get("version", ""), first.get("left_out", "")
        self.output = np.load(outputs) if not self.why else None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.communicate()  # closes its input, at which it ends

    def seconds(self) -> float:
        """Return the seconds of one call."""
        assert self._process.stdin is not None
        self._process.stdin.write("\n")
        self._process.stdin.flush()
        answer = self._answer()
        if isinstance(answer, dict):
            raise SystemExit(f"peers: an engine ended in the middle: {answer['left_out']}")
        return float(answer)

    def _answer(self) -> Any:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        return json.loads(line) if line else {"left_out": f"its process ended with code {self._process.wait()}"}


@dataclass(frozen=True)
class Row:
    """One network at one batch.

    Attributes:
        network, sparsity, batch: what ran.
        labkit_ms: median.
        ratios: engine → (first quartile, median, third quartile) of its time divided by labkit's in the same round.
        max_abs_error: engine → largest difference of the logits to torch's; "labkit" among them.
        left_out: engine → why.
    """

    network: str
    sparsity: float
    batch: int
    labkit_ms: float
    ratios: dict[str, tuple[float, float, float]]
    max_abs_error: dict[str, float]
    left_out: dict[str, str] = field(default_factory=dict)


def rows(python: Path, rounds: int, networks: tuple[str, ...] = NETWORKS) -> Iterator[Row]:
    """Measure network after network."""
    for name in networks:
        for share in SHARES:
            model, splits = pruned(name, load(name), share, "layer" if share else "")
            for batch in BATCHES:
                with latency.limited_threads(1):
                    yield row(name, share, model, splits.test[:batch].tensor(), (python, rounds))


@torch.inference_mode()
def row(name: str, share: float, model: torch.nn.Module, images: torch.Tensor, run: tuple[Path, int]) -> Row:
    """Measure one network on one batch; `run` is the peers' interpreter and the number of rounds."""
    python, rounds = run
    x, case = images.contiguous().numpy(), network_case(name, model, images, zeros(share))
    want = case.dense().numpy()
    with tempfile.TemporaryDirectory() as place, ExitStack() as stack:
        folder = Path(place)
        (folder / "model.onnx").write_bytes(to_onnx(compile(model, images, "dense"), len(x)))
        np.save(folder / "input.npy", x)
        peers = {engine: stack.enter_context(Peer(engine, python, folder)) for engine in ENGINES}
        errors = {engine: float(np.abs(peer.output - want).max()) for engine, peer in peers.items() if peer.output is not None}
        timers: dict[str, Callable[[], float]] = {"labkit": _timer(case.ours), "torch": _timer(case.dense)}
        times = in_turns(timers | {engine: peer.seconds for engine, peer in peers.items() if not peer.why}, rounds)
    ours = times.pop("labkit")
    ratios = {engine: _quartiles(each / ours) for engine, each in times.items()}
    left_out = {engine: peer.why for engine, peer in peers.items() if peer.why}
    return Row(name, share, len(x), 1e3 * float(np.median(ours)), ratios, {"labkit": case.error} | errors, left_out)


def in_turns(timers: Mapping[str, Callable[[], float]], rounds: int) -> dict[str, np.ndarray]:
    """Call all timers once a round, in an order that rotates, and return the seconds of each without the first rounds."""
    times: dict[str, list[float]] = {name: [] for name in timers}
    for turn in range(rounds + WARM):
        for name in latency.order(list(timers), turn):
            times[name].append(timers[name]())
    return {name: np.array(each[WARM:]) for name, each in times.items()}


def _timer(call: Callable[[], Any]) -> Callable[[], float]:
    def timed() -> float:
        call()
        before = time.perf_counter()
        call()
        return time.perf_counter() - before

    return timed


def _quartiles(values: np.ndarray) -> tuple[float, float, float]:
    low, median, high = np.percentile(values, (25, 50, 75))
    return float(low), float(median), float(high)


def in_words(row: Row) -> list[str]:
    """Return a row as it is printed: labkit's time, and how many times as long each of the others takes."""
    shown = [
        "{1:.2f} [{0:.2f}, {2:.2f}]".format(*row.ratios[engine]) if engine in row.ratios else "left out" for engine in ("torch", *ENGINES)
    ]
    return [row.network, f"{row.sparsity:.0%}", str(row.batch), f"{row.labkit_ms:.3f}", *shown]


def main() -> None:
    """Print one row for each network, share of zeros and batch."""
    parse = argparse.ArgumentParser(prog="python -m benchmarks.peers", description=__doc__.splitlines()[0])
    parse.add_argument("--python", type=Path, default=ROOT / ".venv-peers" / "bin" / "python", help="interpreter of the peers")
    parse.add_argument("--rounds", type=int, default=31, help="timed calls of each (default 31)")
    parse.add_argument("--only", choices=NETWORKS, help="one network")
    parse.add_argument("--json", action="store_true", help="print JSON")
    args = parse.parse_args()
    if not args.python.exists():
        parse.error(f"{args.python} is not there: `make bench-peers` makes it")
    found = list(rows(args.python, args.rounds, (args.only,) if args.only else NETWORKS))
    if args.json:
        print(json.dumps({"version": 1, "host": host.host(), "rows": [asdict(each) for each in found]}, indent=1))
        return
    print(f"one thread, {host.in_words(host.host())}; median of {args.rounds} rounds in turns, quartiles in brackets")
    table(("network", "zeros", "batch", "labkit ms", "× torch", *(f"× {engine}" for engine in ENGINES)), [in_words(each) for each in found])
    for engine, why in {engine: why for each in found for engine, why in each.left_out.items()}.items():
        print(f"{engine} is left out: {why}", file=sys.stderr)


if __name__ == "__main__":
    main()
