"""Read IDX files, the format that MNIST and its relatives come in.

A file is: two zero bytes, a type code (8 = unsigned byte), the number of dimensions, each dimension as a big-endian
32-bit integer, then the values. It may be gzipped.
"""

import gzip
import math
import struct
import zlib
from pathlib import Path
from typing import BinaryIO, cast

import numpy as np

from labkit.core.errors import DataError

_MOST_BYTES = 1 << 28  # 256 MiB: five times Fashion-MNIST; a lying header must not fill the memory
_AGAIN = "remove it, then `labkit data fetch fashion-mnist` brings the set"


def read_idx(path: Path, shape: tuple[int | None, ...]) -> np.ndarray:
    """Read an IDX file of unsigned bytes, and no more of it than its header promises.

    Args:
        path: the file, gzipped if its name ends in `.gz`.
        shape: what its dimensions must be; None where any size will do.

    Returns:
        uint8 array of that shape, read-only.

    Raises:
        DataError: the file cannot be read, is not IDX, is shorter or longer than its header says, or has another shape.
    """
    try:
        with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
            return _read(path, cast(BinaryIO, file), shape)
    except FileNotFoundError:
        raise DataError(f"{path} is missing: `labkit data fetch fashion-mnist` brings the set") from None
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"{path} cannot be read ({error}): {_AGAIN}") from error


def _read(path: Path, file: BinaryIO, shape: tuple[int | None, ...]) -> np.ndarray:
    start = file.read(4)
    if len(start) < 4 or start[:2] != b"\0\0":
        raise DataError(f"{path} is not an IDX file, which begins with two zero bytes and a type, got {start[:2]!r}: {_AGAIN}")
    code, ndim = start[2:]
    if code != 8:
        raise DataError(f"{path} must hold unsigned bytes (type 8), got type {code}: {_AGAIN}")
    header = file.read(4 * len(shape))
    if ndim != len(shape) or len(header) < 4 * ndim:
        raise DataError(f"{path} must have {len(shape)} dimensions, got {ndim} in a header of {4 + len(header)} bytes: {_AGAIN}")
    dims = struct.unpack(f">{ndim}I", header)
    if any(want is not None and want != got for want, got in zip(shape, dims, strict=True)):
        wanted = " × ".join("any" if want is None else str(want) for want in shape)
        raise DataError(f"{path} must have the shape {wanted}, got {' × '.join(map(str, dims))}: {_AGAIN}")
    need = math.prod(dims)
    if need > _MOST_BYTES:
        raise DataError(f"{path} promises {need} bytes: labkit reads sets of at most {_MOST_BYTES}")
    values = file.read(need + 1)  # one more, to see that nothing follows and to have gzip check its sum
    if len(values) != need:
        fault = "too long" if len(values) > need else f"truncated, with {len(values)}"
        raise DataError(f"{path} is {fault}: its header promises {need} bytes; {_AGAIN}")
    return np.frombuffer(values, np.uint8).reshape(dims)
