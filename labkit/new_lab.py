"""Begin a lab: a panel and a notebook made from the lab that CONTRIBUTING.md shows whole, which its tests run."""

import json
import re
from pathlib import Path
from typing import Any

from labkit.core.errors import ConfigError, LabkitError
from labkit.core.files import write_atomic

_NAME = re.compile(r"[0-9]{2}_[a-z][a-z0-9]*(?:_[a-z0-9]+)*")
_BLOCK = re.compile(r'^```python\n("""Lab .*?)\n\n\n# What follows is the test of it\.\n', re.MULTILINE | re.DOTALL)
_SHOWN, _SHOWN_CLASS = "03_pruning_criteria", "PruningCriteria"

NEXT = """Made {panel} and {notebook}: a working lab on magnitude pruning, for you to change.

  labkit lab {number}        look at it
  docs/labs.md         {row}
  the panel            its steps, guess, challenge, controls and views
  the notebook         a title, an introduction, questions
  benchmarks/claims/   what the lab claims; then the check cell, tagged skip-execution and saved with its output
  tests/panels/        a test_{topic}.py
  make docs            the tables of the README; CHANGELOG.md gets a line"""


def new_lab(name: str, root: Path | None = None) -> str:
    """Write the first version of a lab and return what to do next.

    Args:
        name: as in docs/labs.md, "03_pruning_criteria".
        root: the checkout; None for the one that this file is in.

    Raises:
        ConfigError: `name` is not of that form, or docs/labs.md has another lab of this number.
        LabkitError: this is no checkout, or one of the files is there already.
    """
    root = Path(__file__).resolve().parents[1] if root is None else root
    paper, catalogue = root / "CONTRIBUTING.md", root / "docs" / "labs.md"
    if not (paper.is_file() and catalogue.is_file() and (root / "labs").is_dir()):
        raise LabkitError("new-lab writes into a checkout of labkit, and this is an installed copy: clone the repository and run it there")
    if not _NAME.fullmatch(name):
        raise ConfigError(f"a lab's name must be two digits and words, as in docs/labs.md ({_SHOWN}), got {name!r}")
    listed = re.findall(r"^\| `(\w+)` \|", catalogue.read_text(encoding="utf-8"), re.MULTILINE)
    other = next((each for each in listed if each[:3] == name[:3] and each != name), None)
    if other is not None:
        raise ConfigError(f"docs/labs.md has {other} under this number: give the lab that name, or change its row first")
    topic = name[3:]
    panel, notebook = root / "labkit" / "panels" / f"{topic}.py", root / "labs" / f"{name}.ipynb"
    for path in (panel, notebook):
        if path.exists():
            raise LabkitError(f"{path} is there already: nothing was written")
    write_atomic(panel, _panel(paper.read_text(encoding="utf-8"), name).encode())
    write_atomic(notebook, (json.dumps(_notebook(topic), indent=1, ensure_ascii=False) + "\n").encode())
    row = "its row is there" if name in listed else "give it a row"
    places = {"panel": panel.relative_to(root), "notebook": notebook.relative_to(root)}
    return NEXT.format(**places, number=name[:2], row=row, topic=topic)


def _panel(paper: str, name: str) -> str:
    found = _BLOCK.search(paper)
    if found is None:
        raise LabkitError("CONTRIBUTING.md no longer shows a whole lab: fetch it again")
    made = "".join(word.capitalize() for word in name[3:].split("_"))
    text = found[1].replace(_SHOWN, name).replace(_SHOWN_CLASS, made)
    return re.sub(r"\b([Ll])ab 03\b", rf"\1ab {name[:2]}", text) + "\n"


def _notebook(topic: str) -> dict[str, Any]:
    title = topic.replace("_", " ").capitalize()
    return {
        "cells": [
            _cell("title", "markdown", f"# {title}\n\nTwo or three sentences that make a person curious."),
            _cell("panel", "code", f"from labkit.panels.{topic} import panel\n\npanel()"),
            _cell("questions", "markdown", "## Questions\n\nAnswer in your own words, then try it in the panel.\n\n1. …"),
        ],
        "metadata": {
            "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
            "language_info": {"name": "python"},
            "title": title,
        },
        "nbformat": 4,
        "nbformat_minor": 5,
    }


def _cell(name: str, kind: str, text: str) -> dict[str, Any]:
    cell: dict[str, Any] = {"cell_type": kind, "id": name, "metadata": {}, "source": text.splitlines(keepends=True)}
    if kind == "code":
        cell |= {"metadata": {"tags": ["nbval-ignore-output"]}, "execution_count": None, "outputs": []}
    return cell
