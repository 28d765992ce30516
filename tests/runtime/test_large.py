"""Networks of usual size, at 224×224, whole and pruned, agree with torch; in integers they equal their simulation bit for bit.

Their weights are random: what a layer computes does not depend on what it was trained for, and nothing is fetched.
"""

from functools import cache

import numpy as np
import pytest
import torch
import torchvision
from torch import nn

from labkit.models.layers import compressible
from labkit.runtime import compile  # noqa: A004
from labkit.runtime.kernels._simd import LANES
from labkit.runtime.simulation import simulate
from tests.models.networks import prune_at_random

pytestmark = pytest.mark.long
EVERY = pytest.mark.parametrize("name", ["resnet18", "mobilenet_v2", "vgg16_bn"])


@cache
def network(name, sparsity=0.0):
    """A network, a share of each layer's weights zero, whose batch norms keep values in range and let images differ to the end."""
    torch.manual_seed(0)
    model = torchvision.models.get_model(name, weights=None)
    if sparsity:
        prune_at_random(model, sparsity)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = None  # the mean over all batches, of which there is one
    with torch.no_grad():
        model.train()(pictures(4, seed=9))
    return model.eval()


def pictures(count, seed=0):
    return torch.randn(count, 3, 224, 224, generator=torch.Generator().manual_seed(seed))


def check(program, model, x):
    """Logits agree to 1e-4 of the largest, and images have logits of their own."""
    with torch.inference_mode():
        want = model(x).numpy()
    largest = np.abs(want).max()
    assert len(x) == 1 or np.abs(want[0] - want[1]).max() > 0.1 * largest
    np.testing.assert_allclose(program(x.numpy()), want, rtol=0, atol=1e-4 * largest)


@EVERY
@pytest.mark.parametrize("formats", ["dense", "csr"])
def test_a_program_agrees_with_torch(name, formats):
    model, x = network(name), pictures(2)
    check(compile(model, x, formats), model, x)


@EVERY
def test_a_sparse_program_agrees_with_the_masked_network(name):
    model = network(name, 0.9)
    zeros = [float((layer.weight == 0).float().mean()) for layer in compressible(model).values()]
    assert min(zeros) > 0.88
    program = compile(model, pictures(1), "rule")
    assert {layer.format for layer in program.layers if layer.op == "conv"} == {"csr"}
    check(program, model, pictures(2))


def test_many_images_of_a_sparse_network_go_in_groups():
    model, x = network("mobilenet_v2", 0.9), pictures(LANES + 1)
    check(compile(model, x, "rule"), model, x)


@EVERY
def test_an_integer_program_equals_its_simulation(name):
    model, x = network(name), pictures(1, seed=1).numpy()
    program = compile(model, x, "int8", calibration=pictures(4).numpy())
    got = program(x)
    np.testing.assert_array_equal(got, simulate(program.steps, x))
    with torch.inference_mode():
        floats = model(torch.from_numpy(x)).numpy()
    assert np.corrcoef(got.reshape(-1), floats.reshape(-1))[0, 1] > 0.9
