"""What packed linear layers have in common, whatever their weights are stored as."""

from collections.abc import Callable
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from labkit.runtime.steps import Step, bias_of

FEW = 8
"""Up to so many samples go through a kernel for one sample, one after the other; decoded weights serve more better."""

Values = NDArray[np.float32]


class Layer(Protocol):
    """A linear layer on packed weights: (n, c_in) float32 → (n, c_out) float32."""

    def __call__(self, x: Values) -> Values: ...


def one_by_one(x: Values, step: Step, call: Callable[[Values], Values]) -> Values:
    """Return what a kernel for one sample makes of each, biased and limited."""
    out = np.empty((len(x), len(bias_of(step))), np.float32)
    for n, row in enumerate(x):
        out[n] = call(row)
    return limited(out, step)


def limited(sums: Values, step: Step) -> Values:
    """Add the bias and limit, in place."""
    if step.bias is not None:
        sums += step.bias
    return np.clip(sums, step.low, step.high, out=sums) if step.clips else sums
