"""Every coded format: what was packed comes back, its bytes are the file's, and what no packing makes is refused."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from labkit.core.errors import FileFormatError
from labkit.formats import PlainFormat, formats
from labkit.formats.file import from_bytes, to_bytes
from tests.formats.coded import MAKERS

SHAPES = st.sampled_from([(1, 1), (1, 257), (3, 0), (5, 4), (16, 33), (2, 3, 3, 3), (3, 1, 2, 1), (4, 8, 1, 1)])
DENSITIES = st.sampled_from([0.0, 0.1, 1.0])
KINDS = pytest.mark.parametrize("kind", MAKERS)


def test_every_coded_format_is_tried():
    assert set(MAKERS) == {kind for kind, cls in formats().items() if not issubclass(cls, PlainFormat)}


@KINDS
@given(shape=SHAPES, density=DENSITIES, seed=st.integers(0, 99))
def test_a_file_gives_back_every_array(kind, shape, density, seed):
    value = MAKERS[kind](np.random.default_rng(seed), shape, density)
    raw = to_bytes({}, {"w": value})
    again = from_bytes(raw)[1]["w"]
    assert (again.kind, again.shape, dict(again.settings)) == (kind, shape, dict(value.settings))
    assert again.unpack().dtype == np.float32
    assert again.unpack().shape == shape
    assert (again.unpack() == value.unpack()).all()
    header = int.from_bytes(raw[:8], "little")
    assert value.packed_bytes == len(raw) - 8 - header
    assert to_bytes({}, {"w": again}) == raw


@KINDS
@given(seed=st.integers(0, 999), flips=st.integers(1, 3))
def test_a_flipped_bit_is_refused_or_makes_a_whole_tensor(kind, seed, flips):
    rng = np.random.default_rng(seed)
    value = MAKERS[kind](rng, (6, 10))
    arrays = {name: array.copy() for name, array in value.arrays().items()}
    for _ in range(flips):
        name = rng.choice(sorted(arrays))
        flat = arrays[name].view(np.uint8)
        flat[rng.integers(flat.size)] ^= 1 << rng.integers(8)
    try:
        again = type(value).from_arrays(value.shape, arrays, value.settings)
    except FileFormatError:
        return
    assert again.unpack().shape == (6, 10)
    assert np.isfinite(again.unpack()).all()


@KINDS
@pytest.mark.parametrize("change", ["shape", "missing", "more", "type", "longer", "two-dimensional", "settings"])
def test_arrays_that_do_not_fit_are_refused(kind, change):
    value = MAKERS[kind](np.random.default_rng(0), (6, 10))
    for name in value.arrays():
        arrays, settings, shape = dict(value.arrays()), dict(value.settings), value.shape
        if change == "shape":
            shape = (6, 90)
        elif change == "missing":
            del arrays[name]
        elif change == "more":
            arrays["x"] = np.zeros(1)
        elif change == "type":
            arrays[name] = arrays[name].astype(np.float64)
        elif change == "longer":
            arrays[name] = np.concatenate([arrays[name], arrays[name][-1:]])
        elif change == "two-dimensional":
            arrays[name] = arrays[name][:, None]
        else:
            settings["more"] = 1
        if (kind, change, name) == ("codebook", "longer", "centroids"):
            arrays[name] = np.full(17, 0, np.float32)
        if (kind, change) in (("block_int8", "shape"), ("csr_int8", "shape"), ("csr_codebook", "shape")):
            shape = (7, 10)
        with pytest.raises(FileFormatError, match=kind):
            type(value).from_arrays(shape, arrays, settings)


@pytest.mark.parametrize("kind", ["linear", "binary", "ternary", "block_int8", "csr_int8"])
@pytest.mark.parametrize("bad", [np.nan, np.inf, -0.5, 1e38])
def test_scales_must_be_usable(kind, bad):
    value = MAKERS[kind](np.random.default_rng(0), (6, 10))
    arrays = dict(value.arrays()) | {"scales": value.scales.copy()}
    arrays["scales"][3] = bad
    with pytest.raises(FileFormatError, match=f"scales of a {kind} tensor must be (above|at least) 0"):
        type(value).from_arrays(value.shape, arrays, value.settings)
