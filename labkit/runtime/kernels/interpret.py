"""Runs a stretch of steps on one group of images in a single call, so that activations stay in the cache."""

from labkit.runtime.kernels import csr_conv as conv
from labkit.runtime.kernels import csr_conv_one as conv_one
from labkit.runtime.kernels import dense_one, winograd_conv
from labkit.runtime.kernels._cache import kernel
from labkit.runtime.kernels.codes_one import add_codes_one, dequantize_one, quantize_one, requantize_one
from labkit.runtime.kernels.csr_conv import TILES, VARIANTS, csr_linear_lanes
from labkit.runtime.kernels.csr_conv_one import csr_linear_pixels
from labkit.runtime.kernels.dense_one import dense_linear_one
from labkit.runtime.kernels.lanes import add, average_pool, clip_values, max_pool
from labkit.runtime.kernels.pixels import add_one, average_pool_one, clip_one, max_pool_one
from labkit.runtime.kernels.window_linear import window_linear_one

ADD, MAX_POOL, AVERAGE_POOL, CLIP, LINEAR, DENSE_LINEAR, WINDOW_LINEAR, DENSE_CONV = range(len(TILES), len(TILES) + 8)
"""Numbers of the operations; those below are the variants of `csr_conv`, in the order of its `TILES`,
or of `csr_conv_one`; those from `DENSE_CONV` and `WINOGRAD` on the variants of `dense_one` and `winograd_conv`, in the order of
theirs."""
WINOGRAD = DENSE_CONV + len(dense_one.TILES)
QUANTIZE, REQUANTIZE, ADD_CODES, DEQUANTIZE = range(WINOGRAD + len(winograd_conv.TILES), WINOGRAD + len(winograd_conv.TILES) + 4)
COLUMNS = max(conv.POOLED + 1, 32)

_one_14, _one_8, _one_4, _one_1 = conv_one.VARIANTS
_dense_3, _dense_2, _dense_1 = dense_one.VARIANTS
_wide, _long = winograd_conv.VARIANTS
_27_1, _24_1, _33_1, _14_1, _11_1, _27_2, _24_2, _33_2 = VARIANTS


@kernel
def interpret(a, table, limits, pointers, offsets, taps, bias, weights):  # type: ignore[no-untyped-def]
    """Run steps in order.

    a: the arena, flat float32. table: (steps, COLUMNS) int64, column 0 the operation, the others as `csr_conv` and `lanes`
    say. limits: (steps, 2) float32. pointers, taps, bias: the packed weights of all steps. weights: the transformed ones
    of the steps of `winograd_conv`.
    """
    for n in range(len(table)):
        s, low, high = table[n], limits[n, 0], limits[n, 1]
        op = s[0]
        if op == 0:
            _27_1(a, s, pointers, taps, bias, low, high)
        elif op == 1:
            _24_1(a, s, pointers, taps, bias, low, high)
        elif op == 2:
            _33_1(a, s, pointers, taps, bias, low, high)
        elif op == 3:
            _14_1(a, s, pointers, taps, bias, low, high)
        elif op == 4:
            _11_1(a, s, pointers, taps, bias, low, high)
        elif op == 5:
            _27_2(a, s, pointers, taps, bias, low, high)
        elif op == 6:
            _24_2(a, s, pointers, taps, bias, low, high)
        elif op == 7:
            _33_2(a, s, pointers, taps, bias, low, high)
        elif op == ADD:
            add(a, s, low, high)
        elif op == MAX_POOL:
            max_pool(a, s, low, high)
        elif op == AVERAGE_POOL:
            average_pool(a, s, low, high)
        elif op == CLIP:
            clip_values(a, s, low, high)
        elif op == LINEAR:
            csr_linear_lanes(a, s, pointers, taps, bias, low, high)
        elif op == WINOGRAD:
            _wide(a, s, weights, bias, low, high)
        elif op == WINOGRAD + 1:
            _long(a, s, weights, bias, low, high)


@kernel
def interpret_one(a, table, limits, pointers, offsets, taps, bias, weights):  # type: ignore[no-untyped-def]
    """Run steps in order on one image, pixels innermost; see `interpret`, `csr_conv_one`, `dense_one`, `pixels` and `codes_one`.

    weights: of the dense steps.
    """
    for n in range(len(table)):
        s, low, high = table[n], limits[n, 0], limits[n, 1]
        op = s[0]
        if op == 0:
            _one_14(a, s, pointers, taps, bias, low, high)
        elif op == 1:
            _one_8(a, s, pointers, taps, bias, low, high)
        elif op == 2:
            _one_4(a, s, pointers, taps, bias, low, high)
        elif op == 3:
            _one_1(a, s, pointers, taps, bias, low, high)
        elif op == ADD:
            add_one(a, s, low, high)
        elif op == MAX_POOL:
            max_pool_one(a, s, low, high)
        elif op == AVERAGE_POOL:
            average_pool_one(a, s, low, high)
        elif op == CLIP:
            clip_one(a, s, low, high)
        elif op == LINEAR:
            csr_linear_pixels(a, s, pointers, taps, bias, low, high)
        elif op == DENSE_LINEAR:
            dense_linear_one(a, s, offsets, weights, bias, low, high)
        elif op == DENSE_CONV:
            _dense_3(a, s, offsets, weights, bias, low, high)
        elif op == DENSE_CONV + 1:
            _dense_2(a, s, offsets, weights, bias, low, high)
        elif op == DENSE_CONV + 2:
            _dense_1(a, s, offsets, weights, bias, low, high)
        elif op == WINDOW_LINEAR:
            window_linear_one(a, s, pointers, offsets, weights, bias, low, high)
        elif op == QUANTIZE:
            quantize_one(a, s, bias, low, high)
        elif op == REQUANTIZE:
            requantize_one(a, s, offsets, low, high)
        elif op == ADD_CODES:
            add_codes_one(a, s, pointers, low, high)
        elif op == DEQUANTIZE:
            dequantize_one(a, s, pointers, offsets, low, high)
