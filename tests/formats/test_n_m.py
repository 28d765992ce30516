"""N:M: the card's bytes and indices, short groups, and what no packing makes."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from labkit.core.errors import FileFormatError
from labkit.formats import formats, smallest
from labkit.formats.n_m import NMTensor, along_inputs, as_weight

CARD = np.array([[0.1, -0.9, 0.3, 0.5, 0, 0, 0.2, 0.2]], np.float32)


def n_m_weight(shape, n, m, seed=0):
    """A weight with exactly n entries in each group of m, along the inputs."""
    rng = np.random.default_rng(seed)
    matrix = along_inputs(np.zeros(shape, np.float32)).copy()
    for row in matrix:
        for start in range(0, len(row), m):
            size = min(m, len(row) - start)
            row[start + rng.permutation(size)[:n]] = rng.standard_normal(min(n, size))
    return as_weight(matrix, shape)


def test_the_cards_example():
    packed = NMTensor.pack(CARD * (np.abs(CARD) > 0.15) * (np.float32(0.3) != CARD), m=4)
    assert (packed.n, packed.m) == (2, 4)
    assert packed.values.tolist() == np.array([-0.9, 0.5, 0.2, 0.2], np.float32).tolist()
    assert packed.indices.tolist() == [237]
    assert packed.columns.tolist() == [[1, 3, 6, 7]]


@pytest.mark.parametrize(
    ("n", "m", "dtype", "share"),
    [
        (2, 4, np.float32, 0.53125),
        (2, 4, np.float16, 0.5625),
        (2, 4, np.int8, 0.625),
        (1, 4, np.float32, 0.265625),
        (4, 8, np.float32, 0.546875),
        (4, 8, np.float16, 0.59375),
    ],
)
def test_the_cards_shares_of_dense(n, m, dtype, share):
    weight = (n_m_weight((64, 128), n, m) * 100).astype(dtype)
    packed = NMTensor.pack(weight, n_m_weight((64, 128), n, m) != 0, m=m)
    assert packed.packed_bytes == share * weight.nbytes
    assert (packed.unpack() == weight).all()


@given(
    shape=st.sampled_from([(3, 8, 3, 3), (2, 1, 3, 3), (5, 3, 1, 1), (4, 17), (1, 2), (3, 1), (0, 4), (4, 0), (2, 3, 5)]),
    m=st.sampled_from([2, 4, 8, 16]),
    data=st.data(),
)
def test_exact_patterns_come_back(shape, m, data):
    n = data.draw(st.integers(1, m))
    weight = n_m_weight(shape, n, m)
    packed = NMTensor.pack(weight, weight != 0, m=m)
    again = NMTensor.from_arrays(shape, packed.arrays(), packed.settings)
    assert (again.unpack() == weight).all()
    assert (again.pattern() == (weight != 0)).all()


def test_groups_lie_along_the_input_channels():
    weight = np.zeros((1, 4, 1, 2), np.float32)
    weight[0, [0, 3], 0, 0] = 1, 2
    packed = NMTensor.pack(weight, m=4)
    assert packed.columns.tolist() == [[0, 3, 6, 7]]  # the empty group stores its last two places


def test_a_shorter_last_group_has_fewer_slots():
    packed = NMTensor.pack(np.ones((1, 5), np.float32) * [1, 1, 0, 0, 1], m=4)
    assert packed.columns.tolist() == [[0, 1, 4]]


@pytest.mark.parametrize(("n", "m"), [(1, 4), (1, 8), (2, 8), (2, 16)])
def test_it_is_the_smallest_of_its_own_patterns(n, m):
    weight = n_m_weight((32, 64, 3, 3), n, m)
    packed = smallest(weight, keep=weight != 0)
    assert (packed.kind, packed.settings) == ("n_m", {"n": n, "m": m})


def test_two_of_four_ties_with_the_bitmap():
    weight = n_m_weight((32, 64, 3, 3), 2, 4)
    sizes = {kind: formats()[kind].pack(weight).packed_bytes for kind in ("bitmap", "n_m")}
    assert sizes["bitmap"] == sizes["n_m"]


def test_a_group_of_another_size_is_refused():
    with pytest.raises(ValueError, match="groups of 2, 4, 8, 16 weights, got 3"):
        NMTensor.pack(CARD, m=3)


def read(settings=None, **changes):
    good = {"values": np.array([1, 2, 3, 4], np.float32), "indices": np.array([237], np.uint8)}
    return NMTensor.from_arrays((1, 8), good | changes, {"n": 2, "m": 4} if settings is None else settings)


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"settings": {"n": 2, "m": 5}}, "setting m of an? n_m tensor must be 2 or 4 or 8 or 16, got 5"),
        ({"settings": {"n": 0, "m": 4}}, "setting n of an? n_m tensor must be 1 to 16, got 0"),
        ({"settings": {"n": 5, "m": 4}}, "at most m, 4, got 5"),
        ({"settings": {"n": 2}}, "must have the settings n, m; got n"),
        ({"settings": {"n": 2.0, "m": 4}}, "must be 1 to 16"),
        ({"values": np.ones(5, np.float32)}, "must hold 4 values, got 5"),
        ({"indices": np.array([0b11100111], np.uint8)}, "must rise within each group"),
        ({"indices": np.array([0b11100101], np.uint8)}, "must rise within each group"),
        ({"indices": np.array([237, 0], np.uint8)}, "must be 1 bytes for 4 codes, got 2"),
    ],
)
def test_what_no_packing_makes_is_refused(changes, says):
    assert read().unpack().tolist() == [[0, 1, 0, 2, 0, 0, 3, 4]]
    with pytest.raises(FileFormatError, match=says):
        read(**changes)


def test_an_index_beyond_the_row_is_refused():
    arrays = {"values": np.ones(3, np.float32), "indices": np.array([0b100100], np.uint8)}
    with pytest.raises(FileFormatError, match="stay within the row"):
        NMTensor.from_arrays((1, 5), arrays, {"n": 2, "m": 4})
