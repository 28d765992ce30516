"""Dense 3×3 convolution with stride 1 by Winograd's minimal filtering F(2×2, 3×3), images innermost.

The layout is that of `csr_conv`. For a tile of 2 × 2 outputs, d being the 4 × 4 inputs that they see and g a filter,

    y = Aᵀ [ Σ over channels (G g Gᵀ) ⊙ (Bᵀ d B) ] A

takes 16 products in place of 36. G g Gᵀ is made once, when the program is. `vectors` tiles go together: their inputs are
transformed, and each of the 16 places is then a product of matrices, [outputs × channels] · [channels × tiles], of which
`outputs` × `vectors` sums stay in registers. Every vector is one pixel of `LANES` images, so that the transforms are plain
sums of vectors and no tile needs a shuffle. Bias, limits (ReLU) and 2×2 max pooling, which is the maximum of one tile, are
fused into the store. An odd height or width ends with a tile that moves back and computes some outputs again.

Source     Lavin and Gray 2015, arXiv:1509.09308.
Deviation  No F(4×4, 3×3): its error was 0.2 to 1.3 · 10⁻⁵ of the largest output for 16 to 512 channels, F(2×2, 3×3)'s is below
           10⁻⁶. Sums are rounded with regard to all inputs of a tile, not of one output, and a NaN or an infinity makes all
           outputs of its tiles NaN.
"""

from typing import Any

import numpy as np

from labkit.runtime.kernels._cache import kernel
from labkit.runtime.kernels._outer import add_outer
from labkit.runtime.kernels._simd import LANES, clip, larger_row, load, plus, splat, store
from labkit.runtime.kernels._winograd import transform_inputs, transform_sums
from labkit.runtime.kernels.csr_conv import BIAS, HEIGHT, OUTPUTS, POOLED, WIDTH, X_PITCH, Y_PITCH, Y_PLANE, X, Y
from labkit.runtime.kernels.csr_conv import BLOCKS as CHANNELS
from labkit.runtime.kernels.csr_conv import LINE as SUMS
from labkit.runtime.kernels.csr_conv import PART as INPUTS
from labkit.runtime.kernels.csr_conv import POINTERS as WEIGHTS
from labkit.runtime.kernels.csr_conv import STRIDE_Y as X_PLANE

TILES = ((8, 3), (6, 4)) if LANES == 16 else ((4, 3), (3, 4))
"""Compiled variants: outputs and tiles of which the sums are in registers together."""


def _variant(outputs: int, vectors: int) -> Any:
    """Make the kernel for one block of registers."""
    together = outputs * vectors * LANES + LANES  # from place to place; a line more, or all would share the cache's sets

    @kernel
    def winograd_conv(a, s, weights, bias, low, high):  # type: ignore[no-untyped-def]
        """Compute one convolution for one group of images.

        a: arena; at `INPUTS` 16 · (channels · vectors + 1) · LANES floats of it are scratch, at `SUMS` 16 · (outputs · vectors + 1)
        · LANES. s: the step's row. weights: (16, c_out / outputs, channels, outputs) from `WEIGHTS` on, flat, the last outputs
        filled up. bias: of all outputs of all steps.
        """
        h, w, c_out, channels = s[HEIGHT], s[WIDTH], s[OUTPUTS], s[CHANNELS]
        down, across = (h // 2, w // 2) if s[POOLED] else ((h + 1) // 2, (w + 1) // 2)
        square, column, zero = splat(4, 4, np.float32(0)), splat(16, 1, np.float32(0)), splat(outputs, vectors, np.float32(0))
        place, x_row, x_plane = (channels * vectors + 1) * LANES, s[X_PITCH] * LANES, s[X_PLANE] * LANES
        rows, columns = np.empty(vectors, np.int64), np.empty(vectors, np.int64)
        for first in range(0, down * across, vectors):
            count = min(vectors, down * across - first)
            for n in range(count):
                rows[n] = min((first + n) // across * 2, h - 2)
                columns[n] = min((first + n) % across * 2, w - 2)
            for c in range(channels):
                for n in range(count):
                    x = s[X] + rows[n] * x_row + columns[n] * LANES + c * x_plane
                    store(transform_inputs(load(square, a, x, x_row, 1)), a, s[INPUTS] + (c * vectors + n) * LANES, place)
            for start in range(0, c_out, outputs):
                for k in range(16):
                    at = s[WEIGHTS] + (k * (-(-c_out // outputs)) * outputs + start) * channels
                    total, x = zero, s[INPUTS] + k * place
                    for _ in range(channels):
                        total = add_outer(total, weights, at, a, x)
                        at, x = at + outputs, x + vectors * LANES
                    store(total, a, s[SUMS] + k * together, vectors * LANES)
                for o in range(start, min(start + outputs, c_out)):
                    for n in range(count):
                        sums = load(column, a, s[SUMS] + ((o - start) * vectors + n) * LANES, together, 1)
                        i, j = rows[n], columns[n]
                        if s[POOLED]:
                            best = plus(larger_row(transform_sums(sums, 4)), splat(1, 1, bias[s[BIAS] + o]))
                            y = s[Y] + (o * s[Y_PLANE] + i // 2 * s[Y_PITCH] + j // 2) * LANES
                            store(clip(best, low, high), a, y, 0)
                        else:
                            pixels = plus(transform_sums(sums, 2), splat(2, 2, bias[s[BIAS] + o]))
                            y = s[Y] + (o * s[Y_PLANE] + i * s[Y_PITCH] + j) * LANES
                            store(clip(pixels, low, high), a, y, s[Y_PITCH] * LANES)

    return winograd_conv


def scratch(channels: int, outputs: int, vectors: int) -> tuple[int, int]:
    """Return the floats of scratch at `INPUTS` and at `SUMS`."""
    return 16 * (channels * vectors + 1) * LANES, 16 * (outputs * vectors + 1) * LANES


VARIANTS = tuple(_variant(*tile) for tile in TILES)
