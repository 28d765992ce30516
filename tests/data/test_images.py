import math

import pytest
import torch
from torch import Tensor

from labkit.core.errors import ConfigError, DataError
from labkit.data.images import Images


def some(n: int = 5) -> Images:
    return Images(torch.arange(n * 4, dtype=torch.uint8).reshape(n, 1, 2, 2), torch.arange(n), 0.5, 0.25)


def test_pixels_are_normalised_when_used_and_kept_as_they_are() -> None:
    images = Images(torch.tensor([[[[0, 255], [51, 102]]]], dtype=torch.uint8), torch.tensor([3]), 0.5, 0.25)
    assert torch.allclose(images.tensor(), torch.tensor([[[[-2.0, 2.0], [-1.2, -0.4]]]]))
    assert images.tensor().dtype == torch.float32
    assert images.pixels.tolist() == [[[[0, 255], [51, 102]]]]


@pytest.mark.parametrize("index", [slice(1, 3), torch.tensor([1, 2]), torch.tensor([False, True, True, False, False])])
def test_a_part_keeps_pixels_and_labels_together(index: slice | Tensor) -> None:
    part = some()[index]
    assert part.labels.tolist() == [1, 2]
    assert part.pixels[:, 0, 0, 0].tolist() == [4, 8]
    assert (part.mean, part.std) == (0.5, 0.25)


def test_batches_cover_everything_in_order_and_the_last_is_short() -> None:
    batches = list(some().batches(2))
    assert [len(y) for _, y in batches] == [2, 2, 1]
    assert torch.cat([x for x, _ in batches]).equal(some().tensor())
    assert torch.cat([y for _, y in batches]).tolist() == [0, 1, 2, 3, 4]


@pytest.mark.parametrize("size", [0, -1])
def test_an_empty_batch_is_refused(size: int) -> None:
    with pytest.raises(ConfigError, match=f"at least 1, got {size}"):
        next(some().batches(size))


@pytest.mark.parametrize(
    ("pixels", "labels"),
    [
        (torch.zeros(2, 1, 3, 3), torch.zeros(2, dtype=torch.int64)),
        (torch.zeros(2, 3, 3, dtype=torch.uint8), torch.zeros(2, dtype=torch.int64)),
        (torch.zeros(2, 3, 3, 3, dtype=torch.uint8), torch.zeros(2, dtype=torch.int64)),
        (torch.zeros(2, 1, 3, 3, dtype=torch.uint8), torch.zeros(3, dtype=torch.int64)),
        (torch.zeros(2, 1, 3, 3, dtype=torch.uint8), torch.zeros(2, 1, dtype=torch.int64)),
        (torch.zeros(2, 1, 3, 3, dtype=torch.uint8), torch.tensor(0)),
        (torch.zeros(2, 1, 3, 3, dtype=torch.uint8), torch.zeros(2)),
    ],
)
def test_what_is_not_images_with_labels_is_refused(pixels: Tensor, labels: Tensor) -> None:
    with pytest.raises(DataError, match=r"images must be uint8 \(n, 1, h, w\) with int64 labels \(n,\), got "):
        Images(pixels, labels, 0.5, 0.25)


@pytest.mark.parametrize(("mean", "std"), [(math.nan, 1.0), (0.5, 0.0), (0.5, -1.0), (0.5, math.inf)])
def test_a_scale_that_divides_by_nothing_is_refused(mean: float, std: float) -> None:
    with pytest.raises(DataError, match="standard deviation above 0"):
        Images(some().pixels, some().labels, mean, std)


def test_images_are_compared_by_identity_not_pixel_by_pixel() -> None:
    images = some()
    assert images == images
    assert images != some()
    assert len({images, some()}) == 2
