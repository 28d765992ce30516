"""Rules of the house that no linter knows."""

import ast
import re

import pytest

from tests.architecture.source import ROOT, our_modules, tracked, tree

LATER = re.compile(r"\b(TO" + r"DO|FIX" + r"ME|XX" + r"X|HA" + r"CK)\b")
TEXT = {".py", ".md", ".toml", ".yml", ".yaml", ".cfg", ".js", ".css", ".html", ".j2", ".tpl", ".ipynb", ""}


@pytest.mark.parametrize("module", sorted(our_modules()))
def test_no_assert_and_no_swallowed_exception(module: str) -> None:
    found = []
    for node in ast.walk(tree(our_modules()[module])):
        if isinstance(node, ast.Assert):
            found.append(f"line {node.lineno}: raise an error that says what must be, instead of assert")
        if isinstance(node, ast.ExceptHandler):
            raises_on = isinstance(node.body[-1], ast.Raise) and node.body[-1].exc is None
            if node.type is None or (ast.unparse(node.type) == "BaseException" and not raises_on):
                found.append(f"line {node.lineno}: name the exceptions that are expected here")
            if all(isinstance(each, ast.Pass) or _is_ellipsis(each) for each in node.body):
                found.append(f"line {node.lineno}: an exception is swallowed")
    assert not found, f"{module}: {found}"


def _is_ellipsis(node: ast.stmt) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and node.value.value is ...


def test_nothing_is_left_for_later() -> None:
    found = []
    for path in tracked():
        if path.suffix in TEXT and path.stat().st_size < 2_000_000:
            lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
            found += [f"{path.relative_to(ROOT)}:{n} {line.strip()[:80]}" for n, line in enumerate(lines, 1) if LATER.search(line)]
    assert not found, "do it now, or say it in an issue:\n" + "\n".join(found)


def test_nothing_unpickles() -> None:
    names = {"pickle", "cPickle", "dill", "joblib", "shelve", "marshal"}
    found = []
    for module, path in our_modules().items():
        for node in ast.walk(tree(path)):
            imported = (
                [a.name for a in node.names] if isinstance(node, ast.Import) else [node.module] if isinstance(node, ast.ImportFrom) else []
            )
            found += [f"{module}:{node.lineno} imports {name}" for name in imported if name and name.split(".")[0] in names]
            if isinstance(node, ast.Call) and ast.unparse(node.func) in ("torch.load", "np.load", "numpy.load", "eval", "exec"):
                found.append(f"{module}:{node.lineno} calls {ast.unparse(node.func)}")
    assert not found, f"files are read without running what is in them: {found}"


def test_no_name_that_says_nothing() -> None:
    vague = re.compile(r"^(my_.*|utils?|helpers?|misc|common)$")
    found = [module for module in our_modules() if any(vague.match(part.lstrip("_")) for part in module.split("."))]
    assert not found, f"name a file by what it holds: {found}"


def test_public_functions_and_classes_have_docstrings() -> None:
    found = []
    for module, path in our_modules().items():
        for node in tree(path).body:
            public = isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) and not node.name.startswith("_")
            if public and not ast.get_docstring(node):
                found.append(f"{module}.{node.name}")
        if path.name != "__init__.py" and not ast.get_docstring(tree(path)):
            found.append(f"{module}: no header that says what it is")
    assert not found, found
