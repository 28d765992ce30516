"""Read exceptions.toml: the one list of what the architecture tests let pass."""

import tomllib
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from tests.architecture.source import ROOT

FILE = Path(__file__).with_name("exceptions.toml")


@dataclass(frozen=True)
class BudgetException:
    """A function or file that may exceed a budget, up to `most`, for a reason."""

    where: str
    budget: str
    most: int
    reason: str


@cache
def _read() -> dict[str, Any]:
    return tomllib.loads(FILE.read_text(encoding="utf-8"))


def budgets() -> dict[tuple[str, str], BudgetException]:
    """Return the exceptions to budgets by (where, budget)."""
    entries = [BudgetException(**entry) for entry in _read().get("budget", [])]
    return {(entry.where, entry.budget): entry for entry in entries}


def not_built() -> set[Path]:
    """Return the paths that papers may name although nothing is there yet."""
    return {ROOT / name for name in _read().get("not_built", {}).get("paths", [])}


def is_built(module: str) -> bool:
    """Return whether a module of ours is there, or at least ought to be: false only while it is listed as not built."""
    path = ROOT / Path(*module.split("."))
    listed = not_built()
    return not any(place in listed for place in (path, path.with_suffix(".py"), *path.parents))
