"""When a claim holds, and what a file of results must be."""

import json
from pathlib import Path
from typing import Any

import pytest

from labkit.checks import results
from labkit.core.errors import FileFormatError


@pytest.mark.parametrize(
    ("low", "high", "at_least", "expected"),
    [
        (5.0, 7.0, 5.0, "holds"),  # the bound itself is reached
        (5.1, 7.0, 5.0, "holds"),
        (4.9, 7.0, 5.0, "open"),  # the middle, 5.95, would hold
        (3.0, 5.0, 5.0, "open"),
        (3.0, 4.999, 5.0, "fails"),
        (-0.9, 0.2, -1.0, "holds"),  # at most 1 lost: the loss is in [-0.2, 0.9]
        (-1.2, -0.5, -1.0, "open"),
        (float("nan"), float("nan"), 0.0, "open"),
    ],
)
def test_the_whole_interval_decides(low: float, high: float, at_least: float, expected: str) -> None:
    assert results.verdict(low, high, at_least=at_least) == expected


@pytest.mark.parametrize(
    ("parts", "expected"),
    [
        (["holds", "holds"], "holds"),
        (["holds", "open"], "open"),
        (["open", "fails", "holds"], "fails"),
        ([], "open"),
    ],
)
def test_a_claim_of_several_parts_holds_where_all_do(parts: list[str], expected: str) -> None:
    assert results.together(parts) == expected


def content(**changes: Any) -> dict[str, Any]:
    claim = {"claim": "finer loses less", "methods": [], "verdict": "open", "seeds": 3, "figures": []} | changes
    return {"version": 1, "lab": "02_x", "host": {}, "claims": [claim, claim | {"verdict": "holds"}]}


def test_results_are_read_and_reported_a_claim_a_line(tmp_path: Path) -> None:
    (tmp_path / "02.json").write_text(json.dumps(content()))
    assert results.report("02", tmp_path) == "open   finer loses less\nholds  finer loses less"


def test_a_long_sentence_is_wrapped_beside_its_verdict() -> None:
    lines = results.line("fails", "word " * 40).splitlines()
    assert [each[:7] for each in lines] == ["fails  ", "       "]
    assert max(map(len, lines)) <= 110
    assert " ".join(" ".join(lines).split()) == "fails " + " ".join(["word"] * 40)


@pytest.mark.parametrize(
    "text",
    ["", "[]", "{}", "null", json.dumps(content() | {"version": 2}), json.dumps(content(verdict="true")), '{"version": 1, "claims": [1]}'],
)
def test_another_form_is_refused_with_what_to_do(text: str, tmp_path: Path) -> None:
    (tmp_path / "02.json").write_text(text)
    with pytest.raises(FileFormatError, match=r"02\.json must hold .*make claims"):
        results.read("02", tmp_path)


def test_missing_results_are_refused(tmp_path: Path) -> None:
    with pytest.raises(FileFormatError, match=r"02\.json cannot be read"):
        results.read("02", tmp_path)


def test_a_checkout_and_a_wheel_have_them_where_they_are_looked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, root: Path) -> None:
    assert results.folder() == root / "benchmarks" / "results"
    monkeypatch.setattr(results, "_PACKAGE", tmp_path / "site-packages" / "labkit")
    with pytest.raises(FileFormatError, match="install labkit again"):
        results.folder()
    inside = tmp_path / "site-packages" / "labkit" / "results"
    inside.mkdir(parents=True)
    assert results.folder() == inside
    assert '"benchmarks/results" = "labkit/results"' in (root / "pyproject.toml").read_text(encoding="utf-8")


def test_every_committed_file_is_read(root: Path) -> None:
    for path in (root / "benchmarks" / "results").glob("[0-9][0-9].json"):
        assert results.read(path.stem)["lab"].startswith(f"{path.stem}_")
