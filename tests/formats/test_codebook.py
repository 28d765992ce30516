"""Codebooks: the card's bytes, and an index that names no centroid."""

import numpy as np
import pytest

from labkit.core.errors import FileFormatError
from labkit.formats.codebook import CodebookTensor
from labkit.formats.csr_codebook import CsrCodebookTensor


def test_the_cards_example():
    indices = np.array([[3, 0, 2, 1], [1, 1, 0, 3], [0, 3, 1, 0], [3, 1, 2, 2]])
    packed = CodebookTensor.pack(indices, np.array([-1, 0, 1.5, 2]))
    assert packed.stream.tolist() == [0x63, 0xC5, 0x1C, 0xA7]
    assert packed.packed_bytes == 20
    assert packed.unpack()[0].tolist() == [2, -1, 1.5, 0]


def test_the_cards_bytes():
    assert CodebookTensor.pack(np.zeros((500, 800), np.uint8), np.arange(16), 4).packed_bytes == 200_064
    assert CodebookTensor.pack(np.zeros((3, 3), np.uint8), np.array([7.0])).unpack().tolist() == [[7] * 3] * 3


def test_an_index_without_a_centroid_is_refused():
    with pytest.raises(FileFormatError, match="an index of a codebook tensor must be below 3, got 3"):
        CodebookTensor.pack(np.array([0, 3]), np.arange(3))
    with pytest.raises(FileFormatError, match="codebook tensor of 1 bits must have 1 to 2 centroids, got 3"):
        CodebookTensor.pack(np.array([0, 1]), np.arange(3), 1)
    with pytest.raises(FileFormatError, match="centroids of a codebook tensor must be finite"):
        CodebookTensor.pack(np.array([0, 1]), np.array([0, np.nan]))
    with pytest.raises(FileFormatError, match="an index of a csr_codebook tensor must be below 3, got 3"):
        CsrCodebookTensor.pack(np.array([[0, 3]]), np.arange(3), np.ones((1, 2), bool))


def test_sparse_indices_by_hand():
    packed = CsrCodebookTensor.pack(np.array([[0, 1, 0], [3, 0, 2]]), np.array([9, 1, 2, 3]), np.array([[0, 1, 0], [1, 0, 1]], bool))
    assert packed.unpack().tolist() == [[0, 1, 0], [3, 0, 2]]
    assert packed.stream.tolist() == [1 | 3 << 2 | 2 << 4]
    assert packed.packed_bytes == 1 + 16 + 3 + 3
