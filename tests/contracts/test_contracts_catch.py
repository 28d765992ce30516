"""Methods that break a contract are caught: the harness of test_methods.py, tried on methods made to fail."""

import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from labkit.core import registry
from labkit.core.errors import ConfigError, UnknownNameError
from labkit.core.params import Config, param, part
from labkit.core.registry import Context, Method
from labkit.core.seeds import generator
from labkit.data import load
from tests.contracts.same import differences
from tests.contracts.test_methods import run_twice, sections


@dataclass(frozen=True, kw_only=True)
class ToyConfig(Config):
    """Settings of a method that nobody registered."""

    share: float = param(0.5, low=0.0, high=1.0, help="share of the weights that go")


def toy(run: Callable[[Any, ToyConfig, Context], Any]) -> Method:
    def tiny() -> tuple[nn.Module, Config, Context]:
        torch.manual_seed(0)
        return nn.Linear(3, 2), ToyConfig(), Context(data=load("digits"), generator=generator(0, "toy"))

    return Method("toy", "pruning.criterion", "pruning", ToyConfig, run, "Nobody 2020", (), tiny)


def test_a_good_method_passes() -> None:
    run = run_twice(toy(lambda model, config, context: torch.rand(3, generator=context.generator) < config.share))
    assert run.changes == []
    assert list(differences(*run.values)) == []


@pytest.mark.parametrize("draw", [lambda: torch.rand(2), lambda: np.random.rand(2), lambda: random.random()])
def test_a_draw_from_a_global_generator_is_caught(draw: Callable[[], Any]) -> None:
    assert list(differences(*run_twice(toy(lambda *_: draw())).values))


@pytest.mark.parametrize(
    "spoil",
    [
        lambda model, config, context: model.weight.data.zero_(),
        lambda model, config, context: model.train(not model.training),
        lambda model, config, context: model(torch.ones(1, 3)).sum().backward(),
        lambda model, config, context: model.weight.requires_grad_(False),
        lambda model, config, context: model.register_forward_hook(lambda *_: None),
        lambda model, config, context: object.__setattr__(config, "share", 0.9),
    ],
)
def test_a_change_of_what_was_given_is_caught(spoil: Callable[..., Any]) -> None:
    def run(model: nn.Module, config: ToyConfig, context: Context) -> int:
        spoil(model, config, context)
        return 1

    assert run_twice(toy(run)).changes


def test_a_change_of_the_data_is_caught() -> None:
    def run(_: nn.Module, __: ToyConfig, context: Context) -> int:
        context.data.held_out.pixels[0, 0, 0, 0] ^= 1
        return 1

    assert run_twice(toy(run)).changes


@pytest.mark.parametrize("bad", ["no_such_method", {"name": "no_such_method"}, 3])
def test_a_bad_part_is_refused_with_class_and_field(bad: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    declared = part("pruning.criterion", "toy", help="what the step is made of")

    @dataclass(frozen=True, kw_only=True)
    class WholeConfig(Config):
        inner: Config = declared

    monkeypatch.setitem(registry._METHODS, "toy", toy(lambda *_: None))
    monkeypatch.setitem(registry._BY_CONFIG, ToyConfig, registry._METHODS["toy"])
    assert WholeConfig(inner={"name": "toy", "share": 0.25}).inner == ToyConfig(share=0.25)
    with pytest.raises((ConfigError, UnknownNameError), match=r"WholeConfig\.inner"):
        WholeConfig(inner=bad)


def test_sections_of_a_card(tmp_path: Any) -> None:
    card = tmp_path / "x.md"
    card.write_text("# Title\n\n## In one line\n\nDoes it.\n\n### Deeper\n\n## Source\n\nNobody 2020.\n")
    assert sections(card) == {"In one line": "Does it.\n\n### Deeper", "Source": "Nobody 2020."}
