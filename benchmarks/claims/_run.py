"""Measure the claims of a lab, write its results, and keep what was not asked for as it was."""

import json
import os
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.claims._claim import Claim, Finding, Scale
from benchmarks.claims._journal import Journal
from labkit.checks.results import OPEN
from labkit.core.files import write_atomic

QUIET = 0.7
"""Load average of the last minute above which times are noise; this process, once idle, falls below it in half a minute."""
POLL_S = 5.0


def measure(
    claim: Claim, scale: Scale, journal: Journal, say: Callable[[str], None], wait: Callable[[], str] = lambda: ""
) -> Finding | str:
    """Measure the cases of a claim that the journal does not have, and judge it.

    Args:
        claim: to measure.
        scale: how much.
        journal: of its lab.
        say: hears of each case.
        wait: called before each case of a serial claim; returns "" once the machine is quiet, else why it is not.

    Returns:
        The finding, or why it is left open.
    """
    values: dict[str, Any] = {}
    cases = claim.cases(scale)
    for n, case in enumerate(cases, start=1):
        identity = case.identity(scale)
        value = journal.get(identity)
        if value is None:
            reason = wait() if claim.serial else ""
            if reason:
                return f"not measured: {reason}"
            began = time.perf_counter()
            value = case.measure()
            journal.add(identity, case.name, value)
            say(f"{claim.name}: {n} of {len(cases)}, {case.name}, {time.perf_counter() - began:.1f} s")
        values[case.name] = value
    return claim.judge(values)


def wait_until_quiet(minutes: float) -> str:
    """Wait until the machine is quiet; return "", or after `minutes` why times cannot be measured."""
    until = time.monotonic() + 60 * minutes
    while (load := os.getloadavg()[0]) > QUIET:
        if time.monotonic() > until:
            return f"the load average stayed at {load:.1f}, and above {QUIET:g} times are noise"
        time.sleep(POLL_S)
    return ""


def row(claim: Claim, found: Finding | str) -> dict[str, Any]:
    """Return a claim's entry in the results."""
    known = {"name": claim.name, "claim": claim.claim, "methods": list(claim.methods)}
    if isinstance(found, str):
        return known | {"verdict": OPEN, "seeds": claim.seeds, "over": claim.over, "figures": [], "note": found}
    return known | {
        "verdict": found.verdict,
        "seeds": claim.seeds,
        "over": claim.over,
        "figures": [figure.to_dict() for figure in found.figures],
    }


def merged(
    claims: Sequence[Claim], fresh: Mapping[str, dict[str, Any]], asked: Sequence[Claim], path: Path, host: Mapping[str, Any]
) -> list[dict[str, Any]]:
    """Return the rows of all claims in their order: the fresh ones, and for the others what the file has.

    Args:
        claims: of the lab.
        fresh: rows by the claim's name.
        asked: what is being measured: of another machine's rows of these nothing is kept, measured yet or not.
        path: of the results so far; it need not be there.
        host: this machine.

    Raises:
        ValueError: rows would be kept that another machine measured.
    """
    before: dict[str, Any] = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {"host": host, "claims": []}
    old = {each.get("name"): each for each in before["claims"]}
    kept = {claim.name for claim in claims} & old.keys() - {claim.name for claim in asked}
    if before["host"] != host:
        old = {}
    if kept and not old:
        raise ValueError(f"{path.name} was measured on another machine or with other packages: measure all of its claims, not only some")
    rows: dict[str, dict[str, Any]] = {**old, **fresh}
    return [rows.get(claim.name) or row(claim, "not measured: it was not asked for yet") for claim in claims]


def write(path: Path, lab: str, host: Mapping[str, Any], rows: Sequence[Mapping[str, Any]]) -> None:
    """Write a lab's results, whole or not at all."""
    content = {"version": 1, "lab": lab, "host": host, "claims": rows}
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomic(path, (json.dumps(content, indent=2, ensure_ascii=False) + "\n").encode())
