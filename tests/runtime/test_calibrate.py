"""Ranges are the least and largest entry over all images, and the codes that follow are the card's."""

import numpy as np
import pytest
import torch
from torch import nn

from labkit.core.errors import ConfigError, ModelError
from labkit.runtime import compile  # noqa: A004
from labkit.runtime.calibrate import BATCH, activation_ranges, activations_of, affine_of


def test_ranges_are_those_of_every_value_over_all_batches():
    model = nn.Sequential(nn.Linear(2, 2, bias=False), nn.ReLU(), nn.Linear(2, 1, bias=False))
    with torch.no_grad():
        model[0].weight.copy_(torch.tensor([[1.0, 0.0], [0.0, -2.0]]))
        model[2].weight.copy_(torch.tensor([[1.0, 1.0]]))
    steps = compile(model, torch.zeros(1, 2), "dense").steps
    x = np.zeros((BATCH + 1, 2), np.float32)
    x[0], x[BATCH] = [3, 1], [-5, -2]
    assert activation_ranges(steps, (2,), x) == {"input": (-5, 3), "0": (0, 4), "2": (0, 4)}


@pytest.mark.parametrize(
    ("low", "high", "scale", "zero"),
    [
        (0, 255, 1, 0),
        (-1, 254, 1, 1),
        (0.5, 2.55, 0.01, 0),
        (-2.55, -1, 0.01, 255),
        (0, 0, 1, 0),
        (-1, 1.04, 2.04 / 255, 125),
        (0, 1e-42, 1, 0),
    ],
)
def test_the_cards_codes(low, high, scale, zero):
    codes = affine_of(low, high)
    assert (codes.scale, codes.zero) == (float(np.float32(scale)), zero)


def test_activations_are_pairs():
    assert activations_of({"a": (0, 255)}) == {"a": (1.0, 0)}


@pytest.mark.parametrize("images", [np.zeros((0, 2), np.float32), np.zeros((3, 3), np.float32), np.zeros(2, np.float32)])
def test_images_that_do_not_fit_are_refused(images):
    with pytest.raises(ConfigError, match="calibration must be images of shape \\(n, 2\\)"):
        compile(nn.Sequential(nn.Linear(2, 1)), torch.zeros(1, 2), "int8", calibration=images)


def test_what_is_not_a_number_is_refused():
    with pytest.raises(ModelError, match="'input' holds NaN"):
        compile(nn.Sequential(nn.Linear(2, 1)), torch.zeros(1, 2), "int8", calibration=np.full((1, 2), np.nan, np.float32))
