"""Packing of small codes into a stream of bits: least significant bit first, no padding between codes.

Element i of b-bit codes has the bits i·b to i·b + b - 1; bit j lies in byte ⌊j/8⌋ at position j mod 8. Spare bits are 0.
"""

from typing import Any

import numpy as np

from labkit.core.errors import FileFormatError
from labkit.formats._format import Array, checked_type


def stream_bytes(count: int, bits: int) -> int:
    """Return the bytes that `count` codes of `bits` bits take."""
    return (count * bits + 7) // 8


def pack_bits(codes: Array, bits: int) -> Array:
    """Pack codes.

    Args:
        codes: whole numbers of any shape, in [0, 2^bits); taken in row-major order.
        bits: of each, 1 to 16.

    Returns:
        (⌈n·bits/8⌉,) uint8.

    Raises:
        ValueError: a code does not fit.
    """
    flat: Any = codes.reshape(-1)
    if flat.size and not 0 <= int(flat.min()) <= int(flat.max()) < 1 << bits:
        raise ValueError(f"codes of {bits} bits must be in [0, {(1 << bits) - 1}], got {int(flat.min())} to {int(flat.max())}")
    if 8 % bits == 0:
        per_byte = 8 // bits
        padded = np.zeros(-(-flat.size // per_byte) * per_byte, np.uint8)
        padded[: flat.size] = flat
        shifted = padded.reshape(-1, per_byte) << (bits * np.arange(per_byte, dtype=np.uint8))
        return np.asarray(np.bitwise_or.reduce(shifted, axis=1), np.uint8)
    planes = flat.astype(np.uint16)[:, None] >> np.arange(bits, dtype=np.uint16) & 1
    return np.packbits(planes.astype(bool).reshape(-1), bitorder="little")


def unpack_bits(stream: Array, bits: int, count: int) -> Array:
    """Return the `count` codes in a stream: (count,) uint8, or uint16 above 8 bits."""
    if 8 % bits == 0:
        parts: Array = stream[:, None] >> (bits * np.arange(8 // bits, dtype=np.uint8)) & np.uint8((1 << bits) - 1)
        return parts.reshape(-1)[:count]
    marks = np.unpackbits(stream, count=count * bits, bitorder="little").reshape(count, bits)
    weights: Any = (1 << np.arange(bits)).astype(np.uint8 if bits <= 8 else np.uint16)
    return np.asarray((marks * weights).sum(axis=1, dtype=weights.dtype))


def checked_stream(kind: str, name: str, stream: Array, bits: int, count: int) -> Array:
    """Return a stream that was read, if it can hold `count` codes.

    Raises:
        FileFormatError: it is of another type or length, or a bit after the last code is set.
    """
    checked_type(kind, name, stream, np.dtype(np.uint8))
    if stream.size != stream_bytes(count, bits):
        raise FileFormatError(f"{name} of a {kind} tensor must be {stream_bytes(count, bits)} bytes for {count} codes, got {stream.size}")
    spare = 8 * stream.size - count * bits
    if spare and int(stream[-1]) >> (8 - spare):
        raise FileFormatError(f"the bits of {name} of a {kind} tensor after its {count} codes must be 0")
    return stream
