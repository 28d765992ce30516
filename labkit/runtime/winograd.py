"""Which convolutions on groups of images run by `winograd_conv` rather than by `csr_conv`, and their weights as it reads them."""

import numpy as np
from numpy.typing import NDArray

from labkit.formats import Format
from labkit.runtime.steps import Shape, Step

STORED_COST, TRANSFORM_COST = 1.7, 6.0
"""What is measured in products of a matrix: a stored weight and pixel in `csr_conv`, and a transform of one place of one tile."""


def fits(step: Step, size: Shape) -> bool:
    """Tell whether `winograd_conv` can compute a step.

    Args:
        step: of any kind.
        size: height and width of what it makes.
    """
    plain = step.stride == step.dilation == (1, 1) and step.groups == 1
    return step.op == "conv" and step.kernel == (3, 3) and plain and min(size) >= 2


def pays(step: Step, size: Shape) -> bool:
    """Tell whether a step fits and stores so many of its weights that 16 products a tile cost less than one for each and pixel.

    Measured with 16 lanes, both kernels cost the same at about 80 % of the weights for 4 input channels, 45 % for 16 and 35 %
    for 32 or more; with one input channel `csr_conv` is always faster.
    """
    if step.weight is None or not fits(step, size):
        return False
    c_out, c_in = step.weight.shape[:2]
    tiles, pixels = -(-size[0] // 2) * -(-size[1] // 2), size[0] * size[1]
    return 16 * tiles * (c_out * c_in + TRANSFORM_COST * (c_out + c_in)) < STORED_COST * step.weight.stored * pixels


def transformed(weight: Format | None, outputs: int) -> NDArray[np.float32]:
    """Return G g Gᵀ of every filter g of a weight (c_out, c_in, 3, 3).

    Args:
        weight: in any format.
        outputs: how many go together.

    Returns:
        Float32 (16, ⌈c_out / outputs⌉, c_in, outputs), computed in float64; outputs beyond the last are zero.
    """
    if weight is None:
        raise TypeError("a convolution must have a weight")
    filters = weight.unpack().astype(np.float64)
    c_out, c_in = filters.shape[:2]
    blocks = -(-c_out // outputs)
    places = np.zeros((16, blocks * outputs, c_in))
    places[:, :c_out] = (_G @ filters @ _G.T).reshape(c_out, c_in, 16).transpose(2, 0, 1)
    return places.reshape(16, blocks, outputs, c_in).transpose(0, 1, 3, 2).astype(np.float32)


_G: NDArray[np.float64] = np.array([[1, 0, 0], [0.5, 0.5, 0.5], [0.5, -0.5, 0.5], [0, 0, 1]])
