"""The import table of ARCHITECTURE.md, executed; and that nothing goes round in circles."""

import ast
import fnmatch
import re
import sys
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.architecture.papers import table
from tests.architecture.source import ROOT, Import, imports, module_name, our_modules, package_of, tree

TEXT = (ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8")


@dataclass
class Row:
    """What one package may import: name → (only lazily?, files it is for)."""

    ours: dict[str, bool] = field(default_factory=dict)
    others: dict[str, tuple[bool, tuple[str, ...]]] = field(default_factory=dict)


def rules() -> dict[str, Row]:
    """Parse the table."""
    rows = table(TEXT, "package")
    names = [name for row in rows for name in row["package"].replace("`", "").split(", ")]
    out: dict[str, Row] = {}
    for row in rows:
        for name in row["package"].replace("`", "").split(", "):
            one = out[name] = Row()
            for word, lazy, _ in _entries(row["may import of ours"]):
                for each in names if word == "everything" else [word]:
                    one.ours.setdefault(each, lazy)
            for word, lazy, files in _entries(row["third parties"]):
                one.others[word] = (lazy, files)
    return out


def _entries(cell: str) -> list[tuple[str, bool, tuple[str, ...]]]:
    found = []
    for word, note in re.findall(r"([\w]+)(?: \(([^)]*)\))?", cell):
        files = tuple(note.removeprefix("in ").split(", ")) if note.startswith("in ") else ()
        found.append((word, note == "lazily", files))
    return found


def anywhere() -> set[str]:
    """Return the third parties that every package may import."""
    line = re.search(r"^Light enough to be imported anywhere: (.*)\.$", TEXT, re.MULTILINE)
    assert line, "ARCHITECTURE.md must say what is light enough to be imported anywhere"
    return set(re.findall(r"`(\w+)`", line[1]))


def ranks() -> dict[str, list[str]]:
    """Return each chapter's folders in order."""
    return {row["chapter"]: row["folders, in order"].split(", ") for row in table(TEXT, "chapter")}


def faults(module: str, path: Path) -> list[str]:
    """Return one sentence for each import of a module that the table forbids."""
    package = package_of(module)
    row = rules().get(package, Row()) if package else Row()
    found = []
    for each in imports(path):
        wrong = None if each.kind == "type" else _ours(package, row, each) or _theirs(path, package, row, each)
        if wrong:
            found.append(f"{path.relative_to(ROOT)}:{each.line} {wrong}")
    return found


def _ours(package: str, row: Row, each: Import) -> str | None:
    target = package_of(each.target)
    if each.target.split(".")[0] != "labkit" or target in (package, ""):
        return None
    if target not in row.ours:
        return f"{package or 'labkit'} may not import {target} (it may import {', '.join(row.ours) or 'nothing of ours'})"
    if row.ours[target] and each.kind == "eager":
        return f"{package} may import {target} only lazily, inside a function"
    private = [name for name in (*each.target.split("."), *each.names) if name.startswith("_") and not name.startswith("__")]
    return f"{private[0]} is {target}'s own: a leading underscore keeps it inside its package" if private else None


def _theirs(path: Path, package: str, row: Row, each: Import) -> str | None:
    top = each.target.split(".")[0]
    if top in sys.stdlib_module_names or top == "labkit" or top in anywhere():
        return None
    if top not in row.others:
        return f"{package or 'labkit'} may not import {top} (it may import {', '.join(row.others) or 'no third party'})"
    lazy, files = row.others[top]
    inside = path.relative_to(ROOT / "labkit" / package).as_posix() if files else ""
    if files and not any(fnmatch.fnmatch(inside, pattern) for pattern in files):
        return f"{package} may import {top} only in {', '.join(files)}"
    return f"{package} may import {top} only lazily, inside a function" if lazy and each.kind == "eager" else None


def circle(edges: dict[str, set[str]]) -> list[str]:
    """Return one way round in a graph, empty where there is none."""
    state: dict[str, int] = {}

    def visit(node: str, way: list[str]) -> list[str]:
        state[node] = 1
        for after in sorted(edges.get(node, ())):
            if state.get(after) == 1:
                return [*way[way.index(after) :], after] if after in way else [node, after]
            if after not in state and (found := visit(after, [*way, after])):
                return found
        state[node] = 2
        return []

    for node in sorted(edges):
        if node not in state and (found := visit(node, [node])):
            return found
    return []


def test_every_package_has_a_row() -> None:
    packages = {package_of(module) for module in our_modules()} - {""}
    assert packages <= rules().keys(), f"add a row to the import table of ARCHITECTURE.md: {packages - rules().keys()}"


@pytest.mark.parametrize("module", sorted(our_modules()))
def test_imports_keep_to_the_table(module: str) -> None:
    assert not (found := faults(module, our_modules()[module])), "\n".join(found)


def test_folders_of_a_chapter_import_only_earlier_ones() -> None:
    found = []
    for module, path in our_modules().items():
        parts, order = module.split("."), ranks().get(package_of(module), [])
        if len(parts) < 4 or not order:
            continue
        assert parts[2] in order, f"{parts[2]} is missing from the order of {parts[1]}'s folders in ARCHITECTURE.md"
        for each in imports(path):
            target = each.target.split(".")
            if target[:2] != parts[:2] or len(target) < 3 or each.kind == "type" or target[2] not in order:
                continue
            if order.index(target[2]) > order.index(parts[2]):
                found.append(f"{path.relative_to(ROOT)}:{each.line} {parts[2]} comes before {target[2]} and may not import it")
    assert not found, "\n".join(found)


def test_no_circle_of_modules() -> None:
    edges = {m: {i.target for i in imports(p) if i.kind == "eager" and i.target in our_modules()} - {m} for m, p in our_modules().items()}
    assert not (way := circle(edges)), " → ".join(way)


def test_no_circle_of_packages() -> None:
    edges: dict[str, set[str]] = {}
    for module, path in our_modules().items():
        used = {package_of(i.target) for i in imports(path) if i.target.startswith("labkit.") and i.kind != "type"}
        edges.setdefault(package_of(module), set()).update(used - {package_of(module)})
    assert not (way := circle(edges)), " → ".join(way)


def test_the_table_itself_has_no_circle() -> None:
    assert not (way := circle({name: set(row.ours) - {name} for name, row in rules().items() if name != "cli"})), " → ".join(way)


def test_no_logic_in_init() -> None:
    found = []
    for module, path in our_modules().items():
        for node in tree(path).body if path.name == "__init__.py" else []:
            is_docstring = isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
            is_name = isinstance(node, ast.Assign) and all(isinstance(t, ast.Name) and t.id.startswith("__") for t in node.targets)
            if not (is_docstring or is_name or isinstance(node, ast.Import | ast.ImportFrom)):
                found.append(f"{module} line {node.lineno}")
    assert not found, f"an __init__.py holds a docstring, imports and dunder names, nothing else: {found}"


@pytest.mark.parametrize(
    ("module", "source", "words"),
    [
        ("labkit.core.x", "import torch", "only lazily"),
        ("labkit.core.x", "def f():\n    import torch", None),
        ("labkit.core.x", "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from labkit.flow import run", None),
        ("labkit.core.x", "from labkit.data import load", "may not import data"),
        ("labkit.core.x", "from labkit import flow", "may not import flow" if "labkit.flow" in our_modules() else None),
        ("labkit.formats.x", "import numpy.random", None),
        ("labkit.formats.x", "import torch", "may not import torch"),
        ("labkit.runtime.x", "import torch", "only in lower.py"),
        ("labkit.runtime.lower", "import torch", None),
        ("labkit.measure.x", "from labkit.core.params import _checked", "own"),
        ("labkit.cli", "from labkit.data import load", "only lazily"),
        ("labkit.cli", "def f():\n    from labkit.data import load", None),
        ("labkit.x", "import numpy", "may not import numpy"),
    ],
)
def test_the_rules_catch(module: str, source: str, words: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    path = ROOT / Path(*module.split(".")).with_suffix(".py")
    assert module_name(path) == module
    monkeypatch.setattr("tests.architecture.source.tree", lambda _: ast.parse(source))
    found = faults(module, path)
    assert (not found) if words is None else (len(found) == 1 and words in found[0])


def test_a_circle_is_found() -> None:
    assert circle({"a": {"b"}, "b": {"c"}, "c": {"b"}}) == ["b", "c", "b"]
    assert circle({"a": {"b", "c"}, "b": {"c"}, "c": set()}) == []
