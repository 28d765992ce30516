"""Random networks of every operation and format give what the reference gives, and in integers what the simulation gives."""

import numpy as np
import pytest
from hypothesis import given, reject, settings
from hypothesis import strategies as st

from labkit.core.errors import ModelError
from labkit.formats import formats
from labkit.runtime.calibrate import activation_ranges, activations_of
from labkit.runtime.kernels import int8_direct_conv, reference
from labkit.runtime.program import Program
from labkit.runtime.quantize import as_integers
from labkit.runtime.simulation import simulate
from tests.runtime.networks import networks
from tests.runtime.test_edges import BATCHES
from tests.runtime.test_integer_fast import check_fast_codes

FLOATS = st.sampled_from(list(formats())).flatmap(lambda kind: st.lists(st.sampled_from(["dense", kind]), min_size=2, max_size=2))
INTEGERS = ["dense", "csr", "linear", "block_int8"]


def batch_of(count, image, seed):
    return np.random.default_rng(seed).standard_normal((count, *image)).astype(np.float32)


def check_floats(network, count):
    """A program agrees with the reference, to a share of the largest number on the way; so does what its file holds."""
    steps, image = network
    x = batch_of(count, image, seed=0)
    values = [reference.interpret(steps[:n], x) for n in range(1, len(steps) + 1)]
    program = Program(steps, image)
    got, peak = program(x), max(1.0, *(float(np.abs(value).max()) for value in values))
    assert got.dtype == np.float32
    np.testing.assert_allclose(got, values[-1], rtol=1e-4, atol=1e-5 * peak)
    assert np.array_equal(Program.from_bytes(program._file)(x), got)


def integers_of(network, *, exact=True):
    """Return a network's steps in integers, calibrated on a few images."""
    steps, image = network
    images = batch_of(8, image, seed=1)
    try:
        return as_integers(steps, activations_of(activation_ranges(steps, image, images)), exact=exact), image
    except ModelError as error:  # weights in groups, and scales that a random weight brought along
        if "integer layers take" not in str(error) and "does not fit 32 bits" not in str(error):
            raise
        reject()


def program_of(steps, image):
    """Return a program; what its calibration made impossible to requantize or to add is told, and no case."""
    try:
        return Program(steps, image)
    except ModelError as error:
        if "cannot be requantized by" not in str(error) and "cannot add codes" not in str(error):
            raise
        reject()


def check_integers(network, count):
    """A program, with convolutions from bytes to bytes and without, and what its file holds equal the simulation."""
    steps, image = integers_of(network)
    x = batch_of(count, image, seed=2)
    want = simulate(steps, x)
    for direct in (True, False):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(int8_direct_conv, "FASTER", direct)
            program = program_of(steps, image)
            np.testing.assert_array_equal(program(x), want)
    np.testing.assert_array_equal(Program.from_bytes(program._file)(x), want)


def check_fast(network, count):
    steps, image = integers_of(network)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(int8_direct_conv, "FASTER", False)
        check_fast_codes(program_of(steps, image), batch_of(count, image, seed=2))


@given(network=FLOATS.flatmap(networks), count=BATCHES)
@settings(max_examples=100, deadline=None)
def test_networks_of_floats(network, count):
    check_floats(network, count)


@given(network=networks(INTEGERS), count=BATCHES)
@settings(max_examples=100, deadline=None)
def test_networks_of_integers(network, count):
    check_integers(network, count)


@given(network=networks(INTEGERS), count=st.integers(1, 9))
@settings(max_examples=60, deadline=None)
def test_fast_codes_of_networks(network, count):
    check_fast(network, count)


@pytest.mark.long
@given(network=FLOATS.flatmap(networks), count=BATCHES)
@settings(max_examples=400, deadline=None)
def test_thousands_of_networks_of_floats(network, count):
    check_floats(network, count)


@pytest.mark.long
@given(network=networks(INTEGERS), count=BATCHES)
@settings(max_examples=400, deadline=None)
def test_thousands_of_networks_of_integers(network, count):
    check_integers(network, count)


@pytest.mark.long
@given(network=networks(INTEGERS), count=st.integers(1, 9))
@settings(max_examples=400, deadline=None)
def test_fast_codes_of_thousands_of_networks(network, count):
    check_fast(network, count)
