"""Convolution from bytes to bytes equals its reference bit for bit."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from labkit.runtime.kernels import int8_direct_conv, reference_int
from labkit.runtime.kernels._bytes import BYTES
from labkit.runtime.kernels._simd import LANES
from labkit.runtime.kernels.int8_codes import Requantization, multiplier_of
from labkit.runtime.kernels.int8_direct_conv import FEW_PIXELS, PIXELS, Int8DirectConv, is_depthwise, suits
from labkit.runtime.kernels.int8_onednn import Geometry
from tests.runtime.kernels.test_int8_onednn import GEOMETRIES

SAME = Geometry(padding=(1, 1))


def requantization(sums, limits=(0, 255)):
    """Return one by which the sums (…, out) of each output spread over all codes, and of some a little beyond them."""
    rows, rng = sums.reshape(-1, sums.shape[-1]), np.random.default_rng(sums.shape[-1])
    scales = np.minimum(256 * rng.uniform(0.9, 1.5, rows.shape[1]) / (np.ptp(rows, axis=0) + 1), 0.4)
    factors, shifts = np.array([multiplier_of(float(scale)) for scale in scales]).T
    return Requantization(-(rows.min(axis=0) + rows.max(axis=0)) // 2, factors, shifts, 128, *limits)


def check(n, image, codes, geometry, *, zero=7, pools=False, x=None, limits=(0, 255)):
    """Return the codes, which equal the reference's."""
    rng, (c, h, w) = np.random.default_rng(n), image
    x = rng.integers(0, 256, (n, h, w, c), np.uint8) if x is None else x
    how = requantization(reference_int.conv_sums(x, codes, zero, geometry), limits)
    got = Int8DirectConv(codes, zero, geometry, image, how, pools)(x)
    want = reference_int.int8_direct_conv(x, codes, zero, geometry, how, pools=pools)
    assert got.dtype == np.uint8
    assert got.flags.c_contiguous
    np.testing.assert_array_equal(got, want)
    return got


def random_codes(shape, seed=0):
    return np.random.default_rng(seed).integers(-128, 128, shape).astype(np.int8)


@pytest.mark.parametrize("zero", [0, 7, 255])
@pytest.mark.parametrize("pools", [False, True])
@pytest.mark.parametrize(("geometry", "sizes", "window"), GEOMETRIES)
def test_every_geometry(geometry, sizes, window, pools, zero):
    out, c, h, w = sizes
    codes = random_codes((out, c // geometry.groups, *window))
    check(3, (c, h, w), codes, geometry, zero=zero, pools=pools and not is_depthwise(codes.shape, geometry.groups))


@pytest.mark.parametrize("n", [1, 2, 64, 257])
@pytest.mark.parametrize("image", [(1, 1, 1), (3, 1, 9), (16, 9, 1), (5, 7, 7)])
@pytest.mark.parametrize("out", [1, LANES, 3 * LANES + 1])
def test_any_number_of_images_of_any_shape(n, image, out):
    got = check(n, image, random_codes((out, image[0], 3, 3)), SAME)
    assert n == 1 or np.ptp(got) > 100


@pytest.mark.parametrize("n", [1, 257])
@pytest.mark.parametrize("image", [(1, 1, 1), (LANES, 1, 9), (BYTES, 9, 1), (BYTES + 5, 3, 4), (2 * BYTES, 4, 4)])
def test_any_number_of_images_channel_by_channel(n, image):
    groups = Geometry((1, 1), (1, 1), (1, 1), image[0])
    check(n, image, random_codes((image[0], 1, 3, 3)), groups)


@pytest.mark.parametrize("groups", [1, 8])
@pytest.mark.parametrize("zero", [0, 255])
@pytest.mark.parametrize("weight", [-128, 127])
def test_sums_as_large_as_can_be(groups, zero, weight):
    """Two products of such bytes do not fit 16 bits, and all of them are added."""
    codes = np.full((24, 8 // groups, 3, 3) if groups == 1 else (8, 1, 3, 3), weight, np.int8)
    for value in (0, 255):
        got = check(
            2,
            (8, 6, 6),
            codes,
            Geometry(SAME.stride, SAME.padding, SAME.dilation, groups),
            zero=zero,
            x=np.full((2, 6, 6, 8), value, np.uint8),
        )
        assert value == zero or np.ptp(got) > 100


@given(
    image=st.tuples(st.integers(1, 40), st.integers(1, 9), st.integers(1, 9)),
    window=st.tuples(st.integers(1, 3), st.integers(1, 3)),
    steps=st.tuples(*[st.integers(1, 3)] * 4),
    padding=st.tuples(st.integers(0, 2), st.integers(0, 2)),
    out=st.integers(1, 4 * LANES),
    kind=st.sampled_from(["plain", "pools", "groups", "channels"]),
    n=st.integers(1, 12),
    zero=st.integers(0, 255),
    limits=st.sampled_from([(0, 255), (3, 250), (77, 255)]),
)
@settings(max_examples=150, deadline=None)  # the first call compiles
def test_random_layers(image, window, steps, padding, out, kind, n, zero, limits):
    c, *size = image
    window = tuple(min(k, (side + 2 * p - 1) // d + 1) for k, side, p, d in zip(window, size, padding, steps[2:], strict=True))
    groups = {"groups": 2 if c % 2 == 0 else 1, "channels": c}.get(kind, 1)
    out = c if kind == "channels" else groups * out
    codes, geometry = random_codes((out, c // groups, *window), seed=n), Geometry(steps[:2], padding, steps[2:], groups)
    pools = kind == "pools" and not is_depthwise(codes.shape, groups)
    check(n, image, codes, geometry, zero=zero, pools=pools, limits=limits)


@pytest.mark.parametrize(("c", "out", "groups"), [(8, 24, 1), (8, 8, 8)])
@pytest.mark.parametrize("chunk", [1, 2000])
def test_a_batch_in_parts_is_the_batch(c, out, groups, chunk, monkeypatch):
    monkeypatch.setattr(int8_direct_conv, "CHUNK_BYTES", chunk)
    monkeypatch.setattr(int8_direct_conv, "CHUNK_PIXELS", chunk)
    for padding in ((0, 0), (1, 1)):
        check(11, (c, 6, 5), random_codes((out, c // groups, 3, 3)), Geometry((1, 1), padding, (1, 1), groups))


def test_images_that_do_not_lie_in_one_piece():
    x = np.random.default_rng(0).integers(0, 256, (3, 16, 6, 7), np.uint8).transpose(0, 2, 3, 1)
    for padding in ((0, 0), (1, 1)):
        check(3, (16, 6, 7), random_codes((8, 16, 3, 3)), Geometry(padding=padding), x=x)


@pytest.mark.parametrize(("shape", "groups"), [((LANES + 3, 8, 1, 1), 1), ((LANES + 3, 1, 1, 1), LANES + 3)])
@pytest.mark.parametrize("pixels", [1, FEW_PIXELS, PIXELS, PIXELS + 3])
def test_nothing_else_is_written(shape, groups, pixels):
    image = (shape[1] * groups, 1, pixels)
    how = requantization(np.outer([-10_000, 10_000], np.ones(shape[0], int)))
    conv = Int8DirectConv(random_codes(shape), 3, Geometry(groups=groups), image, how, pools=False)
    x, size = np.full((2, 1, pixels, image[0]), 9, np.uint8), 2 * pixels * shape[0]
    around = np.full(size + 128, 99, np.uint8)
    conv._chunk(x, around[64 : 64 + size])
    assert (around[:64] == 99).all()
    assert (around[64 + size :] == 99).all()
    assert (around[64 : 64 + size] == conv(x).reshape(-1)).all()


def test_which_layers_it_suits(monkeypatch):
    how = requantization(np.outer([-10_000, 10_000], np.ones(32, int)))
    monkeypatch.setattr(int8_direct_conv, "FASTER", True)
    image, plain = (4, 8, 8), Geometry()
    assert suits((32, 4, 3, 3), plain, image, how)
    assert suits((32, 1, 3, 3), Geometry(groups=32), (32, 8, 8), how)
    assert not suits((32, 4, 3, 3), Geometry(groups=64 // LANES), image, how), "half of each register or less would be used"
    assert not suits((32, 4, 3, 3), Geometry(padding=(1024, 1024)), image, how), "the border would take all memory"
    large = Requantization(how.added, how.factors, np.full(32, 31), how.zero, 0, 255)
    assert not suits((32, 4, 3, 3), plain, image, large), "the upper half of a product would not hold the result"
    monkeypatch.setattr(int8_direct_conv, "FASTER", False)
    assert not suits((32, 4, 3, 3), plain, image, how)
