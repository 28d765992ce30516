"""Streams of small codes: the card's bytes, and every width and length comes back."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from labkit.core.errors import FileFormatError
from labkit.formats._bits import checked_stream, pack_bits, stream_bytes, unpack_bits


def test_the_cards_bytes():
    assert pack_bits(np.array([1, 2, 3, 4, 5]), 3).tolist() == [0xD1, 0x58]
    assert pack_bits(np.array([-8, 7, -1, 3, 5]) & 15, 4).tolist() == [0x78, 0x3F, 0x05]
    assert pack_bits(np.array([1, 3, 2, 3]), 2).tolist() == [237]


@given(bits=st.integers(1, 16), count=st.integers(0, 257), seed=st.integers(0, 99))
def test_codes_come_back(bits, count, seed):
    codes = np.random.default_rng(seed).integers(0, 1 << bits, count)
    stream = pack_bits(codes, bits)
    assert stream.size == stream_bytes(count, bits)
    assert stream.dtype == np.uint8
    assert (unpack_bits(checked_stream("x", "codes", stream, bits, count), bits, count) == codes).all()


@pytest.mark.parametrize("codes", [[4], [-1], [0, 1 << 40]])
def test_a_code_that_does_not_fit_is_refused(codes):
    with pytest.raises(ValueError, match=r"codes of 2 bits must be in \[0, 3\]"):
        pack_bits(np.array(codes), 2)


@pytest.mark.parametrize(
    ("stream", "says"),
    [
        (np.array([255, 2], np.uint8), "after its 3 codes must be 0"),
        (np.array([255], np.uint8), "must be 2 bytes for 3 codes, got 1"),
        (np.array([127, 1], np.int8), "must be uint8, got int8"),
    ],
)
def test_a_stream_of_another_length_or_with_spare_bits_is_refused(stream, says):
    assert checked_stream("x", "codes", np.array([255, 1], np.uint8), 3, 3).size == 2
    with pytest.raises(FileFormatError, match=says):
        checked_stream("x", "codes", stream, 3, 3)
