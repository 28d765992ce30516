"""The papers tell the truth: paths exist, code runs, command lines parse, and what is said twice agrees."""

import argparse
import ast
import contextlib
import io
import re
from pathlib import Path

import pytest
import yaml

from tests.architecture.exceptions import is_built, not_built
from tests.architecture.papers import PAPERS, Block, blocks, command_lines, named_paths
from tests.architecture.source import ROOT, tracked

RECIPES = [(paper, block) for paper in PAPERS for block in blocks(paper) if block.language == "yaml"]
PYTHON = [(paper, block) for paper in PAPERS for block in blocks(paper) if block.language == "python"]
COMMANDS = [(paper, arguments, line) for paper in PAPERS for arguments, line in command_lines(paper)]


@pytest.mark.parametrize("paper", PAPERS, ids=lambda path: path.name)
def test_every_path_that_is_named_exists(paper: Path) -> None:
    built, found = {path.relative_to(ROOT).as_posix() for path in not_built()}, []
    for word, line in named_paths(paper):
        place = word.rstrip("/")
        if place in built:
            continue
        exists = any(ROOT.glob(place)) if "*" in place else any((base / place).exists() for base in (ROOT, ROOT / "labkit"))
        if not exists:
            found.append(f"{paper.name}:{line} names {word}, which is not there")
    assert not found, "\n".join(found)


def test_what_is_listed_as_not_built_is_not_there() -> None:
    found = [path.relative_to(ROOT).as_posix() for path in not_built() if path.exists()]
    assert not found, f"these are built now: take them out of tests/architecture/exceptions.toml: {found}"


@pytest.mark.parametrize(("paper", "block"), PYTHON, ids=lambda each: each.name if isinstance(each, Path) else f"line{each.line}")
def test_every_block_of_python_runs(paper: Path, block: Block, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    missing = [name for name in _imported(block.text) if name.startswith("labkit.") and not is_built(name)]
    if missing:
        pytest.skip(f"{missing} are listed as not built")
    monkeypatch.chdir(tmp_path)
    with contextlib.redirect_stdout(io.StringIO()):
        exec(compile(block.text, f"{paper.name}, line {block.line}", "exec"), {"__name__": "__paper__"})


@pytest.mark.parametrize(("paper", "block"), RECIPES, ids=lambda each: each.name if isinstance(each, Path) else f"line{each.line}")
def test_every_block_of_yaml_is_a_recipe(paper: Path, block: Block) -> None:
    if not is_built("labkit.core.recipe"):
        pytest.skip("labkit.core.recipe is listed as not built")
    from labkit.core import recipe

    shown = yaml.safe_load(block.text)
    written = recipe.from_dict(shown).to_dict()
    assert [step["method"] for step in written["steps"]] == [step["method"] for step in shown["steps"]], f"{paper.name}:{block.line}"


def _imported(text: str) -> list[str]:
    found: list[str] = []
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            found += [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
    return found


@pytest.mark.parametrize(("paper", "arguments", "line"), COMMANDS, ids=lambda each: each.name if isinstance(each, Path) else None)
def test_every_command_line_parses(paper: Path, arguments: list[str], line: int) -> None:
    if not is_built("labkit.cli"):
        pytest.skip("labkit.cli is listed as not built")
    from labkit import cli

    said = _complaint(cli.parser(), arguments)
    assert not said, f"{paper.name}:{line} `labkit {' '.join(arguments)}` is not understood: {said}"


def _complaint(parser: argparse.ArgumentParser, arguments: list[str]) -> str:
    """Return what a parser says against a command line, nothing if it takes it (or shows its help)."""
    output = io.StringIO()
    try:
        with contextlib.redirect_stderr(output), contextlib.redirect_stdout(io.StringIO()):
            parser.parse_args(arguments)
    except SystemExit as stop:
        return output.getvalue() if stop.code else ""
    return ""


def test_a_command_line_that_does_not_parse_is_seen() -> None:
    parser = argparse.ArgumentParser(prog="labkit")
    parser.add_argument("--bits", type=int)
    assert "invalid int" in _complaint(parser, ["--bits", "four"])
    assert _complaint(parser, ["--bits", "4"]) == _complaint(parser, ["--help"]) == ""


def test_links_between_papers_lead_somewhere() -> None:
    found = []
    for paper in tracked(".md"):
        text = re.sub(r"```.*?```|`[^`]*`", "", paper.read_text(encoding="utf-8"), flags=re.DOTALL)
        for link in re.findall(r"\]\(([^)\s#]+)[^)]*\)", text):
            target = (paper.parent / link).resolve()
            if "://" not in link and not target.exists() and target not in not_built():
                found.append(f"{paper.relative_to(ROOT)} → {link}")
    assert not found, found


def test_no_machine_is_named() -> None:
    own = re.compile(
        r"/(?:home|Users)/(?!you\b|jovyan\b)\w+/|/work/(?:main|wt|venv|shared|\.library)\b|/root/|extra-index-url|--index-url|pip\.conf"
    )
    found = []
    for path in tracked():
        if path != Path(__file__) and path.stat().st_size < 2_000_000:
            lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
            found += [f"{path.relative_to(ROOT)}:{n}" for n, line in enumerate(lines, 1) if own.search(line)]
    assert not found, f"paths of one machine, or a registry's settings: {found}"
