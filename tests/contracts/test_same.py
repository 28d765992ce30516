"""The comparison that the contracts rest on sees every difference."""

from dataclasses import dataclass

import numpy as np
import pytest
import torch
from torch import nn

from tests.contracts.same import differences, state_of


@dataclass(frozen=True)
class Value:
    x: object


@pytest.mark.parametrize(
    ("a", "b"),
    [
        (torch.tensor([1.0]), torch.tensor([1.0000001])),
        (torch.tensor([0.0]), torch.tensor([-0.0])),
        (torch.tensor([1], dtype=torch.int8), torch.tensor([1], dtype=torch.uint8)),
        (torch.zeros(2, 3), torch.zeros(3, 2)),
        (torch.zeros(1, dtype=torch.bfloat16), torch.ones(1, dtype=torch.bfloat16)),
        (np.zeros(2), np.ones(2)),
        ({"a": 1}, {"a": 1, "b": 2}),
        ({"a": 1, "b": 2}, {"b": 2, "a": 1}),
        ([1, 2], [1, 2, 3]),
        ([1], (1,)),
        (Value(1.0), Value(2.0)),
        (Value(torch.zeros(2)), Value(torch.ones(2))),
        (1.0, 1.0000000000000002),
        ("a", "b"),
    ],
)
def test_differences_are_seen(a: object, b: object) -> None:
    assert list(differences(a, b))


@pytest.mark.parametrize("a", [float("nan"), torch.tensor([float("nan")]), Value({"a": [torch.arange(3), 1.5, None]}), np.arange(3)])
def test_equal_values_are_the_same(a: object) -> None:
    assert not list(differences(a, a))


@pytest.mark.parametrize(
    "change",
    [
        lambda model: model[0].weight.data.mul_(2),
        lambda model: model.train(),
        lambda model: model[0].weight.requires_grad_(False),
        lambda model: setattr(model[0].weight, "grad", torch.zeros_like(model[0].weight)),
        lambda model: model[0].register_forward_hook(lambda *_: None),
        lambda model: model[1].running_mean.add_(1),
        lambda model: model.append(nn.ReLU()),
    ],
)
def test_every_change_of_a_model_is_seen(change: object) -> None:
    model = nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3)).eval()
    before = state_of(model)
    assert not list(differences(before, state_of(model)))
    change(model)  # type: ignore[operator]
    assert list(differences(before, state_of(model)))
