"""What each kernel computes, in plain NumPy: slow, short and easy to check. Sums are float64, results float32.

Values are (n, c, h, w), as outside of the kernels; a linear layer is a convolution on images of one pixel.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from labkit.formats import Format
from labkit.formats.codebook import CodebookTensor
from labkit.formats.ternary import TernaryTensor
from labkit.runtime.steps import Step, bias_of, value_shapes

Values = NDArray[np.float32]

_A = np.array([[1, 0], [1, 1], [1, -1], [0, -1]])
_B = np.array([[1, 0, 0, 0], [0, 1, -1, 1], [-1, 1, 1, 0], [0, 0, 0, -1]])
_G = np.array([[1, 0, 0], [0.5, 0.5, 0.5], [0.5, -0.5, 0.5], [0, 0, 1]])


def csr_conv(x: Values, step: Step) -> Values:
    """Convolve with the step's weight, whatever its format, add its bias and limit the result."""
    if step.weight is None:
        raise TypeError(f"{step.name} must have a weight")
    weight = step.weight.unpack().astype(np.float64)
    weight = weight.reshape(*weight.shape[:2], *step.kernel)
    c_out, c_in, k_h, k_w = weight.shape
    padded = _padded(x.astype(np.float64), step, 0.0)
    h, w = _size(x, step)
    y = np.zeros((len(x), step.groups, c_out // step.groups, h, w))
    for i in range(k_h):
        for j in range(k_w):
            tap = _tap(padded, step, i * step.dilation[0], j * step.dilation[1], h, w).reshape(len(x), step.groups, c_in, h, w)
            y += np.einsum("ngchw,gkc->ngkhw", tap, weight[:, :, i, j].reshape(step.groups, -1, c_in))
    return _limited(y.reshape(len(x), c_out, h, w) + bias_of(step)[:, None, None], step)


def winograd_conv(x: Values, step: Step) -> Values:
    """Convolve 3×3 with stride 1 by tiles of 2 × 2 outputs, as equation 8 of Lavin and Gray (2015) says; add bias and limit."""
    if step.weight is None:
        raise TypeError(f"{step.name} must have a weight")
    filters = np.einsum("ai,ocij,bj->ocab", _G, step.weight.unpack().astype(np.float64), _G)
    h, w = _size(x, step)
    padded = np.pad(_padded(x.astype(np.float64), step, 0.0), ((0, 0), (0, 0), (0, 1), (0, 1)))  # an odd size ends within a tile
    y = np.zeros((len(x), len(filters), h + h % 2, w + w % 2))
    for i in range(0, h, 2):
        for j in range(0, w, 2):
            inputs = np.einsum("ia,ncij,jb->ncab", _B, padded[:, :, i : i + 4, j : j + 4], _B)
            sums = np.einsum("ocab,ncab->noab", filters, inputs)
            y[:, :, i : i + 2, j : j + 2] = np.einsum("ai,noab,bj->noij", _A, sums, _A)
    return _limited(y[:, :, :h, :w] + bias_of(step)[:, None, None], step)


def csr_conv_one(x: Values, step: Step) -> Values:
    """Convolve image by image."""
    return np.concatenate([csr_conv(image[None], step) for image in x])


def dense_conv_one(x: Values, step: Step) -> Values:
    """Convolve image by image with a weight that has no zeros to speak of."""
    return csr_conv_one(x, step)


def dense_linear_one(x: Values, step: Step) -> Values:
    """Apply a linear layer to (n, features)."""
    return csr_conv(x[:, :, None, None], step)[:, :, 0, 0]


def byte_lookup_linear(x: Values, step: Step) -> Values:
    """Multiply the step's weight by inputs that are rounded to bytes, each sample by its own largest value, and limit the result.

    Where the weight is looked up in a table of at most 16 entries that are not whole numbers within 127 of each other, these
    are rounded to 126 steps between the least and the largest.
    """
    if step.weight is None:
        raise TypeError(f"{step.name} must have a weight")
    weight = step.weight.unpack().astype(np.float64)
    table = _table(step.weight)
    if table is not None and not ((table == np.rint(table)).all() and np.ptp(table) <= 127):
        size = np.ptp(table) / 126 or abs(table[0])
        weight = np.rint(weight / size) * size
    peak = np.maximum(np.abs(x).max(axis=1, keepdims=True), np.float32(1e-30))
    whole = np.rint(x * (np.float32(127) / peak)).astype(np.float64)
    return _limited(whole @ weight.T * (peak / np.float32(127)) + bias_of(step), step)


def _table(weight: Format) -> NDArray[np.float64] | None:
    """Return what a weight's codes stand for, where scales do not come on top of it."""
    if isinstance(weight, CodebookTensor) and weight.bits <= 4:
        return weight.centroids.astype(np.float64)
    if isinstance(weight, TernaryTensor) and weight.negative_scales is not None and weight.scales.size == 1:
        return np.array([-float(weight.negative_scales[0]), 0, float(weight.scales[0])])
    return None


def add(x: Values, other: Values, step: Step) -> Values:
    """Add two values and limit the sum."""
    return _limited(x.astype(np.float64) + other, step)


def max_pool(x: Values, step: Step) -> Values:
    """Take the maximum over windows and limit it."""
    h, w = value_shapes([replace(step, inputs=(0,))], x.shape[1:])[1][1:]
    beyond = (step.kernel[0] + step.stride[0], step.kernel[1] + step.stride[1])  # at least what a last window reaches beyond
    padded = np.pad(_padded(x, step, -np.inf), ((0, 0), (0, 0), (0, beyond[0]), (0, beyond[1])), constant_values=-np.inf)
    taps = [_tap(padded, step, i, j, h, w) for i in range(step.kernel[0]) for j in range(step.kernel[1])]
    return _limited(np.max(taps, axis=0), step)


def average_pool(x: Values, step: Step) -> Values:
    """Divide the image into `kernel` parts, which may overlap by a row or column, take the mean of each and limit it."""
    (rows, columns), (h, w) = step.kernel, x.shape[2:]
    y = np.zeros((*x.shape[:2], rows, columns))
    for i in range(rows):
        for j in range(columns):
            part = x[:, :, i * h // rows : -(-(i + 1) * h // rows), j * w // columns : -(-(j + 1) * w // columns)]
            y[:, :, i, j] = part.mean(axis=(2, 3), dtype=np.float64)
    return _limited(y, step)


def concat(*parts_and_step: Any) -> Values:
    """Join channels and limit the result; the step comes last."""
    *parts, step = parts_and_step
    return _limited(np.concatenate(parts, axis=1), step)


def hardswish(x: Values, step: Step) -> Values:
    """Return x · clip(x + 3, 0, 6) / 6, limited."""
    return _limited(x.astype(np.float64) * np.clip(x.astype(np.float64) + 3, 0, 6) / 6, step)


def clip_values(x: Values, step: Step) -> Values:
    """Limit a value."""
    return _limited(x, step)


def interpret(steps: Sequence[Step], x: Values) -> Values:
    """Run a whole program.

    Args:
        steps: in execution order.
        x: (n, c, h, w), or (n, features).

    Returns:
        The value of the last step.
    """
    values = [x]
    for step in steps:
        inputs = [values[n] for n in step.inputs]
        if step.op == "flatten":
            values.append(_limited(inputs[0].reshape(len(x), -1), step))
        elif step.op == "linear" and step.input_bits == 8:
            values.append(byte_lookup_linear(inputs[0], step))
        elif step.op == "linear":
            values.append(dense_linear_one(inputs[0], step))
        else:
            values.append(_KERNELS[step.op](*inputs, step))
    return values[-1]


def _padded(x: Values, step: Step, fill: float) -> Values:
    (top, left), none = step.padding, (0, 0)
    return np.pad(x, (none, none, (top, top), (left, left)), constant_values=fill)


def _size(x: Values, step: Step) -> tuple[int, int]:
    h, w = ((x.shape[2 + n] + 2 * step.padding[n] - step.dilation[n] * (step.kernel[n] - 1) - 1) // step.stride[n] + 1 for n in (0, 1))
    return h, w


def _tap(padded: Values, step: Step, top: int, left: int, h: int, w: int) -> Values:
    """Return what one place of the window sees, for every output pixel."""
    return padded[
        :, :, top : top + (h - 1) * step.stride[0] + 1 : step.stride[0], left : left + (w - 1) * step.stride[1] + 1 : step.stride[1]
    ]


def _limited(y: NDArray[np.floating], step: Step) -> Values:
    limited: Values = np.clip(y, step.low, step.high).astype(np.float32)
    return limited


_KERNELS: dict[str, Callable[..., Values]] = {
    "conv": csr_conv,
    "add": add,
    "max_pool": max_pool,
    "average_pool": average_pool,
    "concat": concat,
    "hardswish": hardswish,
    "clip": clip_values,
}
"""Each takes the values of its inputs and the step."""
