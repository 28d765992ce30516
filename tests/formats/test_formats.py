"""Every plain format: exact, counted by hand, and closed to arrays that no packing makes."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy import sparse as scipy_sparse

from labkit.core.errors import FileFormatError, UnknownNameError
from labkit.formats import PlainFormat, formats, smallest
from labkit.formats.bitmap import BitmapTensor
from labkit.formats.csr import CsrTensor
from labkit.formats.dense import DenseTensor

PLAIN = [cls for cls in formats().values() if issubclass(cls, PlainFormat)]
EXAMPLE = np.array([[0, 2, 0], [0, 0, 0], [1, 0, 3]], np.float32)

arrays_of_all_kinds = hnp.arrays(
    st.sampled_from([np.float32, np.float64, np.float16, np.int8, np.uint16, np.int64, np.bool_]),
    hnp.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=7),
    fill=st.just(0),
)


def bits(array):
    return array.shape, array.dtype, np.ascontiguousarray(array).tobytes()


@pytest.mark.parametrize("cls", PLAIN)
@given(array=arrays_of_all_kinds)
def test_unpacking_gives_back_every_bit(cls, array):
    packed = cls.pack(array)
    assert bits(packed.unpack()) == bits(array)
    assert bits(cls.from_arrays(array.shape, packed.arrays(), packed.settings).unpack()) == bits(array)


@pytest.mark.parametrize("cls", PLAIN)
@given(array=arrays_of_all_kinds, data=st.data())
def test_the_size_is_known_before_packing(cls, array, data):
    keep = data.draw(hnp.arrays(bool, array.shape)) | (array != 0) | np.signbit(array.astype(float))
    packed = cls.pack(array, keep)
    size = cls.size(keep, array.itemsize, exact=True) or cls.size(keep, array.itemsize)
    assert size == packed.packed_bytes == sum(a.nbytes for a in packed.arrays().values())
    assert cls.size(array.astype(bool) & False, array.itemsize) <= cls.size(keep, array.itemsize)


@pytest.mark.parametrize("cls", PLAIN)
def test_negative_zeros_denormals_and_nans_survive(cls):
    array = np.array([0.0, -0.0, 1e-45, -1e-45, np.inf, -np.inf, np.nan, 1.5], np.float32)
    array.view(np.uint32)[6] = 0x7FC12345  # a NaN with a payload
    assert bits(cls.pack(array).unpack()) == bits(array)


@pytest.mark.parametrize("cls", [cls for cls in PLAIN if cls.has_pattern])
@given(array=hnp.arrays(np.float32, (5, 6), fill=st.just(0)), data=st.data())
def test_the_pattern_is_what_was_kept(cls, array, data):
    keep = data.draw(hnp.arrays(bool, (5, 6))) | (array.view(np.uint32) != 0)
    packed = cls.pack(array, keep)
    assert (packed.pattern() >= keep).all()
    assert (packed.pattern() == keep).all() == (cls.size(keep, 4, exact=True) is not None)
    assert bits(packed.unpack()) == bits(array)


@pytest.mark.parametrize("cls", PLAIN)
def test_a_keep_that_loses_something_is_refused(cls):
    with pytest.raises(ValueError, match="leaves out entries that are not zero"):
        cls.pack(EXAMPLE, np.zeros((3, 3), bool))
    with pytest.raises(ValueError, match=r"keep must be bool of shape \(3, 3\)"):
        cls.pack(EXAMPLE, np.ones(9, bool))
    with pytest.raises(TypeError, match="complex64 cannot be packed"):
        cls.pack(EXAMPLE.astype(np.complex64))


def test_csr_by_hand():
    packed = CsrTensor.pack(EXAMPLE)
    assert packed.values.tolist() == [2, 1, 3]
    assert packed.columns.tolist() == [1, 0, 2]
    assert packed.pointers.tolist() == [0, 1, 1, 3]
    assert packed.packed_bytes == 19
    assert DenseTensor.pack(EXAMPLE).packed_bytes == 36
    assert BitmapTensor.pack(EXAMPLE).packed_bytes == 3 * 4 + 2
    assert BitmapTensor.pack(EXAMPLE).bits.tolist() == [0b01000010, 0b1]


def test_csr_of_a_pruned_mlp_takes_the_bytes_of_the_card():
    rng, total = np.random.default_rng(0), 0
    for rows, columns in ((300, 784), (100, 300), (10, 100)):
        weight = np.zeros(rows * columns, np.float32)
        weight[rng.permutation(weight.size)[: weight.size // 10]] = 1
        total += CsrTensor.pack(weight.reshape(rows, columns)).packed_bytes
    assert total == 160_435


@given(array=hnp.arrays(np.float32, (7, 2, 3, 3), elements=st.floats(-2, 2, width=32), fill=st.just(0)))
def test_csr_is_scipys(array):
    ours, theirs = CsrTensor.pack(array + np.float32(0)), scipy_sparse.csr_matrix(array.reshape(7, 18))
    assert ours.values.tolist() == theirs.data.tolist()
    assert ours.columns.tolist() == theirs.indices.tolist()
    assert ours.pointers.tolist() == theirs.indptr.tolist()


@pytest.mark.parametrize(
    ("columns", "stored", "column_type", "pointer_type"),
    [
        (256, 255, np.uint8, np.uint8),
        (257, 256, np.uint16, np.uint16),
        (65536, 1, np.uint16, np.uint8),
        (65537, 65536, np.uint32, np.uint32),
    ],
)
def test_csr_takes_the_smallest_index_types(columns, stored, column_type, pointer_type):
    weight = np.zeros((1, columns), np.float32)
    weight[0, :stored] = 1
    packed = CsrTensor.pack(weight)
    assert (packed.columns.dtype, packed.pointers.dtype) == (column_type, pointer_type)


def csr(**changes):
    good = {"values": np.ones(3, np.float32), "columns": np.array([1, 0, 2], np.uint8), "pointers": np.array([0, 1, 1, 3], np.uint8)}
    return CsrTensor.from_arrays((3, 3), {key: value for key, value in (good | changes).items() if value is not None})


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"columns": np.array([1, 0, 3], np.uint8)}, "must be below 3, got 3"),
        ({"columns": np.array([1, 2, 0], np.uint8)}, "must rise within each row"),
        ({"columns": np.array([1, 2, 2], np.uint8)}, "must rise within each row"),
        ({"columns": np.array([1, 0, 2], np.int8)}, "must be uint8, got int8"),
        ({"columns": np.array([1, 0, 2], np.uint16)}, "must be uint8, got uint16"),
        ({"columns": np.array([1, 0], np.uint8)}, "as many columns"),
        ({"columns": np.array([[1, 0, 2]], np.uint8)}, "must be flat"),
        ({"pointers": np.array([0, 2, 1, 3], np.uint8)}, "must rise from 0"),
        ({"pointers": np.array([1, 1, 1, 3], np.uint8)}, "must rise from 0"),
        ({"pointers": np.array([0, 1, 1, 2], np.uint8)}, "must rise from 0"),
        ({"pointers": np.array([0, 1, 3], np.uint8)}, "4 pointers"),
        ({"pointers": np.array([0, 1, 1, 3], np.float32)}, "must be uint8, got float32"),
        ({"values": np.ones(3, np.complex64)}, "got complex64"),
        ({"values": None}, "must hold values, columns, pointers"),
        ({"more": np.zeros(1)}, "must hold values, columns, pointers"),
    ],
)
def test_csr_refuses_what_no_packing_makes(changes, says):
    assert csr().unpack()[2, 2] == 1
    with pytest.raises(FileFormatError, match=says):
        csr(**changes)


@pytest.mark.parametrize(
    ("values", "marks", "says"),
    [
        (2, [0b01000010, 1], "as many values"),
        (3, [0b01000010, 3], "must be 0"),
        (3, [0b01000011], "2 bytes of bits"),
        (4, [0b01000010, 3], "must be 0"),
    ],
)
def test_bitmap_refuses_what_no_packing_makes(values, marks, says):
    with pytest.raises(FileFormatError, match=says):
        BitmapTensor.from_arrays((3, 3), {"values": np.ones(values, np.float32), "bits": np.array(marks, np.uint8)})


def test_dense_refuses_another_number_of_values():
    with pytest.raises(FileFormatError, match="must hold 9 values, got 8"):
        DenseTensor.from_arrays((3, 3), {"values": np.ones(8, np.float32)})


@given(array=arrays_of_all_kinds)
@settings(max_examples=50)
def test_the_smallest_is_the_smallest(array):
    assert smallest(array).packed_bytes == min(cls.pack(array).packed_bytes for cls in PLAIN)


def test_smallest_by_density():
    rng = np.random.default_rng(1)
    kinds = {}
    for density in (1, 0.97, 0.9, 0.1, 0.07, 0.05, 0.01):
        weight = np.zeros(64 * 576, np.float32)
        weight[rng.permutation(weight.size)[: int(density * weight.size)]] = 1
        kinds[density] = smallest(weight.reshape(64, 64, 3, 3)).kind
    assert kinds == {1: "dense", 0.97: "dense", 0.9: "bitmap", 0.1: "bitmap", 0.07: "bitmap", 0.05: "csr", 0.01: "csr"}


def test_candidates_and_pattern_narrow_the_choice():
    assert smallest(EXAMPLE, ["csr"]).kind == "csr"
    assert smallest(np.ones((4, 4), np.float32), keep=np.ones((4, 4), bool)).kind == "bitmap"
    with pytest.raises(UnknownNameError, match="unknown lossless format 'cssr': did you mean 'csr'"):
        smallest(EXAMPLE, ["cssr"])
    with pytest.raises(UnknownNameError, match="with a pattern"):
        smallest(EXAMPLE, ["dense"], keep=EXAMPLE != 0)
