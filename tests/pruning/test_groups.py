"""Sums over groups and the masks they expand to."""

import pytest
import torch

from labkit.pruning.groups import Groups

VALUES = torch.tensor([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]])


def test_single_weights_are_left_in_order_whatever_the_layout() -> None:
    weight = torch.arange(24.0).view(2, 3, 2, 2)
    groups = Groups((2, 3, 2, 2), 24)
    last = weight.contiguous(memory_format=torch.channels_last)
    assert groups.sum(last).tolist() == list(range(24))
    assert torch.equal(groups.expand(weight.flatten() > 4), weight > 4)


@pytest.mark.parametrize(
    ("index", "sums"),
    [([[0], [1]], [6.0, 15.0]), ([[0, 1, 2]], [5.0, 7.0, 9.0]), ([[0, 0, 1], [1, 2, 2]], [3.0, 7.0, 11.0])],
)
def test_members_add_up_along_broadcast_axes(index: list[list[int]], sums: list[float]) -> None:
    groups = Groups((2, 3), len(sums), torch.tensor(index))
    assert groups.sum(VALUES).tolist() == sums
    keep = torch.tensor([value > 6.5 for value in sums])
    assert torch.equal(groups.expand(keep), keep[torch.tensor(index)].expand(2, 3))


def test_a_short_tail_counts_as_its_mean_times_the_full_length() -> None:
    groups = Groups((2, 3), 2, torch.tensor([[0, 0, 0], [0, 1, 1]]))  # members 4 and 2
    assert groups.sum(VALUES).tolist() == [10.0, 22.0]


def test_values_may_come_one_per_filter() -> None:
    groups = Groups((4, 3), 2, torch.tensor([[0], [1], [0], [1]]))
    assert groups.sum(torch.tensor([[1.0], [2.0], [3.0], [4.0]])).tolist() == [4.0, 6.0]


def test_sums_are_exact_where_single_precision_would_swallow_members() -> None:
    groups = Groups((1, 8), 1, torch.tensor([[0]]))
    assert groups.sum(torch.tensor([[1e8, *[1.0] * 7]])).tolist() == [100_000_007.0]
