"""What an integer program computes, in plain NumPy and int64: the reference that the fast paths equal bit for bit.

Nothing here is shared with them but the steps themselves and the multiplier's two numbers.
Source     Jacob et al. 2017, arXiv:1712.05877: cards `linear`, `integer_matmul`, `requantize`.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from labkit.formats.block_int8 import BlockInt8Tensor
from labkit.formats.linear import LinearTensor
from labkit.runtime.affine import code_limits, value_codes
from labkit.runtime.kernels import reference_int
from labkit.runtime.kernels.int8_codes import multiplier_of
from labkit.runtime.steps import Affine, Step, value_shapes

Array = Any
"""A NumPy array: int64 where it holds codes or sums."""


def simulate(steps: Sequence[Step], x: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return what an exact integer program makes of a batch, float32 (n, …).

    Args:
        steps: of the program.
        x: float32 (n, c, h, w), or (n, features).
    """
    values = simulated_values(steps, x)
    out: NDArray[np.float32] = values[-1]
    return out


def simulated_values(steps: Sequence[Step], x: NDArray[np.float32]) -> list[Array]:
    """Return every value of the program, codes as int64; see `simulate`."""
    codes, values = value_codes(steps), [x]
    for step in steps:
        values.append(_RULES[step.op](step, [values[n] for n in step.inputs], [codes[n] for n in step.inputs]))
    return values


def simulated_step(step: Step, inputs: Sequence[Array], read: Sequence[Affine | None]) -> Array:
    """Return what one step makes of its inputs, (n, c, h, w) or (n, features), that stand for `read`."""
    return _RULES[step.op](step, list(inputs), list(read))


def _quantize(step: Step, inputs: list[Array], _: Any) -> Array:
    codes = _of(step.codes)
    q = np.rint(inputs[0] / np.float32(codes.scale)) + np.float32(codes.zero)
    return np.minimum(np.where(q > 0, q, np.float32(0)), np.float32(255)).astype(np.int64)


def _dequantize(_: Step, inputs: list[Array], read: list[Any]) -> Array:
    return ((inputs[0] - read[0].zero) * read[0].scale).astype(np.float32)


def _layer(step: Step, inputs: list[Array], read: list[Any]) -> Array:
    """A convolution or linear layer: Σ (q_w - Z_w) · (q_x - Z_x) + q_b, then requantized or made a float."""
    weight, scales = _weight(step)
    x = inputs[0] - read[0].zero
    sums = x @ weight.T if step.op == "linear" else _conv(step, weight, x)
    if step.bias is not None:
        sums = sums + _along_channels(step.bias.astype(np.int64), sums)
    scales = scales * read[0].scale
    if step.codes is None:
        return np.clip(sums * _along_channels(scales, sums), step.low, step.high).astype(np.float32)
    return _requantize(step, sums, [scale / step.codes.scale for scale in scales])


def _weight(step: Step) -> tuple[Array, Array]:
    """Return q_w - Z_w, int64, and S_w of each output, float64."""
    weight = step.weight
    if not isinstance(weight, LinearTensor | BlockInt8Tensor):
        raise TypeError(f"{step.name} must have integer weights")
    codes = weight.codes.astype(np.int64)
    if isinstance(weight, LinearTensor) and weight.zero_points is not None:
        codes = codes - weight.spread(weight.zero_points).astype(np.int64)
    return codes, np.broadcast_to(weight.scales.astype(np.float64), (len(codes),))


def _conv(step: Step, weight: Array, x: Array) -> Array:
    """Convolve int64 images (n, c, h, w). The sums are whole numbers below 2^31, so float64 products hold them exactly."""
    (s_h, s_w), (p_h, p_w), (d_h, d_w) = step.stride, step.padding, step.dilation
    out, per, k_h, k_w = weight.shape
    wide = np.pad(x, ((0, 0), (0, 0), (p_h, p_h), (p_w, p_w))).astype(np.float64)
    h, w = (wide.shape[2] - d_h * (k_h - 1) - 1) // s_h + 1, (wide.shape[3] - d_w * (k_w - 1) - 1) // s_w + 1
    sums = np.zeros((len(x), step.groups, out // step.groups, h * w))
    for i in range(k_h):
        for j in range(k_w):
            seen = wide[:, :, i * d_h : i * d_h + s_h * h : s_h, j * d_w : j * d_w + s_w * w : s_w]
            taps = weight[:, :, i, j].reshape(step.groups, out // step.groups, per).astype(np.float64)
            sums += taps @ seen.reshape(len(x), step.groups, per, h * w)
    return sums.reshape(len(x), out, h, w).astype(np.int64)


def _add(step: Step, inputs: list[Array], read: list[Any]) -> Array:
    codes = _of(step.codes)
    wide = sum((q - each.zero) * round(2.0**30 * each.scale / codes.scale) for q, each in zip(inputs, read, strict=True))
    return np.clip(((wide + 2**29) >> 30) + codes.zero, *code_limits(step))


def _average_pool(step: Step, inputs: list[Array], read: list[Any]) -> Array:
    """Average over parts of the image, each by the multiplier of its number of pixels."""
    x, codes = inputs[0] - read[0].zero, _of(step.codes)
    (height, width), (down, across) = x.shape[2:], step.kernel
    out = np.zeros((*x.shape[:2], down, across), np.int64)
    for i in range(down):
        for j in range(across):
            part = x[:, :, i * height // down : -(-(i + 1) * height // down), j * width // across : -(-(j + 1) * width // across)]
            count = part.shape[2] * part.shape[3]
            out[:, :, i, j] = _requantize(step, part.sum(axis=(2, 3)), [read[0].scale / (count * codes.scale)] * x.shape[1])
    return out


def _concat(step: Step, inputs: list[Array], read: list[Any]) -> Array:
    scale = _of(step.codes).scale
    parts = [_requantize(step, q - each.zero, [each.scale / scale] * q.shape[1]) for q, each in zip(inputs, read, strict=True)]
    return np.concatenate(parts, axis=1)


def _hardswish(step: Step, inputs: list[Array], read: list[Any]) -> Array:
    """Return the code nearest to the function of what each code stands for, in float64."""
    x, codes = (inputs[0] - read[0].zero) * read[0].scale, _of(step.codes)
    y = np.clip(x * np.clip(x + 3, 0, 6) / 6, step.low, step.high)
    return np.clip(np.rint(y / codes.scale).astype(np.int64) + codes.zero, 0, 255)


def _max_pool(step: Step, inputs: list[Array], _: Any) -> Array:
    x, (_, h, w) = inputs[0], value_shapes([replace(step, inputs=(0,))], inputs[0].shape[1:])[1]
    (p_h, p_w), (s_h, s_w), (k_h, k_w) = step.padding, step.stride, step.kernel
    beyond = ((p_h, max(0, (h - 1) * s_h + k_h - p_h - x.shape[2])), (p_w, max(0, (w - 1) * s_w + k_w - p_w - x.shape[3])))
    padded = np.pad(x, ((0, 0), (0, 0), *beyond), constant_values=-1)
    windows = np.lib.stride_tricks.sliding_window_view(padded, step.kernel, axis=(2, 3))[:, :, ::s_h, ::s_w][:, :, :h, :w]
    return np.clip(windows.max(axis=(4, 5)), *code_limits(step))


def _flatten(step: Step, inputs: list[Array], _: Any) -> Array:
    return np.clip(inputs[0].reshape(len(inputs[0]), -1), *code_limits(step))


def _clip(step: Step, inputs: list[Array], _: Any) -> Array:
    return np.clip(inputs[0], *code_limits(step))


def _requantize(step: Step, sums: Array, scales: Sequence[float]) -> Array:
    """Requantize (n, channels, …) sums by a multiplier for each channel."""
    pairs = np.array([multiplier_of(float(scale), step.name) for scale in scales], np.int64)
    last = np.moveaxis(sums, 1, -1)
    return np.moveaxis(reference_int.requantize(last, pairs[:, 0], pairs[:, 1], _of(step.codes).zero, code_limits(step)), -1, 1)


def _along_channels(values: Array, like: Array) -> Array:
    return values.reshape(1, -1, *[1] * (like.ndim - 2))


def _of(codes: Affine | None) -> Affine:
    if codes is None:
        raise TypeError("a step that reads codes must make codes here")
    return codes


_RULES: dict[str, Callable[[Step, list[Array], list[Any]], Array]] = {
    "add": _add,
    "average_pool": _average_pool,
    "clip": _clip,
    "concat": _concat,
    "conv": _layer,
    "dequantize": _dequantize,
    "flatten": _flatten,
    "hardswish": _hardswish,
    "linear": _layer,
    "max_pool": _max_pool,
    "quantize": _quantize,
}
