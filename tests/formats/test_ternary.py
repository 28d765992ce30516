"""Ternary tensors: both planes by hand, and an entry in both."""

import numpy as np
import pytest

from labkit.core.errors import FileFormatError
from labkit.formats.ternary import TernaryTensor


def test_by_hand():
    signs = np.array([[1, -1, 1, 0], [0, 0, -1, 1]])
    packed = TernaryTensor.pack(signs, 1.5)
    assert (packed.positive.tolist(), packed.negative.tolist()) == ([0x85], [0x42])
    assert packed.unpack().tolist() == [[1.5, -1.5, 1.5, 0], [0, 0, -1.5, 1.5]]
    assert packed.packed_bytes == 2 + 4


def test_each_sign_may_have_its_scale():
    packed = TernaryTensor.pack(np.array([[1, -1], [0, -1]]), [1, 2], [3, 4])
    assert packed.unpack().tolist() == [[1, -3], [0, -4]]
    assert packed.packed_bytes == 2 + 16


def test_bytes_are_a_sixteenth():
    assert TernaryTensor.pack(np.zeros((500, 800), np.int8), np.zeros(500)).packed_bytes == 100_000 + 2000


def test_what_is_no_ternary_tensor_is_refused():
    with pytest.raises(ValueError, match="must be -1, 0 or 1"):
        TernaryTensor.pack(np.array([2, 0]), 1.0)
    with pytest.raises(FileFormatError, match="in both planes"):
        TernaryTensor.from_arrays(
            (8,), {"positive": np.array([3], np.uint8), "negative": np.array([2], np.uint8), "scales": np.ones(1, np.float32)}
        )
    with pytest.raises(FileFormatError, match="negative_scales of a ternary tensor must be 1, got 2"):
        TernaryTensor.pack(np.array([[1, 0], [0, 1]]), 1.0, [1.0, 2.0])
