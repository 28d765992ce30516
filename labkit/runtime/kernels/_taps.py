"""Taps: a stored weight and its place in one 64-bit word, so that a kernel reads both at once.

Kernels of sparse weights are bound by how much they read in a cycle: with a weight's value and its place apart, two of
sixteen reads of a tile's loop are these; together they are one of fifteen. The low half of a tap is the bits of a
float32, the high half the place, which a kernel has as `tap >> 32`.
"""

from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numpy.typing import NDArray

from labkit.runtime.kernels._simd import inline


def packed(places: NDArray[Any], values: NDArray[np.float32]) -> NDArray[np.int64]:
    """Return the taps of weights `values` (n,) at `places` (n,), which fit 31 bits."""
    bits = np.ascontiguousarray(values, np.float32).view(np.uint32).astype(np.int64)
    taps: NDArray[np.int64] = (places.astype(np.int64) << 32) | bits
    return taps


@inline
def value(_: Any, tap: Any) -> Any:
    """Return the float32 of a tap."""

    def emit(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        return builder.bitcast(builder.trunc(args[0], ir.IntType(32)), ir.FloatType())

    return types.float32(types.int64), emit
