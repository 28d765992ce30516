"""Linear codes: the card's bytes and values, every granularity, and what is refused."""

import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from labkit.core.errors import FileFormatError
from labkit.formats.linear import LinearTensor
from tests.formats.coded import linear

W44 = np.array([[2.09, -0.98, 1.48, 0.09], [0.05, -0.14, -1.08, 2.12], [-0.91, 1.92, 0, -1.03], [1.87, 0, 1.53, 1.49]], np.float32)


def test_the_cards_example():
    scale = np.float32(3.2 / 3)
    codes = np.array([[1, -2, 0, -1], [-1, -1, -2, 1], [-2, 1, -1, -2], [1, -1, 0, 0]])
    packed = LinearTensor.pack(codes, scale, -1, bits=2)
    assert np.abs(packed.unpack() - W44).max() == pytest.approx(0.4633, abs=1e-4)
    assert np.sqrt(((packed.unpack() - W44) ** 2).sum()) == pytest.approx(0.8634, abs=1e-4)
    assert packed.packed_bytes == 4 + 4 + 1


def test_four_bits_by_hand():
    packed = LinearTensor.pack(np.array([[-8, 7, -1, 3, 5]]), 0.5, bits=4)
    assert packed.stream.tolist() == [0x78, 0x3F, 0x05]
    assert packed.codes.tolist() == [[-8, 7, -1, 3, 5]]
    assert packed.unpack().tolist() == [[-4, 3.5, -0.5, 1.5, 2.5]]


@given(
    bits=st.integers(2, 16),
    signed=st.booleans(),
    shape=st.sampled_from([(3, 7), (1, 130), (4, 2, 3, 3)]),
    group=st.sampled_from([0, 3, 32]),
    by_row=st.booleans(),
    with_zero=st.booleans(),
    seed=st.integers(0, 99),
)
def test_codes_and_values_are_exact(bits, signed, shape, group, by_row, with_zero, seed):
    packed = linear(np.random.default_rng(seed), shape, bits=bits, signed=signed, group=group, by_row=by_row, with_zero=with_zero)
    rows, codes = shape[0], packed.codes.astype(np.int64).reshape(shape[0], -1)
    points = np.zeros(1, int) if packed.zero_points is None else packed.zero_points.astype(np.int64)
    for row in range(rows):
        for column in range(codes.shape[1]):
            at = row * -(-codes.shape[1] // group) + column // group if group else row
            scale, point = packed.scales[at % packed.scales.size], points[at % points.size]
            assert packed.unpack().reshape(rows, -1)[row, column] == np.float32(codes[row, column] - point) * scale
    if packed.zero_points is None:
        assert packed.packed_bytes == -(-codes.size * bits // 8) + 4 * packed.scales.size


def test_codes_out_of_range_are_refused():
    with pytest.raises(ValueError, match=r"linear codes of 4 bits must be in \[-8, 7\], got -9 to 1"):
        LinearTensor.pack(np.array([-9, 1]), 1.0, bits=4)
    with pytest.raises(ValueError, match=r"zero points of 4 bits must be in \[0, 15\], got 16 to 16"):
        LinearTensor.pack(np.array([9, 1]), 1.0, 16, bits=4, signed=False)
    with pytest.raises(FileFormatError, match="bits of a linear tensor must be 2 to 16, got 1"):
        LinearTensor.pack(np.array([0, -1]), 1.0, bits=1)
    with pytest.raises(FileFormatError, match="scales of a linear tensor must be 1 or 2, got 3"):
        LinearTensor.pack(np.zeros((2, 2), int), np.ones(3))
    with pytest.raises(FileFormatError, match="must be above 0 and at most"):
        LinearTensor.pack(np.zeros((2, 2), int), 0.0)


def test_zero_points_that_no_packing_makes_are_refused():
    arrays = {"codes": np.zeros(4, np.uint8), "scales": np.ones(2, np.float32)}
    for points in (np.zeros(2, np.int8), np.ones(1, np.int8), np.array([0, 9], np.int8)):
        with pytest.raises(FileFormatError, match=r"zero_points of a linear tensor must be 2 codes in \[-8, 7\], not all 0"):
            LinearTensor.from_arrays((2, 4), arrays | {"zero_points": points}, {"bits": 4, "signed": 1, "group": 0})


def test_a_group_that_a_file_makes_huge_costs_nothing():
    packed = linear(np.random.default_rng(0), (5, 6), bits=4, group=6)
    wide = LinearTensor.from_arrays((5, 6), packed.arrays(), dict(packed.settings) | {"group": 1 << 28})
    assert np.array_equal(wide.unpack(), packed.unpack())
    began = time.perf_counter()
    with pytest.raises(FileFormatError, match="the setting group of a linear tensor must be 0 to 268435456, got 2147483648"):
        LinearTensor.from_arrays((5, 6), packed.arrays(), dict(packed.settings) | {"group": 1 << 31})
    assert time.perf_counter() - began < 1
