"""The committed results of `make claims`: where they lie, what they must hold, and when a claim holds.

A claim is judged by an interval, never by a point: with the 95 % interval [low, high] of a figure that is claimed to reach
a bound b, it `holds` where low ≥ b, `fails` where high < b, and is `open` in between.
"""

import json
import textwrap
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from labkit.core.errors import FileFormatError
from labkit.core.files import read_limited

HOLDS, FAILS, OPEN = "holds", "fails", "open"
MOST_BYTES = 1 << 20
WIDTH = 110  # characters a line
_PACKAGE = Path(__file__).resolve().parents[1]
_KEYS = {"claim", "methods", "verdict", "seeds", "figures"}


def verdict(low: float, high: float, *, at_least: float) -> str:
    """Return what an interval says of the claim that a figure reaches `at_least`; turn the signs round for "at most"."""
    if low >= at_least:
        return HOLDS
    return FAILS if high < at_least else OPEN


def together(verdicts: Iterable[str]) -> str:
    """Return the verdict on a claim of several parts: one that fails fails it, and it holds only where all do."""
    found = list(verdicts)
    if not found or (OPEN in found and FAILS not in found):
        return OPEN
    return FAILS if FAILS in found else HOLDS


def folder() -> Path:
    """Return where the results lie: the wheel's own copy, else `benchmarks/results` of the checkout.

    Raises:
        FileFormatError: neither is there.
    """
    places = (_PACKAGE / "results", _PACKAGE.parent / "benchmarks" / "results")
    for place in places:
        if place.is_dir():
            return place
    raise FileFormatError(f"the results of `make claims` are missing: looked in {places[0]} and {places[1]}; install labkit again")


def read(lab: str, place: Path | None = None) -> dict[str, Any]:
    """Read what was measured of a lab's claims.

    Args:
        lab: its number ("02").
        place: folder of the results; `folder()` unless given.

    Raises:
        FileFormatError: the file is missing or of another form.
    """
    path = (place or folder()) / f"{lab}.json"
    try:
        content = json.loads(read_limited(path, MOST_BYTES))
    except ValueError as error:
        raise FileFormatError(f"{path} must hold JSON ({error}): measure it anew with `make claims`") from error
    claims = content.get("claims") if isinstance(content, dict) and content.get("version") == 1 else None
    if not isinstance(claims, list) or not all(_is_claim(each) for each in claims) or not {"lab", "host"} <= content.keys():
        raise FileFormatError(f"{path} must hold version 1 with lab, host and claims: measure it anew with `make claims`")
    return dict(content)


def report(lab: str, place: Path | None = None) -> str:
    """Return the verdicts on a lab's claims, each in front of its sentence."""
    return "\n".join(line(each["verdict"], each["claim"]) for each in read(lab, place)["claims"])


def line(found: str, sentence: str) -> str:
    """Return a verdict and the sentence that it is on, wrapped so that the verdicts stand in a column of their own."""
    return textwrap.fill(sentence, WIDTH, initial_indent=f"{found:<7}", subsequent_indent=" " * 7)


def _is_claim(claim: Any) -> bool:
    return isinstance(claim, dict) and claim.keys() >= _KEYS and claim["verdict"] in (HOLDS, FAILS, OPEN)
