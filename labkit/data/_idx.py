"""Read IDX files, the format that MNIST and its relatives come in.

A file is: two zero bytes, a type code (8 = unsigned byte), the number of dimensions, each dimension as a big-endian
32-bit integer, then the values. It may be gzipped.
"""

import gzip
import math
import struct
import zlib
from pathlib import Path

import numpy as np

from labkit.core.errors import DataError

_MOST_BYTES = 1 << 28  # 256 MiB: five times Fashion-MNIST; a lying header must not fill the memory


def read_idx(path: Path, shape: tuple[int | None, ...]) -> np.ndarray:
    """Read an IDX file of unsigned bytes.

    Args:
        path: the file, gzipped if its name ends in `.gz`.
        shape: what its dimensions must be; None where any size will do.

    Returns:
        uint8 array of that shape.

    Raises:
        DataError: the file cannot be read, is not IDX, is shorter or longer than its header says, or has another shape.
    """
    raw = _bytes(path)
    if len(raw) < 4 or raw[:2] != b"\0\0":
        raise DataError(f"{path} is not an IDX file: it must begin with two zero bytes and a type; fetch it again")
    code, ndim = raw[2], raw[3]
    if code != 8:
        raise DataError(f"{path} must hold unsigned bytes (type 8), got type {code}")
    if ndim != len(shape) or len(raw) < 4 + 4 * ndim:
        raise DataError(f"{path} must have {len(shape)} dimensions, got {ndim} in a file of {len(raw)} bytes")
    dims = struct.unpack(f">{ndim}I", raw[4 : 4 + 4 * ndim])
    if any(want is not None and want != got for want, got in zip(shape, dims, strict=True)):
        wanted = " × ".join("any" if want is None else str(want) for want in shape)
        raise DataError(f"{path} must have the shape {wanted}, got {' × '.join(map(str, dims))}")
    have, need = len(raw) - 4 - 4 * ndim, math.prod(dims)
    if have != need:
        raise DataError(
            f"{path} is {'truncated' if have < need else 'too long'}: its header promises {need} bytes, it has {have}; fetch it again"
        )
    return np.frombuffer(raw, np.uint8, offset=4 + 4 * ndim).reshape(dims)


def _bytes(path: Path) -> bytes:
    try:
        with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
            raw = file.read(_MOST_BYTES + 1)
    except FileNotFoundError:
        raise DataError(f"{path} is missing; `labkit data fetch fashion-mnist` brings the set") from None
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"{path} cannot be read ({error}); fetch it again") from error
    if len(raw) > _MOST_BYTES:
        raise DataError(f"{path} is larger than {_MOST_BYTES} bytes: that is no set that labkit reads")
    return raw
