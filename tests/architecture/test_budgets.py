"""Sizes are reviewed numbers: functions, files, parameters and settings keep to a budget or to a listed exception."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.architecture.exceptions import budgets
from tests.architecture.source import ROOT, Function, functions, lines_of_code, python_files, tree

FUNCTION, KERNEL, FILE, PARAMETERS, FIELDS = 40, 70, 300, 6, 8
FILES = python_files("labkit", "tests", "docs", "benchmarks")


def measured(path: Path) -> Iterator[tuple[str, str, int, int]]:
    """Yield (where, budget's name, size, budget) for everything in a file that has a budget."""
    name = path.relative_to(ROOT).as_posix()
    yield name, "file", len(path.read_text(encoding="utf-8").splitlines()), FILE
    for where, node in functions(path):
        most = KERNEL if "runtime/kernels/" in name and not name.startswith("tests/") and _is_compiled(node) else FUNCTION
        yield f"{name}:{where}", "lines", lines_of_code(path, node), most
        if most == FUNCTION and not name.startswith("tests/"):  # a kernel gets its arrays, a test the columns of its table
            yield f"{name}:{where}", "parameters", parameters(node), PARAMETERS
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.ClassDef) and name.startswith("labkit/"):
            yield f"{name}:{node.name}", "fields", sum(_is_setting(each) for each in node.body), FIELDS


def parameters(node: Function) -> int:
    """Count a function's parameters, without the object or class it belongs to."""
    names = [each.arg for each in (*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs)]
    return len(names) - (names[:1] in (["self"], ["cls"])) + bool(node.args.vararg) + bool(node.args.kwarg)


def _is_compiled(node: Function) -> bool:
    """Tell whether Numba compiles a function: its arrays come as parameters, and it is one loop nest rather than calls."""
    names = {ast.unparse(each.func if isinstance(each, ast.Call) else each).split(".")[-1] for each in node.decorator_list}
    return bool(names & {"kernel", "inline", "njit", "jit", "intrinsic"})


def _is_setting(node: ast.stmt) -> bool:
    call = node.value if isinstance(node, ast.AnnAssign) else None
    return isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and call.func.id in ("param", "part")


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_sizes_keep_to_their_budgets(path: Path) -> None:
    allowed = budgets()
    found = []
    for where, budget, size, most in measured(path):
        exception = allowed.get((where, budget))
        limit = exception.most if exception else most
        if size > limit:
            found.append(f"{where} has {size} {budget}, the budget is {limit}: split it, or list it in exceptions.toml with a reason")
    assert not found, "\n".join(found)


def test_every_exception_is_needed_and_has_a_reason() -> None:
    sizes = {(where, budget): (size, most) for path in FILES for where, budget, size, most in measured(path)}
    found = []
    for key, exception in budgets().items():
        size, most = sizes.get(key, (0, 0))
        if size <= most:
            found.append(f"{exception.where} keeps to its budget of {exception.budget} (or is gone): delete its exception")
        elif size < exception.most:
            found.append(f"{exception.where} has {size} {exception.budget}: lower `most` of its exception from {exception.most}")
        if len(exception.reason.split()) < 4:
            found.append(f"{exception.where}: say why in `reason`")
    assert not found, "\n".join(found)


def test_lines_of_code_leaves_out_docstrings_comments_and_blanks(tmp_path: Path) -> None:
    path = tmp_path / "x.py"
    path.write_text(
        'def f(\n    a,\n    b,\n):\n    """Say.\n\n    More.\n    """\n\n    # why\n    text = """\n\n    """\n    return a + b + text\n'
    )
    ((name, node),) = functions(path)
    assert (name, lines_of_code(path, node), parameters(node)) == ("f", 8, 2)
