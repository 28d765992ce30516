"""The repository as the architecture tests see it: its files, their syntax trees and what they import."""

import ast
import io
import subprocess
import tokenize
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
Function = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True)
class Import:
    """One imported module.

    Attributes:
        target: dotted name, of ours down to the module's file.
        names: what is taken from it; empty for `import x`.
        kind: "eager", "lazy" (inside a function) or "type" (under TYPE_CHECKING).
        line: where.
    """

    target: str
    names: tuple[str, ...]
    kind: str
    line: int


def tracked(*suffixes: str) -> list[Path]:
    """Return the files that are or would be committed, with one of `suffixes` if any are given."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
    try:
        listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.splitlines()
        paths = [ROOT / name for name in listed]
    except (OSError, subprocess.CalledProcessError):  # an archive without git
        paths = [p for p in ROOT.rglob("*") if not any(part.startswith(".") for part in p.relative_to(ROOT).parts)]
    return sorted(p for p in paths if p.is_file() and (not suffixes or p.suffix in suffixes))


def python_files(*folders: str) -> list[Path]:
    """Return the Python files below the folders."""
    return [p for p in tracked(".py") if p.relative_to(ROOT).parts[0] in folders]


def module_name(path: Path) -> str:
    """Return the dotted name of a file of labkit."""
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def package_of(module: str) -> str:
    """Return what the import table calls a module: `labkit.core.errors` → core, `labkit` itself → the empty string."""
    return [*module.split("."), ""][1]


@cache
def tree(path: Path) -> ast.Module:
    """Return the syntax tree of a file."""
    return ast.parse(path.read_text(encoding="utf-8"), str(path))


@cache
def our_modules() -> dict[str, Path]:
    """Return labkit's modules by dotted name."""
    return {module_name(path): path for path in python_files("labkit")}


def imports(path: Path) -> list[Import]:
    """Return everything that a file imports, wherever in it."""
    return list(_imports(tree(path).body, "eager", path))


def _imports(body: list[ast.AST], kind: str, path: Path) -> Iterator[Import]:
    for node in body:
        if isinstance(node, ast.Import):
            yield from (Import(alias.name, (), kind, node.lineno) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from _import_from(node, kind, path)
        elif isinstance(node, ast.If) and _is_type_checking(node.test):
            yield from _imports(list(node.body), "type", path)
            yield from _imports(list(node.orelse), kind, path)
        elif isinstance(node, Function | ast.Lambda):
            yield from _imports(list(ast.iter_child_nodes(node)), "lazy" if kind == "eager" else kind, path)
        else:
            yield from _imports(list(ast.iter_child_nodes(node)), kind, path)


def _import_from(node: ast.ImportFrom, kind: str, path: Path) -> Iterator[Import]:
    base = node.module or ""
    if node.level:
        package = module_name(path).split(".")
        package = package if path.name == "__init__.py" else package[:-1]
        base = ".".join(package[: len(package) - node.level + 1] + ([base] if base else []))
    whole = tuple(alias.name for alias in node.names if f"{base}.{alias.name}" in our_modules())
    yield from (Import(f"{base}.{name}", (), kind, node.lineno) for name in whole)
    rest = tuple(alias.name for alias in node.names if alias.name not in whole)
    if rest:
        yield Import(base, rest, kind, node.lineno)


def _is_type_checking(test: ast.expr) -> bool:
    return (isinstance(test, ast.Name) and test.id == "TYPE_CHECKING") or (isinstance(test, ast.Attribute) and test.attr == "TYPE_CHECKING")


def functions(path: Path) -> Iterator[tuple[str, Function]]:
    """Yield each function with its qualified name, methods and inner functions too."""
    yield from _functions(tree(path), "")


def _functions(node: ast.AST, prefix: str) -> Iterator[tuple[str, Function]]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, Function):
            yield f"{prefix}{child.name}", child
        name = getattr(child, "name", None)
        inner = isinstance(child, Function | ast.ClassDef)
        yield from _functions(child, f"{prefix}{name}." if inner else prefix)


@cache
def _code_lines(path: Path) -> frozenset[int]:
    """Return the numbers of the lines that hold code: not blank, not only a comment."""
    skip = {tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT, tokenize.ENCODING, tokenize.ENDMARKER}
    lines: set[int] = set()
    for token in tokenize.generate_tokens(io.StringIO(path.read_text(encoding="utf-8")).readline):
        if token.type not in skip:
            lines.update(range(token.start[0], token.end[0] + 1))
    return frozenset(lines)


def lines_of_code(path: Path, node: Function) -> int:
    """Count a function's lines of code: its signature and body without docstrings, comments and blank lines."""
    lines = _code_lines(path) & set(range(node.lineno, (node.end_lineno or node.lineno) + 1))
    for inner in ast.walk(node):
        if isinstance(inner, Function | ast.ClassDef) and ast.get_docstring(inner) is not None:
            text = inner.body[0]
            lines -= set(range(text.lineno, (text.end_lineno or text.lineno) + 1))
    return len(lines)
