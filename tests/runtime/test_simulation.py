"""The integer simulation agrees with the card by hand and with float torch about; programs equal it bit for bit."""

import numpy as np
import pytest
import torch

from labkit.data import sets
from labkit.formats.linear import LinearTensor
from labkit.models import load, zoo
from labkit.runtime import Program
from labkit.runtime.simulation import simulate, simulated_values
from labkit.runtime.steps import Affine, Step
from tests.runtime.integers import calibrated, simulated


def test_the_cards_layer():
    """Card `integer_matmul` and `requantize`: acc 320, -243, codes 3 and -2 above the zero point (-2.43 is nearer to -2)."""
    weight = LinearTensor.pack(np.array([[3, -1, 2], [-4, 0, 5]]), 0.02, 1)
    x, y = Affine(float(np.float32(0.05)), 8), Affine(float(np.float32(0.1)), 125)
    steps = [
        Step("quantize", "input", (0,), codes=x),
        Step("linear", "fc", (1,), weight, np.array([310, -250], np.int32), codes=y),
        Step("dequantize", "output", (2,)),
    ]
    real = np.array([[0.1, -0.05, 0.2]], np.float32)
    values = simulated_values(steps, real)
    assert values[1].tolist() == [[10, 7, 12]]
    assert values[2].tolist() == [[128, 123]]
    np.testing.assert_allclose(values[3], [[0.3, -0.2]], rtol=1e-6)
    assert (Program(steps, (3,))(real) == values[3]).all()


@pytest.mark.parametrize("name", zoo.names())
def test_an_integer_network_equals_its_simulation_bit_for_bit(name):
    program, test = calibrated(name)
    x = test[:1000].tensor().numpy()
    if len(x) < 1000:  # digits are few
        x = np.concatenate([x, sets.load(zoo.card(name).data).train.tensor().numpy()])
    got = np.concatenate([program(x[:500]), program(x[500:])])
    assert len(x) >= 1000
    assert (got == simulated(program, x)).all()
    with torch.inference_mode():
        floats = load(name)(torch.from_numpy(x)).numpy()
    assert (got.argmax(1) == floats.argmax(1)).mean() > 0.97
    assert np.abs(got - floats).max() < 0.25 * np.abs(floats).max()


@pytest.mark.long
@pytest.mark.parametrize("name", zoo.names())
def test_all_test_images_agree_with_the_simulation(name):
    program, test = calibrated(name)
    for x, _ in test.batches(500):
        assert (program(x.numpy()) == simulated(program, x.numpy())).all()


def test_a_simulation_treats_images_one_by_one():
    program, test = calibrated("digits-small")
    x = test[:7].tensor().numpy()
    assert (simulate(program.steps, x) == np.concatenate([simulate(program.steps, x[n : n + 1]) for n in range(7)])).all()
