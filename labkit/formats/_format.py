"""What every format is: a frozen value that holds one tensor in some packed form, and the table of all formats.

A format is a subclass of `Format` in a file of its own in this folder, registered by `register(…)` at its end.
"""

import importlib
import math
import pkgutil
from abc import ABC, abstractmethod
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, ClassVar, Self, TypeVar

import numpy as np
from numpy.typing import NDArray

from labkit.core.errors import FileFormatError, unknown_name

Array = NDArray[Any]
Shape = tuple[int, ...]

Settings = Mapping[str, int]

NO_SETTINGS: Settings = MappingProxyType({})
MOST_ENTRIES = 1 << 28  # of one tensor when it is unpacked: a small file must not ask for all memory
MOST_DIMENSIONS = 8
VALUE_TYPES = tuple(np.dtype(kind) for kind in ("f4", "f8", "f2", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "?"))


@dataclass(frozen=True, eq=False)
class Format(ABC):
    """One tensor in packed form; frozen, made by `pack` or `from_arrays`.

    Attributes:
        shape: of the unpacked array.
        kind: name of the format, in files and in `formats()`.
        lossless: whether `unpack` returns the packed array bit for bit.
        has_pattern: whether it knows which entries are stored and which are left out as zeros.
    """

    kind: ClassVar[str]
    lossless: ClassVar[bool] = True
    has_pattern: ClassVar[bool] = False
    shape: Shape

    @classmethod
    @abstractmethod
    def from_arrays(cls, shape: Shape, arrays: Mapping[str, Array], settings: Settings = NO_SETTINGS) -> Self:
        """Rebuild a value from what `arrays` and `settings` returned, checking every entry.

        Raises:
            FileFormatError: the arrays are not what `pack` makes of any array of that shape.
        """

    @abstractmethod
    def unpack(self) -> Array:
        """Return the tensor as an ordinary array of `shape`."""

    @abstractmethod
    def arrays(self) -> dict[str, Array]:
        """Return the arrays that a file holds, by name."""

    @property
    def settings(self) -> Settings:
        """Whole numbers that say how to read the arrays, such as bits a code; kept in the file's header."""
        return NO_SETTINGS

    @property
    def stored(self) -> int:
        """How many entries are stored, zeros among them or not; what is left out as zero does not count."""
        return math.prod(self.shape)

    @property
    def packed_bytes(self) -> int:
        """Bytes of all arrays, without any header."""
        return sum(array.nbytes for array in self.arrays().values())


@dataclass(frozen=True, eq=False)
class PlainFormat(Format):
    """A lossless format of any array: what `smallest` chooses among."""

    @classmethod
    @abstractmethod
    def pack(cls, array: Array, keep: Array | None = None) -> Self:
        """Pack an array.

        Args:
            array: any shape, of a type in `VALUE_TYPES`.
            keep: bool, of the same shape: the entries to store, which must hold all that are not +0. None stores
                exactly those whose bits are not all zero, so -0.0 and denormal numbers survive.
        """

    @classmethod
    @abstractmethod
    def size(cls, stored: Array, item_bytes: int, exact: bool = False) -> int | None:
        """Return `packed_bytes` of an array, without packing it; None where `exact` asks for what the format cannot do.

        Args:
            stored: bool, of the array's shape: the entries to store.
            item_bytes: of one entry.
            exact: whether `pattern` must give back just these, and no zero beside them.
        """

    @abstractmethod
    def pattern(self) -> Array:
        """Return which entries are stored: bool, of `shape`."""


_FORMATS: dict[str, type[Format]] = {}
_imported = False
F = TypeVar("F", bound=type[Format])


def register(cls: F) -> F:
    """Put a format into the table; called once, at the end of its file.

    Raises:
        ValueError: the name is taken.
    """
    if cls.kind in _FORMATS:
        raise ValueError(f"format {cls.kind!r} is registered twice")
    _FORMATS[cls.kind] = cls
    return cls


def formats() -> dict[str, type[Format]]:
    """Return every format by its `kind`, in alphabetic order."""
    global _imported
    if not _imported:
        package = importlib.import_module("labkit.formats")
        for module in pkgutil.iter_modules(package.__path__, "labkit.formats."):
            if not module.name.rpartition(".")[2].startswith("_"):
                importlib.import_module(module.name)
        _imported = True
    return dict(sorted(_FORMATS.items()))


def smallest(array: Array, candidates: Sequence[str] = (), keep: Array | None = None) -> PlainFormat:
    """Pack an array in the lossless form that has the fewest bytes; on a tie, in the first by name.

    Args:
        array: any shape.
        candidates: kinds to choose among; none means all lossless ones.
        keep: entries to store (see `PlainFormat.pack`); with it only formats that remember the pattern are chosen.

    Raises:
        UnknownNameError: a candidate is no lossless format, or remembers no pattern where `keep` is given.
        ValueError: no candidate can remember this `keep`.
    """
    known = {kind: cls for kind, cls in formats().items() if issubclass(cls, PlainFormat) and (keep is None or cls.has_pattern)}
    for kind in candidates:
        if kind not in known:
            raise unknown_name("lossless format" if keep is None else "lossless format with a pattern", kind, known)
    stored = not_zero_bits(array) if keep is None else keep
    sizes = {kind: known[kind].size(stored, array.itemsize, exact=keep is not None) for kind in candidates or known}
    able = {kind: size for kind, size in sizes.items() if size is not None}
    if not able:
        raise ValueError(f"none of the formats {', '.join(sizes)} can hold exactly this pattern: leave `keep` out or allow another")
    return known[min(able, key=lambda kind: able[kind])].pack(array, keep)


def not_zero_bits(array: Array) -> Array:
    """Return where the bits of an entry are not all zero: like `array != 0`, but true for -0.0 (and for NaN)."""
    if array.dtype.kind != "f":
        return np.asarray(array != 0)
    return np.asarray(np.ascontiguousarray(array).view(f"u{array.itemsize}").reshape(array.shape) != 0)


def stored_entries(array: Array, keep: Array | None) -> Array:
    """Return which entries `pack` stores, as a flat bool array.

    Raises:
        ValueError: `keep` has another shape or leaves out an entry that is not +0.
        TypeError: the array's type is not one that a file can hold.
    """
    if array.dtype not in VALUE_TYPES:
        raise TypeError(f"an array of type {array.dtype} cannot be packed: convert it to one of {', '.join(map(str, VALUE_TYPES))}")
    full = not_zero_bits(array)
    if keep is None:
        return full.ravel()
    if keep.shape != array.shape or keep.dtype != bool:
        raise ValueError(f"keep must be bool of shape {array.shape}, got {keep.dtype} of {keep.shape}")
    if (full & ~keep).any():
        raise ValueError("keep leaves out entries that are not zero: multiply the array by it first")
    return keep.ravel()


def index_type(largest: int) -> np.dtype[Any]:
    """Return the smallest unsigned type that holds `largest`."""
    return np.min_scalar_type(largest)


def matrix_shape(shape: Shape) -> tuple[int, int]:
    """Return rows and columns of a tensor seen as a matrix: (c_out, all the rest); a scalar is one row of one column."""
    return (shape[0], math.prod(shape[1:])) if shape else (1, 1)


def checked_shape(shape: Any) -> Shape:
    """Return a shape read from a file as a tuple.

    Raises:
        FileFormatError: it is not a list of few, not too large whole numbers.
    """
    fine = isinstance(shape, list | tuple) and len(shape) <= MOST_DIMENSIONS
    if not fine or not all(isinstance(n, int) and not isinstance(n, bool) and 0 <= n <= MOST_ENTRIES for n in shape):
        raise FileFormatError(f"a shape must be at most {MOST_DIMENSIONS} whole numbers from 0 to {MOST_ENTRIES}, got {str(shape)[:80]}")
    if math.prod(shape) > MOST_ENTRIES:
        raise FileFormatError(f"a tensor must have at most {MOST_ENTRIES} entries, got shape {tuple(shape)}")
    return tuple(shape)


def checked_arrays(kind: str, arrays: Mapping[str, Array], *names: str) -> list[Array]:
    """Return the arrays called `names`, each flat.

    Raises:
        FileFormatError: one is missing, has more dimensions or there are others.
    """
    if set(arrays) != set(names):
        raise FileFormatError(f"a {kind} tensor must hold {', '.join(names)}; got {', '.join(sorted(arrays)) or 'nothing'}")
    for name in names:
        if arrays[name].ndim != 1:
            raise FileFormatError(f"{name} of a {kind} tensor must be flat, got shape {arrays[name].shape}")
    return [arrays[name] for name in names]


def checked_settings(kind: str, settings: Settings, **allowed: Collection[int]) -> list[int]:
    """Return the settings in the order of `allowed`, name → values that may be.

    Raises:
        FileFormatError: one is missing, too much or not allowed.
    """
    if set(settings) != set(allowed):
        raise FileFormatError(
            f"a {kind} tensor must have the settings {', '.join(allowed) or '(none)'}; got {', '.join(map(str, settings)) or 'none'}"
        )
    for name, values in allowed.items():
        if type(settings[name]) is not int or settings[name] not in values:
            said = f"{values[0]} to {values[-1]}" if isinstance(values, range) else " or ".join(map(str, values))
            raise FileFormatError(f"the setting {name} of a {kind} tensor must be {said}, got {str(settings[name])[:40]}")
    return [settings[name] for name in allowed]


def checked_type(kind: str, name: str, array: Array, *types: np.dtype[Any]) -> None:
    """Raise `FileFormatError` unless the array's type is one of `types`."""
    if array.dtype not in types:
        raise FileFormatError(f"{name} of a {kind} tensor must be {' or '.join(map(str, types))}, got {array.dtype}")
