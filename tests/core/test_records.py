import torch

from labkit.core.records import Accuracy, Compressed, Cost, Latency, Masks, Measurement


def test_records_build_with_what_they_need_and_no_more() -> None:
    accuracy = Accuracy(9, 10, 0.6, 0.98)
    made = Measurement(accuracy, 100, Cost(1, 1, 1, 1), {"compute": 0.0})
    assert made.latency is None
    assert dict(made.host) == {}
    assert Compressed(torch.nn.Identity(), "x").report == ()
    assert Latency(1.0, 0.9, 1.1, 5, 1, 1).times_ms == ()


def test_masks_are_structured_when_they_name_channels() -> None:
    assert not Masks({}).is_structured
    assert Masks({}, {"group": torch.ones(2, dtype=torch.bool)}).is_structured


def test_an_accuracy_is_settled_when_its_whole_set_was_seen() -> None:
    assert Accuracy(9, 10, 0.6, 0.98, 10).is_settled
    assert not Accuracy(9, 10, 0.6, 0.98, 20).is_settled
    assert not Accuracy(9, 10, 0.6, 0.98).is_settled


def test_accuracies_are_compared_by_their_numbers_not_by_what_they_saw() -> None:
    seen = Accuracy(1, 2, 0.0, 1.0, index=torch.tensor([0, 1]), predictions=torch.tensor([1, 1]))
    assert seen == Accuracy(1, 2, 0.0, 1.0)
    assert "tensor" not in repr(seen)
