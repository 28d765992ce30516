"""Blocks of outputs: the card's bytes, a tail below the last row, and what no packing makes."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from labkit.core.errors import FileFormatError
from labkit.formats import smallest
from labkit.formats.csr import CsrTensor
from labkit.formats.vector_sparse import VectorSparseTensor


def blocks(rows, columns, share, block=4, seed=0):
    """A weight of ones and zeros with exactly that share of whole blocks of outputs."""
    count = -(-rows // block) * columns
    chosen = np.zeros(count, bool)
    chosen[np.random.default_rng(seed).permutation(count)[: round(share * count)]] = True
    return np.repeat(chosen.reshape(-(-rows // block), columns), block, axis=0)[:rows].astype(np.float32)


def test_by_hand():
    weight = np.zeros((6, 3), np.float32)
    weight[0:4, 1] = 1, 2, 3, 4
    weight[5, 2] = 6
    packed = VectorSparseTensor.pack(weight, block=4)
    assert packed.values.tolist() == [1, 2, 3, 4, 0, 6, 0, 0]
    assert packed.index.columns.tolist() == [1, 2]
    assert packed.index.pointers.tolist() == [0, 1, 2]
    assert packed.packed_bytes == 8 * 4 + 2 + 3
    assert packed.pattern().sum() == packed.stored == 6  # the zero beside the 6 is stored, the padding below is none
    assert (packed.unpack() == weight).all()


def test_the_cards_bytes():
    weight = blocks(300, 784, 0.1)
    packed = smallest(weight, keep=weight != 0)
    assert (packed.kind, packed.settings) == ("vector_sparse", {"block": 4})
    assert packed.packed_bytes == 105_992
    assert CsrTensor.pack(weight).packed_bytes > 1.3 * packed.packed_bytes


@given(rows=st.integers(0, 20), columns=st.integers(0, 5), share=st.floats(0, 1), block=st.sampled_from([4, 8]))
def test_whole_blocks_keep_their_pattern(rows, columns, share, block):
    weight = blocks(rows, columns, share, block)
    packed = VectorSparseTensor.pack(weight, weight != 0)
    assert (packed.pattern() == (weight != 0)).all()
    again = VectorSparseTensor.from_arrays(weight.shape, packed.arrays(), packed.settings)
    assert (again.unpack() == weight).all()


def test_the_block_with_fewer_bytes_is_taken():
    assert VectorSparseTensor.pack(blocks(64, 64, 0.1, 8)).block == 8
    assert VectorSparseTensor.pack(blocks(64, 64, 0.1, 4)).block == 4
    with pytest.raises(ValueError, match="blocks of 4 or 8 outputs, got 3"):
        VectorSparseTensor.pack(blocks(8, 8, 0.1), block=3)


def test_a_pattern_that_splits_blocks_goes_to_another_format():
    weight = blocks(64, 64, 0.1)
    keep = weight != 0
    keep[np.nonzero(keep)[0][0], np.nonzero(keep)[1][0]] = False
    assert smallest(weight * keep, keep=keep).kind != "vector_sparse"
    with pytest.raises(ValueError, match="can hold exactly this pattern"):
        smallest(weight * keep, ["vector_sparse"], keep=keep)


def read(settings=None, **changes):
    good = {"values": np.array([1, 2, 3, 4, 5, 6, 0, 0], np.float32), "columns": np.array([1, 2], np.uint8)}
    good["pointers"] = np.array([0, 1, 2], np.uint8)
    return VectorSparseTensor.from_arrays((6, 3), good | changes, {"block": 4} if settings is None else settings)


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"settings": {"block": 5}}, "setting block of a vector_sparse tensor must be 4 or 8, got 5"),
        ({"settings": {"block": True}}, "must be 4 or 8"),
        ({"settings": {}}, "must have the settings block; got none"),
        ({"settings": {"block": 4, "x": 1}}, "must have the settings block; got block, x"),
        ({"values": np.ones(8, np.float32)}, "below its last row must be 0"),
        ({"values": np.array([1, 2, 3, 4, 5, 6, 0, -0.0], np.float32)}, "below its last row must be 0"),
        ({"values": np.ones(7, np.float32)}, "must hold 8 values, got 7"),
        ({"columns": np.array([1, 3], np.uint8)}, "must be below 3"),
        ({"pointers": np.array([0, 1, 1, 2], np.uint8)}, "must hold 3 pointers"),
    ],
)
def test_what_no_packing_makes_is_refused(changes, says):
    assert read().unpack()[5, 2] == 6
    with pytest.raises(FileFormatError, match=says):
        read(**changes)
