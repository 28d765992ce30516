"""N:M: at most N of every M consecutive weights are stored, each with its place among the M in log2 M bits.

Weights are taken in the order (k_h, k_w, c_in) of each output, so that a group lies along the input channels where M
divides them. Every group has N slots, a shorter last group of r weights min(N, r); slots that are not needed store zeros.
A weight whose groups are full takes N·(b + log2 M / 8) / (M·b) of the bytes of dense: 17/32 for 2:4 of float32.
Source     Mishra et al. 2021, arXiv:2104.08378; Zhou et al. 2021, arXiv:2102.04010.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

import numpy as np

from labkit.core.errors import FileFormatError
from labkit.formats._bits import checked_stream, pack_bits, stream_bytes, unpack_bits
from labkit.formats._format import (
    NO_SETTINGS,
    VALUE_TYPES,
    Array,
    PlainFormat,
    Settings,
    Shape,
    checked_arrays,
    checked_settings,
    checked_type,
    matrix_shape,
    register,
    stored_entries,
)

SIZES = (2, 4, 8, 16)


@dataclass(frozen=True, eq=False)
class NMTensor(PlainFormat):
    """A tensor with at most `n` entries stored of each `m`.

    Attributes:
        shape: of the unpacked array.
        values: (slots,) entries row by row, group by group; may hold zeros.
        indices: packed places of the slots within their groups, log2 m bits each, ascending within a group.
        n, m: slots of a group, and its weights.
    """

    kind = "n_m"
    has_pattern = True
    values: Array
    indices: Array
    n: int
    m: int

    @classmethod
    def pack(cls, array: Array, keep: Array | None = None, m: int | None = None) -> Self:
        """Pack an array; `n` is as large as its fullest group needs.

        Args:
            array: any shape.
            keep: entries to store, see `PlainFormat.pack`; groups that hold fewer than `n` store zeros beside them.
            m: weights in a group; None takes the one that needs the fewest bytes.
        """
        if m is not None and m not in SIZES:
            raise ValueError(f"an n_m tensor must have groups of {', '.join(map(str, SIZES))} weights, got {m}")
        stored = along_inputs(stored_entries(array, keep).reshape(array.shape))
        choices = _choices(stored, array.itemsize)
        exact = {each: size for each, size in choices.items() if keep is not None and _is_exact(stored, each)} or choices
        n, m = min((each for each in choices if each[1] == m), default=None) or min(exact, key=lambda each: exact[each])
        filled = _filled(stored, n, m)
        places = np.nonzero(filled)[1] % m
        return cls(array.shape, along_inputs(array)[filled], pack_bits(places, m.bit_length() - 1), n, m)

    @classmethod
    def size(cls, stored: Array, item_bytes: int, exact: bool = False) -> int | None:
        matrix = along_inputs(stored)
        sizes = [size for each, size in _choices(matrix, item_bytes).items() if not exact or _is_exact(matrix, each)]
        return min(sizes) if sizes else None

    @classmethod
    def from_arrays(cls, shape: Shape, arrays: Mapping[str, Array], settings: Settings = NO_SETTINGS) -> Self:
        n, m = checked_settings(cls.kind, settings, n=range(1, max(SIZES) + 1), m=SIZES)
        if n > m:
            raise FileFormatError(f"the setting n of an n_m tensor must be at most m, {m}, got {n}")
        values, indices = checked_arrays(cls.kind, arrays, "values", "indices")
        checked_type(cls.kind, "values", values, *VALUE_TYPES)
        rows, width = matrix_shape(shape)
        slots = _slots(width, n, m)
        if values.size != rows * slots:
            raise FileFormatError(f"an n_m tensor of {rows} rows must hold {rows * slots} values, got {values.size}")
        checked_stream(cls.kind, "indices", indices, m.bit_length() - 1, values.size)
        out = cls(shape, values, indices, n, m)
        columns = out.columns
        if columns.size and (int(columns.max()) >= width or (columns[:, 1:] <= columns[:, :-1]).any()):
            raise FileFormatError("the indices of an n_m tensor must rise within each group and stay within the row")
        return out

    @property
    def columns(self) -> Array:
        """The column of each slot in the order (k_h, k_w, c_in): (rows, slots of a row) int64."""
        rows, width = matrix_shape(self.shape)
        slots = _slots(width, self.n, self.m)
        within = unpack_bits(self.indices, self.m.bit_length() - 1, rows * slots).reshape(rows, slots)
        columns: Array = np.arange(slots) // self.n * self.m + within
        return columns

    def unpack(self) -> Array:
        return self._spread(self.values, self.values.dtype)

    def pattern(self) -> Array:
        return self._spread(np.ones(self.values.size, bool), np.dtype(bool))

    @property
    def stored(self) -> int:
        return self.values.size

    def arrays(self) -> dict[str, Array]:
        return {"values": self.values, "indices": self.indices}

    @property
    def settings(self) -> Settings:
        return {"n": self.n, "m": self.m}

    def _spread(self, values: Array, kind: np.dtype[np.generic]) -> Array:
        out, columns = np.zeros(matrix_shape(self.shape), kind), self.columns
        np.put_along_axis(out, columns, values.reshape(columns.shape), axis=1)
        return as_weight(out, self.shape)


def along_inputs(array: Array) -> Array:
    """Return a tensor as a matrix whose rows run over (k_h, k_w, c_in)."""
    if array.ndim == 4:
        array = array.transpose(0, 2, 3, 1)
    return array.reshape(matrix_shape(array.shape))


def as_weight(matrix: Array, shape: Shape) -> Array:
    """The reverse of `along_inputs`."""
    if len(shape) != 4:
        return matrix.reshape(shape)
    c_out, c_in, k_h, k_w = shape
    return np.ascontiguousarray(matrix.reshape(c_out, k_h, k_w, c_in).transpose(0, 3, 1, 2))


def _slots(width: int, n: int, m: int) -> int:
    """Return the slots of a row: n in each full group, at most n in a shorter last one."""
    return width // m * n + min(n, width % m)


def _counts(stored: Array, m: int) -> Array:
    """Return how many entries of each group are stored: uint8 (rows, ⌈width / m⌉)."""
    rows, width = stored.shape
    counts = np.zeros((rows, -(-width // m) * m), np.uint8)
    counts[:, :width] = stored
    while m > 1:
        counts = counts[:, ::2] + counts[:, 1::2]
        m //= 2
    return counts


def _choices(stored: Array, item_bytes: int) -> dict[tuple[int, int], int]:
    """Return (n, m) → bytes, with the least n that holds what is stored, for every m."""
    rows, width = stored.shape
    out = {}
    for m in SIZES:
        n = max(1, int(_counts(stored, m).max(initial=0)))
        slots = rows * _slots(width, n, m)
        out[n, m] = slots * item_bytes + stream_bytes(slots, m.bit_length() - 1)
    return out


def _is_exact(stored: Array, pair: tuple[int, int]) -> bool:
    """Tell whether every slot of N:M is taken by a stored entry."""
    rows, width = matrix_shape(stored.shape)
    return int(np.count_nonzero(stored)) == rows * _slots(width, *pair)


def _filled(stored: Array, n: int, m: int) -> Array:
    """Return which entries have a slot: those stored, and from the end of a group what fills it up to its n slots."""
    rows, width = stored.shape
    groups = -(-width // m)
    spare = np.zeros((rows, groups * m), bool)
    spare[:, :width] = ~stored
    spare = spare.reshape(rows, groups, m)
    need = np.minimum(n, np.minimum(m, width - m * np.arange(groups))) - _counts(stored, m).astype(np.int64)
    if need.any():
        for place in reversed(range(m)):
            taken = spare[:, :, place] & (need > 0)
            need -= taken
            spare[:, :, place] &= ~taken
    return ~spare.reshape(rows, groups * m)[:, :width]


register(NMTensor)
