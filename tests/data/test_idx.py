import gzip
import struct
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from labkit.core.errors import DataError
from labkit.data import _idx
from labkit.data._idx import read_idx

SMALL = np.arange(12, dtype=np.uint8).reshape(3, 2, 2)


def encode(values: np.ndarray, *, code: int = 8, dims: tuple[int, ...] | None = None) -> bytes:
    """Write IDX, as the format's definition says; `code` and `dims` may lie."""
    dims = values.shape if dims is None else dims
    return bytes([0, 0, code, len(dims)]) + struct.pack(f">{len(dims)}I", *dims) + values.tobytes()


@pytest.mark.parametrize("packed", [False, True])
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=30)
@given(values=arrays(np.uint8, array_shapes(max_dims=4, max_side=5)))
def test_what_is_written_is_read(tmp_path: Path, packed: bool, values: np.ndarray) -> None:
    path = tmp_path / ("x.gz" if packed else "x")
    path.write_bytes(gzip.compress(encode(values), 1) if packed else encode(values))
    for shape in (values.shape, (None,) * values.ndim):
        assert np.array_equal(read_idx(path, shape), values)


FAULTS = {
    "empty": (b"", "is not an IDX file"),
    "wrong magic": (b"\x89PNG" + encode(SMALL)[4:], "is not an IDX file"),
    "wrong type code": (encode(SMALL, code=13), r"must hold unsigned bytes \(type 8\), got type 13"),
    "fewer dimensions": (encode(SMALL.reshape(-1)), "must have 3 dimensions, got 1"),
    "more dimensions": (encode(SMALL[None]), "must have 3 dimensions, got 4"),
    "header cut off": (encode(SMALL)[:10], "must have 3 dimensions, got 3 in a header of 10 bytes"),
    "wrong shape": (encode(SMALL.reshape(3, 4, 1)), "must have the shape 3 × 2 × 2, got 3 × 4 × 1"),
    "truncated": (encode(SMALL)[:-1], "is truncated, with 11: its header promises 12 bytes"),
    "no values": (encode(SMALL)[:16], "is truncated, with 0"),
    "too long": (encode(SMALL) + b"\0", "is too long: its header promises 12 bytes"),
}


@pytest.mark.parametrize("packed", [False, True], ids=["plain", "gzip"])
@pytest.mark.parametrize("fault", FAULTS)
def test_a_wrong_file_is_named_with_what_to_do(tmp_path: Path, fault: str, packed: bool) -> None:
    content, message = FAULTS[fault]
    path = tmp_path / ("x.gz" if packed else "x")
    path.write_bytes(gzip.compress(content) if packed else content)
    with pytest.raises(DataError, match=message) as caught:
        read_idx(path, (3, 2, 2))
    assert str(caught.value).startswith(str(path))
    assert "labkit data fetch" in str(caught.value)


def test_a_lying_header_does_not_fill_the_memory(tmp_path: Path) -> None:
    path = tmp_path / "x"
    path.write_bytes(encode(SMALL, dims=(2**32 - 1, 2**32 - 1, 2**32 - 1)))
    with pytest.raises(DataError, match=f"labkit reads sets of at most {_idx._MOST_BYTES}"):
        read_idx(path, (None, None, None))


def test_no_more_is_unpacked_than_the_header_promises(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "bomb.gz"
    path.write_bytes(gzip.compress(encode(SMALL) + bytes(50_000_000), 1))
    asked: list[int] = []
    read = gzip.GzipFile.read

    def watched(file: gzip.GzipFile, size: int | None = -1) -> bytes:
        asked.append(-1 if size is None else size)
        return read(file, size)

    monkeypatch.setattr(gzip.GzipFile, "read", watched)
    with pytest.raises(DataError, match="too long"):
        read_idx(path, (3, 2, 2))
    assert asked == [4, 12, 13]


@pytest.mark.parametrize("position", [2, 12, 20, -9, -6, -2])
def test_a_damaged_gzip_is_refused_wherever_it_is_damaged(tmp_path: Path, position: int) -> None:
    content = bytearray(gzip.compress(encode(SMALL)))
    content[position] ^= 0x5A
    path = tmp_path / "x.gz"
    path.write_bytes(content)
    with pytest.raises(DataError, match="labkit data fetch"):
        read_idx(path, (3, 2, 2))


@pytest.mark.parametrize("length", [0, 5, 15, -4])
def test_a_gzip_that_was_cut_off_is_refused(tmp_path: Path, length: int) -> None:
    path = tmp_path / "x.gz"
    path.write_bytes(gzip.compress(encode(SMALL))[:length])
    with pytest.raises(DataError):
        read_idx(path, (3, 2, 2))


def test_a_missing_file_and_a_folder_are_told_apart(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="x is missing: `labkit data fetch fashion-mnist` brings the set"):
        read_idx(tmp_path / "x", (1,))
    with pytest.raises(DataError, match="cannot be read"):
        read_idx(tmp_path, (1,))


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=100)
@given(content=st.binary(max_size=40), packed=st.booleans())
def test_any_bytes_are_read_or_refused(tmp_path: Path, content: bytes, packed: bool) -> None:
    path = tmp_path / ("y.gz" if packed else "y")
    path.write_bytes(content)
    try:
        assert read_idx(path, (None, None)).ndim == 2
    except DataError as error:
        assert str(path) in str(error)  # noqa: PT017 # nearly all bytes are refused, not all
