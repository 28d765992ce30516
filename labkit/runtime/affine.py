"""Which values of a program are codes, what they stand for, and that the steps agree about it."""

import math
from collections.abc import Sequence

import numpy as np

from labkit.core.errors import FileFormatError
from labkit.formats.block_int8 import BlockInt8Tensor
from labkit.formats.linear import LinearTensor
from labkit.runtime.steps import Affine, Step

KEEP = ("clip", "flatten", "max_pool")
"""Operations whose codes stand for the same as the codes that they read."""
LARGEST = 255
_SCALES = 2.0**-60, 2.0**60
_MAKE_FLOATS = ("conv", "dequantize", "linear")


def value_codes(steps: Sequence[Step]) -> list[Affine | None]:
    """Return what the codes of every value stand for, None where it is floats, checking that the steps agree.

    Args:
        steps: in execution order, each reading only earlier values.

    Raises:
        FileFormatError: a step reads floats and codes, or makes codes that it cannot make.
    """
    codes: list[Affine | None] = [None]
    for step in steps:
        read, where = [codes[n] for n in step.inputs], f"the step {step.name[:60]!r} ({step.op[:20]})"
        if len({each is None for each in read}) > 1:
            raise FileFormatError(f"{where} must read floats or codes, not both")
        _check(step, read[0], where)
        codes.append(step.codes)
    if codes[-1] is not None:
        raise FileFormatError("a program must end with floats: its last step makes codes")
    return codes


def _check(step: Step, read: Affine | None, where: str) -> None:
    if step.codes is not None:
        _check_affine(step.codes, where)
    if (step.op == "quantize") != (read is None and step.codes is not None):
        raise FileFormatError(f"{where} must not turn floats into codes, or not be called quantize")
    if (step.op == "dequantize") and (read is None or step.codes is not None):
        raise FileFormatError(f"{where} must read codes and make floats")
    if read is not None and step.codes is None and step.op not in _MAKE_FLOATS:
        raise FileFormatError(f"{where} must make codes, since it reads codes")
    if step.op in KEEP and step.codes is not None and read is not None and (step.codes.scale, step.codes.zero) != (read.scale, read.zero):
        raise FileFormatError(f"{where} must keep what its codes stand for")
    if step.op in ("quantize", "dequantize") and step.clips:
        raise FileFormatError(f"{where} must not limit its result")
    if step.weight is not None:
        _check_weight(step, read, where)


def _check_affine(codes: Affine, where: str) -> None:
    fine = math.isfinite(codes.scale) and _SCALES[0] <= codes.scale <= _SCALES[1] and float(np.float32(codes.scale)) == codes.scale
    if not fine or not 0 <= codes.zero <= LARGEST:
        raise FileFormatError(f"{where} must have codes of a float32 scale in [2^-60, 2^60] and a zero point in [0, 255], got {codes}")


def _check_weight(step: Step, read: Affine | None, where: str) -> None:
    bias = np.dtype(np.float32) if step.bias is None else step.bias.dtype
    if read is None:
        if bias != np.float32:
            raise FileFormatError(f"{where} must have a float32 bias, since it reads floats")
        return
    if step.input_bits != 32:
        raise FileFormatError(f"{where} must not round its inputs, since they are codes")
    if not is_integer(step):
        raise FileFormatError(
            f"{where} must have linear weights of at most 8 bits without groups, or block_int8 ones, since it reads codes"
        )
    if step.bias is None or bias != np.int32:
        raise FileFormatError(f"{where} must have an int32 bias, since it reads codes")


def is_integer(step: Step) -> bool:
    """Tell whether a step's weight is one that integer layers take."""
    if isinstance(step.weight, LinearTensor):
        return step.weight.bits <= 8 and not step.weight.group
    return isinstance(step.weight, BlockInt8Tensor)


def code_limits(step: Step) -> tuple[int, int]:
    """Return the least and the largest code that a step which makes codes may write."""
    if step.codes is None:
        raise TypeError(f"{step.name} makes no codes")
    low, high = ((0, LARGEST) if math.isinf(each) else (_code(each, step.codes),) * 2 for each in (step.low, step.high))
    return low[0], high[1]


def _code(value: float, codes: Affine) -> int:
    return min(max(codes.zero + round(min(max(value / codes.scale, -1e6), 1e6)), 0), LARGEST)
