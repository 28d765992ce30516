import numpy as np
import pytest
import torch

from labkit.data import digits


def test_the_parts_are_the_whole_set_and_share_nothing() -> None:
    from sklearn.datasets import load_digits

    splits = digits.load()
    parts = [splits.train, splits.held_out, splits.test]
    assert [len(part) for part in parts] == [1000, 297, 500] == list(digits.SIZES)
    images = [{image.tobytes() for image in part.pixels.numpy()} for part in parts]
    assert sum(map(len, images)) == len(set().union(*images)) == 1797
    whole = np.round(load_digits().images * (255 / 16)).astype(np.uint8)
    assert set().union(*images) == {image.tobytes() for image in whole}


def test_labels_stay_with_their_images() -> None:
    from sklearn.datasets import load_digits

    label = {np.round(x * (255 / 16)).astype(np.uint8).tobytes(): y for x, y in zip(*load_digits(return_X_y=True), strict=True)}
    splits = digits.load()
    for part in (splits.train, splits.held_out, splits.test):
        assert all(label[x.tobytes()] == y for x, y in zip(part.pixels.numpy(), part.labels.tolist(), strict=True))


def test_the_scale_is_that_of_the_set() -> None:
    splits = digits.load()
    pixels = torch.cat([splits.train.pixels, splits.held_out.pixels, splits.test.pixels]).float() / 255
    assert pytest.approx(float(pixels.mean()), abs=5e-4) == digits.MEAN
    assert pytest.approx(float(pixels.std()), abs=5e-4) == digits.STD


def test_the_set_is_read_once_however_it_is_asked_for() -> None:
    assert digits.load() is digits.load(False) is digits.load(full=True)
