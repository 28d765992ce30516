"""What holds for every method of the catalogue, derived from the registry."""

import json
import random
import re
import time
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from labkit.core.errors import ConfigError, UnknownNameError
from labkit.core.registry import Method, find, methods
from tests.architecture.papers import table
from tests.contracts.same import differences, snapshot

ROOT = Path(__file__).resolve().parents[2]
CHAPTERS = ("pruning", "quantization", "distillation", "nas")
TOPICS = {"bench", "runtime", "pruning", "quantization", "search"}
HEADINGS = (
    "In one line",
    "When it helps, when not",
    "The idea",
    "Parameters",
    "What we measured",
    "Deviation from the paper",
    "Pitfalls",
    "Source",
)
MOST_SECONDS = 2.0  # a second on a free machine; processor time, doubled for cores that are shared

METHODS = methods()
each_method = pytest.mark.parametrize("method", METHODS, ids=lambda method: method.name)


@dataclass
class Run:
    """Two runs of a method's `tiny`, made alike but for the global generators.

    Attributes:
        values: what they returned.
        changes: what was different of the models and data afterwards.
        seconds: processor time of the faster.
    """

    values: list[Any]
    changes: list[str]
    seconds: float


@cache
def ran(name: str) -> Run:
    return run_twice(find(name))


def run_twice(method: Method) -> Run:
    torch.set_num_threads(1)  # so that processor time is the time of one core; conftest gives the threads back
    values, changes, seconds = [], [], []
    for attempt in (1, 2):
        model, config, context = method.tiny()
        before, data, settings = snapshot(model), _data(context.data), config.to_dict()
        torch.manual_seed(attempt)
        np.random.seed(attempt)
        random.seed(attempt)
        begin = time.process_time()
        values.append(method.run(model, config, context))
        seconds.append(time.process_time() - begin)
        changes += differences(before, snapshot(model), "model")
        changes += differences(data, _data(context.data), "data")
        changes += differences(settings, config.to_dict(), "config")
    return Run(values, changes, min(seconds))


def _data(data: Any) -> dict[str, Any]:
    """Return copies of the tensors of a method's data, if it has any."""
    parts = {name: getattr(data, name, None) for name in ("train", "held_out", "test")}
    return {name: (part.pixels.clone(), part.labels.clone()) for name, part in parts.items() if hasattr(part, "pixels")}


def card_of(method: Method) -> Path:
    return ROOT / "labkit" / Path(*method.family.split(".")) / f"{method.name}.md"


def sections(card: Path) -> dict[str, str]:
    """Return a card's text by its headings of the second level, in order."""
    parts = re.split(r"^## (.+)$", card.read_text(encoding="utf-8"), flags=re.MULTILINE)[1:]
    return {head.strip(): text.strip() for head, text in zip(parts[::2], parts[1::2], strict=True)}


def test_cards_and_methods_are_the_same_set() -> None:
    cards = {
        path.relative_to(ROOT / "labkit").with_suffix("") for chapter in CHAPTERS for path in (ROOT / "labkit" / chapter).rglob("*.md")
    }
    registered = {Path(*method.family.split("."), method.name) for method in METHODS}
    assert not cards - registered, f"these cards have no registered method: {sorted(map(str, cards - registered))}"
    assert not registered - cards, f"these methods have no card beside them: {sorted(map(str, registered - cards))}"


@each_method
def test_file_has_the_name_of_the_method(method: Method) -> None:
    module = f"labkit.{method.family}.{method.name}"
    assert method.config.__module__ == module, "the config stands in the method's own file"
    assert method.name.isidentifier()
    assert method.name == method.name.lower()


@each_method
def test_a_test_file_mirrors_it(method: Method) -> None:
    path = ROOT / "tests" / Path(*method.family.split(".")) / f"test_{method.name}.py"
    assert path.is_file(), f"{path.relative_to(ROOT)} must test it"
    assert "def test_" in path.read_text(encoding="utf-8"), f"{path.relative_to(ROOT)} holds no test"


@each_method
def test_default_settings_are_valid_and_survive_a_recipe(method: Method) -> None:
    config = method.config()
    plain = json.loads(json.dumps(config.to_dict(), allow_nan=False))
    assert method.config.from_dict(plain) == config
    assert len(method.config.specs()) <= 8
    for spec in method.config.specs():
        assert spec.help.strip(), f"{method.config.__name__}.{spec.name} needs a help text: it becomes a tooltip"


@each_method
def test_every_bad_value_is_refused_with_where_and_what(method: Method) -> None:
    for spec in method.config.specs():
        for bad in spec.bad_values():
            with pytest.raises((ConfigError, UnknownNameError)) as caught:
                method.config(**{spec.name: bad})
            assert f"{method.config.__name__}.{spec.name}" in str(caught.value), f"{bad!r}: {caught.value}"


@each_method
def test_unknown_setting_is_refused_with_the_nearest_name(method: Method) -> None:
    with pytest.raises(UnknownNameError, match="no_such_setting"):
        method.config.from_dict({"no_such_setting": 1})


@each_method
def test_description_is_complete(method: Method) -> None:
    row = json.loads(json.dumps(method.describe(), allow_nan=False))
    assert set(row) == {"name", "family", "topic", "source", "labs", "config"}
    assert row["topic"] in TOPICS
    assert re.search(r"\b(19|20)\d\d\b", row["source"]), "the source names its year"
    assert row["labs"], "a lab shows it"
    assert set(row["labs"]) <= lab_names(), f"labs are named as in docs/labs.md: {set(row['labs']) - lab_names()}"
    assert [spec["name"] for spec in row["config"]] == [spec.name for spec in method.config.specs()]
    for spec in row["config"]:
        assert set(spec) == {"name", "default", "low", "high", "step", "choices", "unit", "help"}


def lab_names() -> set[str]:
    return {row["lab"].strip("`") for row in table((ROOT / "docs" / "labs.md").read_text(encoding="utf-8"), "lab")}


@each_method
def test_card_has_every_heading(method: Method) -> None:
    card = card_of(method)
    found = sections(card)
    assert [head.removesuffix(" (formula)") for head in found] == list(HEADINGS), "the headings of a card, in this order"
    for head, text in found.items():
        assert text, f"{card.name}: nothing stands under {head}"
    for head, marker in (("Parameters", "parameters"), ("What we measured", "measured")):
        assert re.search(f"<!-- {marker} -->.*<!-- /{marker} -->", found[head], re.DOTALL), (
            f"{card.name}: {head} is generated between markers"
        )
    assert re.search(r"\b(19|20)\d\d\b", found["Source"]), f"{card.name}: the source names its year"


@each_method
def test_input_is_left_as_it_was(method: Method) -> None:
    assert not (changes := ran(method.name).changes), "\n".join(changes)


@each_method
def test_same_seed_same_result(method: Method) -> None:
    first, second = ran(method.name).values
    assert first is not None, "a method returns a value"
    assert not (found := list(differences(first, second))), "\n".join(found)


@each_method
def test_tiny_ends_within_a_second(method: Method) -> None:
    assert ran(method.name).seconds < MOST_SECONDS
