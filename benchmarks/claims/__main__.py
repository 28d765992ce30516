"""Measure the claims of the labs: `python -m benchmarks.claims [NAME…] [--quick]`; `make claims` does all of them.

NAME is a lab ("02") or one of its claims ("02.finer"); what is not named stays as it was. Raw results are kept in
benchmarks/raw/NN.jsonl as they arrive, so that a run that was stopped goes on; once every claim of the lab is measured
the file is deleted, and benchmarks/results/NN.json is the result. Claims of time come last and wait for a quiet machine.
"""

import argparse
import importlib
import pkgutil
import sys
import tempfile
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any

import torch

import benchmarks.claims
from benchmarks.claims import _run
from benchmarks.claims._claim import QUICK, Claim, Scale
from benchmarks.claims._journal import Journal, stamp
from labkit.core.errors import unknown_name
from labkit.measure.host import host, in_words

RESULTS = Path(__file__).resolve().parents[1] / "results"


def main(argv: Sequence[str] | None = None) -> int:
    """Measure, print each verdict, write the results; 0 unless a name is wrong."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.claims", description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME", help="a lab (02) or a claim (02.finer); all unless given")
    parser.add_argument("--quick", action="store_true", help="few images, seeds and rounds, to see that it runs; writes no results")
    parser.add_argument("--threads", type=int, help="threads of torch for training and accuracy (default: torch's own)")
    parser.add_argument("--wait", type=float, default=10.0, metavar="MIN", help="longest wait for a quiet machine (default 10 minutes)")
    args = parser.parse_args(argv)
    if args.threads:
        torch.set_num_threads(args.threads)
    chosen = choose(labs(), args.names)
    wait = (lambda: "") if args.quick else partial(_run.wait_until_quiet, args.wait)
    with tempfile.TemporaryDirectory() as scratch:
        for number, (module, claims) in chosen.items():
            measure_lab(
                number, module, claims, Path(scratch) / "results" if args.quick else RESULTS, QUICK if args.quick else Scale(), wait
            )
    if args.quick:
        print("quick: nothing was written, and the verdicts mean nothing")
    return 0


def labs() -> dict[str, ModuleType]:
    """Return the modules of claims by the lab's number."""
    found = [module.name for module in pkgutil.iter_modules(benchmarks.claims.__path__) if module.name.startswith("lab_")]
    return {name.removeprefix("lab_"): importlib.import_module(f"benchmarks.claims.{name}") for name in sorted(found)}


def choose(modules: dict[str, ModuleType], names: Sequence[str]) -> dict[str, tuple[ModuleType, list[Claim]]]:
    """Return, for each lab that is asked for, its module and the claims asked for.

    Raises:
        UnknownNameError: a name is neither a lab nor a claim.
    """
    known = {number: list(module.CLAIMS) for number, module in modules.items()}
    every = {f"{number}.{claim.name}" for number, claims in known.items() for claim in claims} | known.keys()
    for name in names:
        if name not in every:
            raise unknown_name("lab or claim", name, sorted(every))
    wanted = set(names or known)
    chosen = {number: [each for each in claims if wanted & {number, f"{number}.{each.name}"}] for number, claims in known.items()}
    return {number: (modules[number], claims) for number, claims in chosen.items() if claims}


def measure_lab(number: str, module: ModuleType, claims: list[Claim], folder: Path, scale: Scale, wait: Callable[[], str]) -> None:
    """Measure some claims of one lab, those of time last; write after each, so that what is there is never older than need be."""
    facts, path = host(), folder / f"{number}.json"
    journal = Journal(folder.with_name("raw") / f"{number}.jsonl", stamp(in_words(facts)))
    fresh: dict[str, dict[str, Any]] = {}
    _run.merged(module.CLAIMS, fresh, claims, path, facts)  # fails now, not after minutes of measuring
    for claim in sorted(claims, key=lambda each: each.serial):
        found = _run.measure(claim, scale, journal, lambda line: print(line, flush=True), wait)
        fresh[claim.name] = _run.row(claim, found)
        print(f"{number}.{claim.name}: {fresh[claim.name]['verdict']}{': ' + found if isinstance(found, str) else ''}", flush=True)
        rows = _run.merged(module.CLAIMS, fresh, claims, path, facts)
        _run.write(path, module.LAB, facts, rows)
        if all("note" not in each for each in rows):
            journal.delete()


if __name__ == "__main__":
    sys.exit(main())
