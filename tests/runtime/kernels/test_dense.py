"""Dense convolutions where torch's own kernels must not be trusted."""

import numpy as np
import pytest
import torch

from labkit.formats.dense import DenseTensor
from labkit.runtime.kernels import dense, reference
from labkit.runtime.program import Program
from labkit.runtime.steps import Step

CASES = [  # kernel, stride, padding, dilation, groups, (height, width), images: each of them ended the process with torch 2.14
    ((2, 1), (1, 2), (1, 1), (1, 2), 1, (9, 1), 33),
    ((3, 1), (2, 2), (1, 1), (2, 2), 2, (9, 1), 5),
    ((3, 1), (2, 2), (3, 1), (2, 2), 1, (5, 1), 65),
    ((1, 1), (2, 2), (1, 1), (2, 2), 3, (2, 1), 33),
]


@pytest.mark.parametrize(("kernel", "stride", "padding", "dilation", "groups", "size", "count"), CASES)
def test_windows_that_lie_in_the_padding_are_zeros(kernel, stride, padding, dilation, groups, size, count):
    rng = np.random.default_rng(0)
    weight = DenseTensor.pack(rng.standard_normal((4 * groups, 4, *kernel)).astype(np.float32))
    geometry = {"kernel": kernel, "stride": stride, "padding": padding, "dilation": dilation, "groups": groups}
    step = Step("conv", "c", (0,), weight, np.ones(4 * groups, np.float32), low=0.0, **geometry)
    x = rng.standard_normal((count, 4 * groups, *size)).astype(np.float32)
    np.testing.assert_allclose(Program([step], x.shape[1:])(x), reference.interpret([step], x), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(("kernel", "stride", "padding", "size"), [(2, 2, 0, 3), (2, 2, 1, 1), (3, 3, 0, 5), (3, 2, 1, 2), (2, 3, 0, 4)])
@pytest.mark.parametrize("upright", [True, False])
def test_one_channel_in_and_one_row_or_column_out(kernel, stride, padding, size, upright):
    """What is fused from eight images on gave numbers of anything here."""
    pairs = {"kernel": (2, kernel), "stride": (1, stride), "padding": (1, padding)}
    pairs, size = ({name: each[::-1] for name, each in pairs.items()}, (size, 6)) if upright else (pairs, (6, size))
    rng = np.random.default_rng(0)
    weight = DenseTensor.pack(rng.standard_normal((3, 1, *pairs["kernel"])).astype(np.float32))
    step, x = Step("conv", "c", (0,), weight, **pairs), rng.standard_normal((16, 1, *size)).astype(np.float32)
    np.testing.assert_allclose(Program([step], x.shape[1:])(x), reference.interpret([step], x), rtol=1e-5, atol=1e-5)


def test_only_the_excess_of_padding_is_written_out():
    assert dense.excess(kernel=(3, 1), padding=(5, 0), dilation=(2, 1)) == (1, 0)


@pytest.mark.parametrize("low_high", [(-np.inf, np.inf), (0.0, np.inf), (0.0, 6.0), (-1.0, 1.5)])
@pytest.mark.parametrize("transposed_to", [0, dense.TRANSPOSED_TO], ids=["as it is", "transposed"])
@pytest.mark.parametrize("count", [1, dense.FUSE_FROM - 1, dense.FUSE_FROM, 65])
def test_a_linear_layer_in_each_of_its_forms(monkeypatch, count, transposed_to, low_high):
    monkeypatch.setattr(dense, "TRANSPOSED_TO", transposed_to)
    rng = np.random.default_rng(1)
    weight, bias = rng.standard_normal((17, 33)).astype(np.float32), rng.standard_normal(17).astype(np.float32)
    step = Step("linear", "fc", (0,), DenseTensor.pack(weight), bias, low=low_high[0], high=low_high[1])
    x = rng.standard_normal((count, 33)).astype(np.float32)
    call, before = dense.lower(step, (33,)), x.copy()
    np.testing.assert_allclose(call(torch.from_numpy(x)).numpy(), reference.interpret([step], x), rtol=1e-5, atol=1e-5)
    np.testing.assert_array_equal(x, before)
