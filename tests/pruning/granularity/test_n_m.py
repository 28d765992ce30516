"""N of every M stay: by hand, along the inputs, with short groups, ties and what an earlier step dropped."""

import numpy as np
import pytest
import torch
from torch import nn

from labkit import flow
from labkit.core.recipe import Recipe, Step
from labkit.core.records import Compressed
from labkit.core.registry import Context
from labkit.core.seeds import generator
from labkit.formats.file import from_bytes
from labkit.models import load, packed
from labkit.pruning.criterion.magnitude import MagnitudeConfig
from labkit.pruning.criterion.magnitude import run as prune
from labkit.pruning.granularity.n_m import NMConfig, n_m_groups
from labkit.runtime import compile  # noqa: A004


def kept(weight, n, m, scores=None):
    groups = n_m_groups(weight, NMConfig(n=n, m=m))
    return groups.expand(groups.choose(weight.abs().flatten() if scores is None else scores))


def test_the_cards_example():
    weight = torch.tensor([[0.1, -0.9, 0.3, 0.5, 0, 0, 0.2, 0.2]])
    assert kept(weight, 2, 4)[0].nonzero().flatten().tolist() == [1, 3, 6, 7]


def test_of_equal_weights_the_first_go():
    assert kept(torch.ones(1, 8), 1, 4)[0].tolist() == [False, False, False, True] * 2


def test_groups_lie_along_the_input_channels():
    weight = torch.zeros(1, 4, 1, 2)
    weight[0, :, 0, 0] = torch.tensor([3.0, 1, 4, 2])
    weight[0, :, 0, 1] = torch.tensor([1.0, 5, 2, 9])
    assert kept(weight, 2, 4)[0, :, 0, :].T.tolist() == [[True, False, True, False], [False, True, False, True]]


def test_a_shorter_last_group_keeps_what_it_can():
    assert kept(torch.tensor([[1.0, 2, 3, 4, 5]]), 2, 4)[0].tolist() == [False, False, True, True, True]
    first = kept(torch.arange(1.0, 10).view(1, 1, 3, 3), 2, 4).flatten()  # one input channel: groups run along the window
    assert first.tolist() == [False, False, True, True, False, False, True, True, True]


@pytest.mark.parametrize(("n", "m"), [(1, 2), (2, 4), (1, 4), (2, 8), (5, 16), (4, 4)])
def test_every_full_group_keeps_n_and_no_less_of_the_norm_than_it_must(n, m):
    weight = torch.randn(6, 16, 3, 3, generator=torch.Generator().manual_seed(0))
    mask = kept(weight, n, m)
    rows, size = (each.movedim(1, -1).reshape(-1, m) for each in (mask, weight.abs()))
    assert (rows.sum(1) == n).all()
    torch.testing.assert_close((size * rows).sum(1), size.topk(n, 1).values.sum(1))


def test_what_was_dropped_before_stays_dropped():
    scores = torch.tensor([-torch.inf, -torch.inf, -torch.inf, 1.0])
    assert kept(torch.ones(1, 4), 2, 4, scores)[0].tolist() == [False, False, False, True]


def test_a_layer_that_stays_dense_is_reported():
    model = nn.Sequential(nn.Linear(2, 3), nn.Linear(3, 8))
    masks = prune(model, MagnitudeConfig(granularity=NMConfig(n=2, m=4)), Context(generator(0)))
    assert "0: an output has 2 weights, no more than N = 2: left dense" in masks.notes
    assert bool(masks.keep["0.weight"].all())
    assert masks.keep["1.weight"].sum(1).tolist() == [2] * 8
    assert n_m_groups(torch.ones(2, 8), NMConfig(n=4, m=4)).note == "N = 4 of M = 4 keeps every weight"


def test_a_pruned_network_is_stored_and_runs_as_n_m():
    recipe = Recipe("lenet-300-100", "fashion-mnist", (Step(MagnitudeConfig(granularity=NMConfig(n=1, m=4))),))
    splits = flow.load_data(recipe)
    compressed = flow.compress(Compressed(model=load("lenet-300-100"), network="lenet-300-100"), recipe, splits)
    _, tensors = from_bytes(packed.to_file(compressed))
    weights = [name for name in tensors if name.endswith("weight")]
    assert len(weights) == 3
    assert {tensors[name].kind for name in weights} == {"n_m"}
    program, images = compile(compressed, flow.example(splits.test), "rule"), splits.test[:20].tensor()
    assert [layer.format for layer in program.layers if layer.format] == ["n_m"] * 3
    with torch.inference_mode():
        np.testing.assert_allclose(program(images.numpy()), compressed.model(images).numpy(), rtol=1e-4, atol=1e-4)
