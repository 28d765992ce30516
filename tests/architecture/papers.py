"""What the papers say: their tables, the paths they name, their blocks of code and the command lines they show."""

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.architecture.source import ROOT

PAPERS = tuple(ROOT / name for name in ("README.md", "ARCHITECTURE.md", "CONTRIBUTING.md"))
_SUFFIXES = "py md toml yml yaml json ipynb png safetensors cfg txt sh"


@dataclass(frozen=True)
class Block:
    """A fenced block: its language, its text and the line it starts in."""

    language: str
    text: str
    line: int


def tables(text: str) -> list[list[dict[str, str]]]:
    """Return the markdown tables of a text, each as rows by column heading."""
    found: list[list[dict[str, str]]] = []
    lines = text.splitlines()
    for n, line in enumerate(lines[:-1]):
        if line.startswith("|") and re.fullmatch(r"\|[\s:|-]+\|", lines[n + 1]):
            heads = _cells(line)
            rows = []
            for row in lines[n + 2 :]:
                if not row.startswith("|"):
                    break
                rows.append(dict(zip(heads, _cells(row), strict=True)))
            found.append(rows)
    return found


def table(text: str, first_heading: str) -> list[dict[str, str]]:
    """Return the one table whose first column is called `first_heading`."""
    (rows,) = [rows for rows in tables(text) if rows and next(iter(rows[0])) == first_heading]
    return rows


def _cells(line: str) -> list[str]:
    return [cell.strip() for cell in line.strip().strip("|").split("|")]


def blocks(path: Path) -> list[Block]:
    """Return the fenced blocks of a paper."""
    found, inside, start, lines = [], None, 0, []
    for n, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        fence = re.fullmatch(r"```(\w*)", line.strip())
        if fence and inside is None:
            inside, start, lines = fence[1], n, []
        elif fence:
            found.append(Block(inside or "", "\n".join(lines) + "\n", start))
            inside = None
        elif inside is not None:
            lines.append(line)
    if inside is not None:
        raise ValueError(f"{path.name}: the block that starts in line {start} is never closed")
    return found


def named_paths(path: Path) -> Iterator[tuple[str, int]]:
    """Yield what looks like a path of the repository, in backticks or as a link, with its line.

    NAME, FAMILY and NN, as in `labkit/FAMILY/NAME.py`, stand for any: those are patterns, not paths.
    """
    suffix = re.compile(rf"\.({_SUFFIXES.replace(' ', '|')})$")
    inside = False
    for n, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        if line.strip().startswith("```"):
            inside = not inside
        words = [] if inside else re.findall(r"`([^`\s]+)`", line)
        words += [] if inside else [link for link in re.findall(r"\]\(([^)\s#]+)[^)]*\)", line) if "://" not in link]
        for word in words:
            is_pattern = re.search(r"(?<![A-Z])(NAME|FAMILY|NN)(?![A-Z])", word)
            is_path = re.fullmatch(r"[\w./*+-]+", word) and ("/" in word or suffix.search(word))
            if is_path and not is_pattern:
                yield word, n


def command_lines(path: Path) -> Iterator[tuple[list[str], int]]:
    """Yield the arguments of each `labkit …` that a paper shows, in backticks or in a block, with its line."""
    joined = path.read_text(encoding="utf-8").replace("\\\n", " ")
    inside = False
    for n, line in enumerate(joined.splitlines(), 1):
        if line.strip().startswith("```"):
            inside = not inside
            continue
        shown = [line.strip()] if inside or line.startswith("    ") else re.findall(r"`(labkit [^`]+)`", line)
        for words in shown:
            words = re.split(r"\s{2,}", words.removeprefix("$ "))[0]  # what it does stands two spaces further
            if words.startswith("labkit ") and "…" not in words and " | " not in words:
                arguments = shlex.split(words, comments=True)[1:]
                if not any(re.fullmatch(r"[A-Z]{2,}", each) for each in arguments):  # NAME stands for any name
                    yield arguments, n
