"""Single weights keep more of the L1 norm than any coarser groups of the same count."""

import torch
from torch import nn

from labkit.core.registry import Context
from labkit.core.seeds import generator
from labkit.pruning._select import drop_count, drop_lowest
from labkit.pruning.criterion.magnitude import MagnitudeConfig, magnitude_saliency
from labkit.pruning.granularity.weight import WeightConfig, run, weight_groups
from labkit.pruning.groups import Groups

WEIGHT = torch.tensor([1.0, 4.0, 2.0, 2.0, 5.0, 0.0, 3.0, 1.0]).view(2, 2, 1, 2)
KERNELS = Groups((2, 2, 1, 2), 4, torch.arange(4).view(2, 2, 1, 1))
FILTERS = Groups((2, 2, 1, 2), 2, torch.arange(2).view(2, 1, 1, 1))


def kept_l1(groups: Groups, sparsity: float) -> float:
    keep = drop_lowest(magnitude_saliency(WEIGHT, groups, MagnitudeConfig()), drop_count(sparsity, groups.count))
    return float((WEIGHT * groups.expand(keep)).abs().sum())


def test_the_worked_example_weight_kernel_filter() -> None:
    assert [kept_l1(groups, 0.5) for groups in (weight_groups(WEIGHT), KERNELS, FILTERS)] == [14.0, 10.0, 9.0]
    keep = drop_lowest(magnitude_saliency(WEIGHT, FILTERS, MagnitudeConfig()), 1)
    assert keep.tolist() == [False, True]  # 9 and 9: the tie goes by position


def test_each_layer_that_matches_has_as_many_groups_as_weights_and_may_empty() -> None:
    model = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.Flatten(), nn.Linear(8, 3))
    found = run(model, WeightConfig(), Context(generator(0)))
    assert {name: groups.count for name, groups in found.items()} == {"0": 18, "3": 24}
    assert not any(groups.keeps_one for groups in found.values())
    assert list(run(model, WeightConfig(), Context(generator(0), layers="3"))) == ["3"]
