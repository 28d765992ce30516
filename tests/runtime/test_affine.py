"""What codes stand for: limits by hand, and steps that do not agree about it."""

from math import inf

import numpy as np
import pytest

from labkit.core.errors import FileFormatError
from labkit.runtime.affine import code_limits, value_codes
from labkit.runtime.steps import Affine, Step

TENTH = Affine(float(np.float32(0.1)), 3)


@pytest.mark.parametrize(
    ("low", "high", "codes"),
    [
        (-inf, inf, (0, 255)),
        (0.0, inf, (3, 255)),
        (0.0, 0.26, (3, 6)),
        (-0.17, 0.24, (1, 5)),
        (-9.0, 6.0, (0, 63)),
        (0.0, 1e30, (3, 255)),
    ],
)
def test_limits_are_the_nearest_codes(low, high, codes):
    assert code_limits(Step("clip", "c", (1,), low=low, high=high, codes=TENTH)) == codes


def test_floats_and_codes_do_not_meet_in_one_step():
    steps = [Step("quantize", "q", (0,), codes=TENTH), Step("add", "sum", (0, 1), codes=TENTH), Step("dequantize", "o", (2,))]
    with pytest.raises(FileFormatError, match=r"'sum' \(add\) must read floats or codes, not both"):
        value_codes(steps)
