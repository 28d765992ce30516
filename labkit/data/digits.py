"""Digits: 1,797 handwritten digits of 8×8 pixels, the tiny set for tests and quick runs.

Source  Alpaydin and Kaynak 1998, UCI repository; comes with scikit-learn.
"""

from functools import lru_cache

import torch

from labkit.data.images import Images, Splits

MEAN, STD = 0.3053, 0.3763  # of all 1,797 images, to three digits; digits-small was trained with these
SIZES = (1000, 297, 500)  # to train on, held out, to test


def load(full: bool = False) -> Splits:
    """Load the set: 1,000 images to train on, 297 held out, 500 to test. `full` changes nothing: there is no more."""
    return _load()


@lru_cache(maxsize=1)
def _load() -> Splits:
    from sklearn.datasets import load_digits

    bunch = load_digits()
    pixels = torch.tensor(bunch.images).mul(255 / 16).round().to(torch.uint8).unsqueeze(1)
    labels = torch.tensor(bunch.target, dtype=torch.int64)
    order = torch.randperm(len(labels), generator=torch.Generator().manual_seed(0))
    train, held_out, test = (Images(pixels[part], labels[part], MEAN, STD) for part in order.split(list(SIZES)))
    return Splits("digits", tuple("0123456789"), train, held_out, test, "scikit-learn")
