"""The generated parts of the papers: made from the declarations, and up to date."""

import importlib.util
import json
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
from torch import nn

from labkit import bench
from labkit.core import registry
from labkit.core.params import Config, param
from labkit.core.registry import Context, Method
from tests.architecture.papers import blocks

ROOT = Path(__file__).resolve().parents[2]


def _load() -> ModuleType:
    """Import docs/generate.py by its path: docs is no package, and another installed one may have its name."""
    spec = importlib.util.spec_from_file_location("labkit_docs_generate", ROOT / "docs" / "generate.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


generate = _load()


def _toy_config() -> type[Config]:
    @dataclass(frozen=True, kw_only=True)
    class Toy(Config):
        share: float = param(0.5, low=0.0, high=0.99, step=0.01, help="fraction | of zeros")
        groups: int = param(4, low=1, unit="weights", help="weights a group")
        any_number: float = param(1.0, help="anything")
        exact: bool = param(True, help="whether to count")
        how: str = param("mean", choices=("mean", "max"), help="what to do")

    return Toy


@pytest.fixture
def toy() -> Method:
    def tiny() -> tuple[nn.Module, Config, Context]:
        return nn.Linear(2, 2), config(), Context(generator=torch.Generator())

    config = _toy_config()
    return Method("toy", "pruning.criterion", "pruning", config, lambda *_: None, "Nobody 2020", ("02_pruning_granularity",), tiny)


def test_generated_parts_are_up_to_date() -> None:
    stale = [path.relative_to(ROOT).as_posix() for path, text in generate.generated().items() if path.read_text(encoding="utf-8") != text]
    assert not stale, f"run `make docs`: out of date are {stale}"


def test_settings_are_listed_from_their_declarations(toy: Method) -> None:
    assert generate.settings_table(toy).splitlines() == [
        "| setting | default | permitted | unit | what it does |",
        "|---|---|---|---|---|",
        "| `share` | 0.5 | number, 0 to 0.99 | – | fraction \\| of zeros |",
        "| `groups` | 4 | whole number, 1 or more | weights | weights a group |",
        "| `any_number` | 1 | number | – | anything |",
        "| `exact` | true | true, false | – | whether to count |",
        "| `how` | `mean` | `mean`, `max` | – | what to do |",
    ]


def test_no_settings_are_said_to_be_none(toy: Method) -> None:
    assert generate.settings_table(replace(toy, config=Config)) == "This method has no settings."


def test_text_between_markers_is_replaced_and_nothing_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(generate, "ROOT", tmp_path)
    path = tmp_path / "x.md"
    path.write_text("before\n<!-- a -->old \\1<!-- /a -->\nafter\n")
    once = generate.with_parts(path, {"a": "new \\1 \\g<0>"})
    assert once == "before\n<!-- a -->\n\nnew \\1 \\g<0>\n\n<!-- /a -->\nafter\n"
    path.write_text(once)
    assert generate.with_parts(path, {"a": "new \\1 \\g<0>"}) == once


@pytest.mark.parametrize("text", ["", "<!-- a -->", "<!-- a --><!-- /a --><!-- a --><!-- /a -->"])
def test_a_missing_or_doubled_marker_is_an_error(text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(generate, "ROOT", tmp_path)
    (tmp_path / "x.md").write_text(text)
    with pytest.raises(ValueError, match=r"x\.md must hold the markers <!-- a -->"):
        generate.with_parts(tmp_path / "x.md", {"a": "new"})


def test_methods_are_listed_by_topic_with_their_line(toy: Method, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(generate, "ROOT", tmp_path)
    card = tmp_path / "labkit" / "pruning" / "criterion" / "toy.md"
    card.parent.mkdir(parents=True)
    card.write_text("# Toy\n\n## In one line\n\nDoes\nnothing.\n\n## When it helps, when not\n\nNever.\n")
    text = generate.methods_table([toy])
    assert "**Pruning**" in text
    assert "| [`toy`](labkit/pruning/criterion/toy.md) | pruning.criterion | Does nothing. | 02 |" in text


def _result(**changes: Any) -> dict[str, Any]:
    figure = {"name": "difference", "value": 1.23456, "low": 0.5, "high": 2.0, "unit": "points"}
    claim = {"claim": "finer loses less", "methods": ["toy"], "verdict": "holds", "seeds": 5, "figures": [figure]} | changes
    return {"version": 1, "lab": "02_pruning_granularity", "host": "a machine", "claims": [claim]}


def test_what_was_measured_has_verdict_interval_seeds_and_host() -> None:
    assert generate.measured("toy", [_result()]).splitlines() == [
        "- **holds**: finer loses less (5 seeds). difference 1.235 [0.5, 2] points.",
        "",
        "Lab 02, measured on a machine.",
    ]
    assert generate.measured("other", [_result()]) == "Not measured yet: `make claims` will."
    assert generate.measured("toy", []) == "Not measured yet: `make claims` will."


def _row(**changes: Any) -> dict[str, Any]:
    row = bench.Row(
        "csr", "csr", (4, 8), 64, "90%", 0.9, None, 1, 2.0, (1.5, 2.5), "torch CSR", 1.25, 1e-6, 0.5, 1.0, {"torch CSR": 1.25}, 2048, 205
    )
    return bench.as_plain(replace(row, **changes))


def test_the_kernels_are_counted_by_who_wins_beyond_the_spread(tmp_path: Path) -> None:
    path = tmp_path / "bench.json"
    assert generate.bench_table(path).startswith("Not measured yet")
    here = {"shared": 80.0, "first": 45.0, "second": 25.0, "memory": 15.0}
    slow, equal = _row(ratio_vs_dense=0.5, spread=(0.4, 0.6)), _row(ratio_vs_dense=1.0, spread=(0.9, 1.1))
    path.write_text(json.dumps({"version": 1, "host": "a machine", "machine": here, "rows": [_row(), slow, equal, _row()]}))
    text = generate.bench_table(path)
    assert text.startswith(
        "4 cases: 2 are faster than dense float32 torch, 1 slower, 1 equal to within the spread. One thread, on a machine."
    )
    assert "45 · 10⁹ where each reads its own inputs from the first cache" in text
    assert "| csr | csr | 4×8 | 64 | 90% | 0.500 | 2.00 [1.50, 2.50] | torch CSR | 1.25 | 1e-06 |" in text
    assert text.count("\n| csr ") == 4


def test_results_of_another_form_are_refused(tmp_path: Path, toy: Method, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(registry._METHODS, "toy", toy)
    path = tmp_path / "02.json"
    path.write_text(json.dumps(_result()))
    assert generate.read_results(tmp_path) == [_result()]
    for wrong in ({"version": 2}, [], _result(verdict="true"), {"version": 1, "lab": "02", "host": "", "claims": [{}]}):
        path.write_text(json.dumps(wrong))
        with pytest.raises(ValueError, match=r"02\.json"):
            generate.read_results(tmp_path)
    path.write_text(json.dumps(_result(methods=["no_such_method"])))
    with pytest.raises(LookupError, match="no_such_method"):
        generate.read_results(tmp_path)


def test_the_form_that_contributing_shows_is_the_form_that_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(generate, "find", lambda name: name)
    (block,) = [each for each in blocks(ROOT / "CONTRIBUTING.md") if each.language == "json"]
    (tmp_path / "02.json").write_text(block.text)
    (content,) = generate.read_results(tmp_path)
    assert "difference 3.1 [2.2, 4] points" in generate.measured("weight", [content | {"host": "a machine"}])


def test_memory_is_told_where_it_was_measured():
    row = {"when": "at rest", "process": "zygote", "pss_mb": 1234, "own_mb": 5}
    assert generate.memory_table([]) == ""
    assert generate.memory_table([row]).splitlines()[-1] == "| at rest | zygote | 1,234 MB | 5 MB |"
