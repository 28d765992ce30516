"""Blocks of four inputs in int8: by hand, along the input channels, and what no packing makes."""

import numpy as np
import pytest

from labkit.core.errors import FileFormatError
from labkit.formats.block_int8 import BlockInt8Tensor
from labkit.formats.csr_int8 import CsrInt8Tensor


def test_by_hand():
    codes = np.array([[0, 0, 0, 0, 1, -2], [0, 3, 0, 0, 0, 0]], np.int8)
    packed = BlockInt8Tensor.pack(codes, [0.5, 2])
    assert packed.values.tolist() == [1, -2, 0, 0, 0, 3, 0, 0]
    assert (packed.index.columns.tolist(), packed.index.pointers.tolist()) == ([1, 0], [0, 1, 2])
    assert packed.packed_bytes == 8 + 2 + 3 + 8
    assert packed.unpack().tolist() == [[0, 0, 0, 0, 0.5, -1], [0, 6, 0, 0, 0, 0]]
    assert (packed.codes == codes).all()


def test_blocks_lie_along_the_input_channels():
    codes = np.zeros((1, 4, 1, 2), np.int8)
    codes[0, :, 0, 1] = 1, 2, 3, 4
    packed = BlockInt8Tensor.pack(codes, 1.0)
    assert packed.values.tolist() == [1, 2, 3, 4]
    assert (packed.codes == codes).all()


def test_codes_beyond_the_row_are_refused():
    arrays = {"values": np.array([1, 2, 3, 0], np.int8), "columns": np.array([1], np.uint8), "pointers": np.array([0, 1], np.uint8)}
    arrays["scales"] = np.ones(1, np.float32)
    with pytest.raises(FileFormatError, match="beyond its last column must be 0"):
        BlockInt8Tensor.from_arrays((1, 6), arrays)
    with pytest.raises(FileFormatError, match="codes of a block_int8 tensor must be int8, got int64"):
        BlockInt8Tensor.pack(np.zeros((2, 2), np.int64), 1.0)


def test_compressed_rows_of_bytes():
    codes = np.array([[0, 5, 0], [0, 0, 0], [-1, 0, 2]], np.int8)
    packed = CsrInt8Tensor.pack(codes, 0.5, keep=np.array([[1, 1, 0], [0, 0, 0], [1, 0, 1]], bool))
    assert packed.values.tolist() == [0, 5, -1, 2]
    assert packed.unpack().tolist() == [[0, 2.5, 0], [0, 0, 0], [-0.5, 0, 1]]
    assert packed.packed_bytes == 4 + 4 + 4 + 4
    with pytest.raises(ValueError, match="leaves out codes"):
        CsrInt8Tensor.pack(codes, 0.5, keep=np.zeros((3, 3), bool))
