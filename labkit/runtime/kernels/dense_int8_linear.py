"""Dense integer linear layers: unsigned activations by signed weights, summed in int32, for processors that do it in one step.

A lane is an output. Some samples by some registers of outputs are summed at a time, so that weights that are loaded serve all
of these samples and a broadcast input all of these outputs. What overhangs at an edge is done a second time instead.
Source     Jacob et al. 2017, arXiv:1712.05877.
"""

from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numpy.typing import NDArray

from labkit.runtime.kernels._cache import kernel
from labkit.runtime.kernels._int_tiles import add_words, places, repeat
from labkit.runtime.kernels._simd import LANES, inline, on_a_line
from labkit.runtime.kernels._vectors import emit_address
from labkit.runtime.kernels.int8_linear import check_reach

VECTORS, ROWS = 4, 6
"""Registers of outputs and samples of a tile: its sums, their weights and an input fill 29 of 32 registers."""
OUTPUTS = VECTORS * LANES
"""The fewest outputs of a layer."""


def _tiles(rows: int) -> Any:
    """Make the kernel for `rows` samples at a time."""

    @kernel
    def dense_int8_linear(x, y, added, weights, starts):  # type: ignore[no-untyped-def]
        """Y (n, out) int32 = weights · x + added; n is at least `rows`.

        x: (n, inputs) uint8, inputs a multiple of four. added: int32 (out,), out at least `OUTPUTS`. weights: int8, flat: of each
        `OUTPUTS` outputs, the last ones overlapping those before, (inputs / 4, `OUTPUTS`, 4). starts: int32, of rows of x.
        """
        (n, inputs), out = x.shape, y.shape[1]
        read, written = x.reshape(n * inputs), y.reshape(n * out)
        for panel in range(0, out, OUTPUTS):
            o = min(panel, out - OUTPUTS)
            for t in range(0, n, rows):
                first = min(t, n - rows)
                sums, where = repeat(added, o, rows, VECTORS), places(read, first * inputs, starts, 0, rows)
                for c in range(0, inputs, 4):
                    sums = add_words(sums, where, c, weights, panel * inputs + c * OUTPUTS)
                _store(sums, written, first * out + o, out)

    return dense_int8_linear


@inline
def _store(_: Any, sums: Any, y: Any, at: Any, pitch: Any) -> Any:
    """Write a tile to flat int32 y: sample r from at + r · pitch on."""

    def emit(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        vector = ir.VectorType(ir.IntType(32), LANES)
        for n in range(sums.pixels * sums.vectors):
            row, v = divmod(n, sums.vectors)
            place = builder.add(args[2], builder.mul(args[3], ir.Constant(args[3].type, row)))
            place = builder.add(place, ir.Constant(place.type, v * LANES))
            builder.store(builder.extract_value(args[0], n), emit_address(context, builder, y, args[1], place, vector)).align = 4
        return context.get_dummy_value()

    return types.void(sums, y, types.intp, types.intp), emit


MANY = {rows: _tiles(rows) for rows in (1, ROWS)}
"""Samples at a time → kernel."""


class DenseInt8Linear:
    """A linear layer on bytes: (n, inputs) uint8 → (n, out) int32, exact.

    Args:
        codes: int8 (out, inputs), with at least `OUTPUTS` outputs.
        added: int32 (out,), added to each sum: bias and zero points as card `integer_matmul` says.

    Raises:
        ModelError: a sum might not fit 32 bits.
    """

    def __init__(self, codes: NDArray[np.int8], added: NDArray[np.int32]) -> None:
        check_reach(codes, added)
        (self._out, width), more = codes.shape, -codes.shape[1] % 4
        words = np.pad(codes, ((0, 0), (0, more))).view(np.int32)
        starts = np.minimum(np.arange(0, self._out, OUTPUTS), self._out - OUTPUTS)
        panels = [words[start : start + OUTPUTS].T for start in starts]
        self._arrays = added, on_a_line(np.stack(panels)).view(np.int8), np.arange(ROWS, dtype=np.int32) * np.int32(width + more)
        self._more = more

    def __call__(self, x: NDArray[np.uint8]) -> NDArray[np.int32]:
        """Return the sums, (n, out)."""
        y = np.empty((len(x), self._out), np.int32)
        x = np.pad(x, ((0, 0), (0, self._more))) if self._more else np.ascontiguousarray(x)
        MANY[1 if len(x) < ROWS else ROWS](x, y, *self._arrays)
        return y
