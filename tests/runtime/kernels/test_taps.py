"""A tap gives back its weight bit for bit, and its place."""

import numpy as np

from labkit.runtime.kernels._cache import kernel
from labkit.runtime.kernels._taps import packed, value


@kernel
def _taken_apart(taps, values, places):  # type: ignore[no-untyped-def]
    for n in range(taps.size):
        values[n], places[n] = value(taps[n]), taps[n] >> 32


def test_every_weight_and_place_comes_back() -> None:
    edges = np.array([0.0, -0.0, 1.0, -1.0, np.inf, -np.inf, np.nan, 1e-45, -1e-45, np.finfo(np.float32).max], np.float32)
    places = np.array([0, 1, 2**31 - 1, 5, 2**30, 7, 8, 9, 2**31 - 2, 11], np.int32)
    values, found = np.empty_like(edges), np.empty(len(places), np.int64)
    _taken_apart(packed(places, edges), values, found)
    np.testing.assert_array_equal(values.view(np.uint32), edges.view(np.uint32))
    np.testing.assert_array_equal(found, places)
