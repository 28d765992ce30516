"""No page that labkit serves asks another host for anything."""

import ast
import json
import re
from pathlib import Path

import pytest

from tests.architecture.source import ROOT, python_files, tracked, tree

HOST = re.compile(r"""(?:https?:|wss?:|(?<=["'(=\s]))//(?P<host>[\w-]+(?:\.[\w-]+)+)""")
LOADS = re.compile(r"!\[[^]]*\]\((?:https?:)?//|<(?:img|script|link|iframe|video|source)\b[^>]*(?:https?:)?//|@import", re.IGNORECASE)
OWN = {"www.w3.org", "127.0.0.1", "localhost"}  # names of XML namespaces are never fetched
ASSETS = {".js", ".mjs", ".css", ".html", ".j2", ".tpl", ".svg"}


def hosts(text: str) -> set[str]:
    """Return the foreign hosts that a text names in an address."""
    return {match["host"] for match in HOST.finditer(text)} - OWN


def _strings(path: Path) -> str:
    """Return a file's strings that are not docstrings."""
    documentation = {id(node.value) for node in ast.walk(tree(path)) if isinstance(node, ast.Expr)}
    strings = [n for n in ast.walk(tree(path)) if isinstance(n, ast.Constant) and isinstance(n.value, str) and id(n) not in documentation]
    return "\n".join(f'"{node.value}"' for node in strings)


def test_assets_name_no_host() -> None:
    found = {path.relative_to(ROOT).as_posix(): hosts(path.read_text(encoding="utf-8")) for path in tracked(*ASSETS) if _is_shipped(path)}
    assert not (found := {name: where for name, where in found.items() if where}), found


def _is_shipped(path: Path) -> bool:
    return path.relative_to(ROOT).parts[0] in ("labkit", "labs")


@pytest.mark.parametrize("package", ["panels", "serve"])
def test_python_that_makes_pages_names_no_host(package: str) -> None:
    files = [path for path in python_files("labkit") if path.relative_to(ROOT).parts[1] == package]
    found = {path.relative_to(ROOT).as_posix(): where for path in files if (where := hosts(_strings(path)))}
    assert not found, f"a page may link to a paper from its card, but code that makes pages names no host: {found}"


def test_notebooks_load_nothing() -> None:
    found = []
    for path in (each for each in tracked(".ipynb") if _is_shipped(each)):
        for cell in json.loads(path.read_text(encoding="utf-8"))["cells"]:
            text = "".join(cell["source"])
            shown = json.dumps(cell.get("outputs", []))
            if LOADS.search(text) or LOADS.search(shown) or (cell["cell_type"] == "code" and hosts(text)):
                found.append(path.name)
    assert not found, found


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('<script src="https://cdn.bokeh.org/x.js">', {"cdn.bokeh.org"}),
        ('src="//unpkg.com/x"', {"unpkg.com"}),
        ("url(//fonts.example.com/a)", {"fonts.example.com"}),
        ("new WebSocket('ws://localhost:8866')", set()),
        ('xmlns="http://www.w3.org/2000/svg"', set()),
        ("a = b // c.d", set()),
    ],
)
def test_hosts_are_found(text: str, expected: set[str]) -> None:
    assert hosts(text) == expected
