"""Every trained network of the zoo, compiled dense, says what torch says of every test image."""

from functools import cache

import numpy as np
import pytest
import torch

from labkit.data import sets
from labkit.models.builders import BUILDERS
from labkit.models.zoo import card, load
from labkit.runtime import compile  # noqa: A004

AT_ONCE = 500


@cache
def images_of(data):
    return sets.load(data).test.tensor()


@pytest.mark.parametrize("name", BUILDERS)
def test_a_dense_program_predicts_what_torch_predicts(name):
    model, x = load(name), images_of(card(name).data)
    program = compile(model, x[:1], "dense")
    with torch.inference_mode():
        want = torch.cat([model(part) for part in x.split(AT_ONCE)]).numpy()
    got = np.concatenate([program(part.numpy()) for part in x.split(AT_ONCE)])
    few = np.concatenate([program(part.numpy()) for part in x[:100].split(1)])
    assert np.abs(got - want).max() < 1e-4
    assert np.abs(few - want[:100]).max() < 1e-4
    differ = got.argmax(1) != want.argmax(1)
    lead = want.max(1) - want[np.arange(len(want)), got.argmax(1)]
    assert (lead[differ] < 2e-4).all()  # nothing but ties
    assert differ.sum() <= 1e-4 * len(want)
