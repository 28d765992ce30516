"""Binary tensors: the card's bytes."""

import numpy as np

from labkit.formats.binary import BinaryTensor


def test_by_hand():
    signs = np.array([[True, True, False, True], [True, False, True, False]])
    packed = BinaryTensor.pack(signs, [0.5, 2])
    assert packed.plane.tolist() == [0x5B]
    assert packed.unpack().tolist() == [[0.5, 0.5, -0.5, 0.5], [2, -2, 2, -2]]
    assert BinaryTensor.pack(signs, 3.0).unpack().tolist() == [[3, 3, -3, 3], [3, -3, 3, -3]]


def test_the_cards_bytes():
    assert BinaryTensor.pack(np.ones((500, 800), bool), np.ones(500)).packed_bytes == 52_000
    assert BinaryTensor.pack(np.ones((2, 4), bool), 0.0).unpack().tolist() == [[0] * 4] * 2
