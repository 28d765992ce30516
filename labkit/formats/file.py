"""The file that labkit reads and writes: safetensors, whose metadata hold one JSON header with a digest of all bytes.

    {"digest": "sha256:…", "header": {…}, "tensors": {name: {"format": "csr", "shape": [64, 32, 3, 3]}}, "version": 1}

A format that needs to know more than the shape adds `"settings": {"bits": 4}`. Array `part` of tensor `name` is the safetensors entry `name/part`. Equal input gives equal bytes. The digest is taken of
the whole file with zeros in its own place, so a changed bit anywhere is noticed; it guards against damage, not against
malice, and whatever a file says is checked as if it were hostile. Nothing in a file is ever executed or unpickled.
"""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load as arrays_from_bytes
from safetensors.numpy import save as arrays_to_bytes

from labkit.core.errors import FileFormatError
from labkit.core.files import read_limited, write_atomic
from labkit.core.params import canonical_json
from labkit.formats._format import MOST_ENTRIES, Array, Format, checked_shape, formats

VERSION = 1
MOST_BYTES = 256 << 20
_MARK = b'\\"digest\\":\\"sha256:'  # how the digest's key looks inside the metadata's own quotes
_BLANK = "0" * 64


def to_bytes(header: Mapping[str, Any], tensors: Mapping[str, Format]) -> bytes:
    """Return the bytes of a file.

    Args:
        header: plain JSON values: what the file is and all that is not a tensor.
        tensors: name → packed value.
    """
    listing = {name: _entry(value) for name, value in tensors.items()}
    top = {"digest": f"sha256:{_BLANK}", "header": dict(header), "tensors": listing, "version": VERSION}
    parts = {f"{name}/{part}": array for name, value in tensors.items() for part, array in value.arrays().items()}
    raw = arrays_to_bytes(dict(sorted(parts.items())), metadata={"labkit": canonical_json(top)})
    at = raw.index(_MARK) + len(_MARK)
    digest = hashlib.sha256(raw).hexdigest().encode()
    return b"".join((raw[:at], digest, raw[at + len(digest) :]))


def _entry(value: Format) -> dict[str, Any]:
    """Return what the header says of a tensor; settings only where the format has any."""
    settings = {"settings": dict(value.settings)} if value.settings else {}
    return {"format": value.kind, "shape": list(value.shape)} | settings


def from_bytes(raw: bytes) -> tuple[dict[str, Any], dict[str, Format]]:
    """Return header and tensors of a file.

    Raises:
        FileFormatError: it is damaged, no file of labkit's, of another version, or says something that cannot be.
    """
    top = _top(raw)
    if top.get("version") != VERSION:
        raise FileFormatError(f"the file must be of version {VERSION}, got {str(top.get('version'))[:40]}: it needs another labkit")
    _check_digest(raw)
    header, listing = top.get("header"), top.get("tensors")
    if not isinstance(header, dict) or not isinstance(listing, dict):
        raise FileFormatError("the file's header must hold 'header' and 'tensors': it was not written by labkit")
    return header, _tensors(listing, _arrays(raw))


def write(path: Path, header: Mapping[str, Any], tensors: Mapping[str, Format]) -> None:
    """Write a file, whole or not at all; see `to_bytes`."""
    write_atomic(path, to_bytes(header, tensors))


def read(path: Path, most_bytes: int = MOST_BYTES) -> tuple[dict[str, Any], dict[str, Format]]:
    """Read a file of at most `most_bytes`.

    Raises:
        FileFormatError: it cannot be read, or see `from_bytes`; the message names the path.
    """
    raw = read_limited(path, most_bytes)
    try:
        return from_bytes(raw)
    except FileFormatError as error:
        raise FileFormatError(f"{path}: {error}") from error


def _top(raw: bytes) -> dict[str, Any]:
    """Return the JSON object in the metadata, of which nothing is trusted yet."""
    try:
        length = int.from_bytes(raw[:8], "little")
        top = json.loads(json.loads(raw[8 : 8 + length])["__metadata__"]["labkit"])
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise FileFormatError("the file is cut short, damaged or not labkit's: it has no readable header") from error
    if not isinstance(top, dict):
        raise FileFormatError("the file is not a packed network of labkit: its header is of another kind")
    return top


def _check_digest(raw: bytes) -> None:
    at = raw.find(_MARK) + len(_MARK)
    said = raw[at : at + len(_BLANK)]
    digest = hashlib.sha256()
    for piece in (raw[:at], _BLANK.encode(), raw[at + len(_BLANK) :]):
        digest.update(piece)
    if at < len(_MARK) or digest.hexdigest().encode() != said:
        raise FileFormatError("the file is damaged: its bytes do not agree with the digest in its header; fetch or save it again")


def _arrays(raw: bytes) -> dict[str, Array]:
    try:
        return {name: np.asarray(array) for name, array in arrays_from_bytes(raw).items()}
    except (SafetensorError, ValueError, KeyError, TypeError, ImportError, AttributeError) as error:
        raise FileFormatError(f"the file's tensors cannot be read ({str(error)[:120]}): it was not written by labkit") from error


def _tensors(listing: Mapping[str, Any], arrays: Mapping[str, Array]) -> dict[str, Format]:
    parts: dict[str, dict[str, Array]] = {}
    for key, array in arrays.items():
        name, _, part = key.rpartition("/")
        parts.setdefault(name, {})[part] = array
    for name in parts.keys() - listing.keys():
        raise FileFormatError(f"the tensor {name[:80]!r} is in the file but not in its header")
    out, entries, known = {}, 0, formats()
    for name, entry in listing.items():
        if not isinstance(entry, dict) or not isinstance(entry.get("format"), str) or entry["format"] not in known:
            raise FileFormatError(f"the format of the tensor {name[:80]!r} must be one of {', '.join(known)}, got {str(entry)[:80]}")
        try:
            shape = checked_shape(entry.get("shape"))
            entries += int(np.prod(shape, dtype=np.int64))
            if entries > MOST_ENTRIES:
                raise FileFormatError(f"all tensors together must have at most {MOST_ENTRIES} entries")
            settings = entry.get("settings", {})
            if not isinstance(settings, dict):
                raise FileFormatError(f"settings must be names with whole numbers, got {str(settings)[:80]}")
            out[name] = known[entry["format"]].from_arrays(shape, parts.get(name, {}), settings)
        except FileFormatError as error:
            raise FileFormatError(f"the tensor {name[:80]!r}: {error}") from error
    return out
