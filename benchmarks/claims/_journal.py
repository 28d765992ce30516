"""A file to which raw results are appended as they arrive, so that a run that was killed goes on where it was.

One line of JSON for each case. A line counts only for the code and the machine that it was measured with.
"""

import hashlib
import json
import os
from pathlib import Path
from typing import Any

import labkit

_ROOT = Path(labkit.__file__).parent
_NOT_MEASURED = {"panels", "serve", "checks"}  # what shows the numbers; changing it changes none


class Journal:
    """The raw results of one lab.

    Args:
        path: the file; made when the first result arrives. A last line that was cut off is dropped.
        stamp: of code and machine, see `stamp`.
    """

    def __init__(self, path: Path, stamp: str) -> None:
        self._path, self._stamp = path, stamp
        self._values: dict[str, dict[str, Any]] = {}
        if path.exists():
            raw = path.read_bytes()
            whole = raw[: raw.rfind(b"\n") + 1]
            if len(whole) < len(raw):
                os.truncate(path, len(whole))
            for line in whole.splitlines():
                entry = json.loads(line)
                if entry["stamp"] == stamp:
                    self._values[entry["identity"]] = entry["value"]

    def get(self, identity: str) -> dict[str, Any] | None:
        """Return what was measured of a case, None if it was not."""
        return self._values.get(identity)

    def add(self, identity: str, name: str, value: dict[str, Any]) -> None:
        """Append a result; once this returns, it survives a kill."""
        line = json.dumps({"stamp": self._stamp, "identity": identity, "name": name, "value": value}, ensure_ascii=False)
        self._path.parent.mkdir(parents=True, exist_ok=True)
        with self._path.open("a", encoding="utf-8") as file:
            file.write(line + "\n")
            file.flush()
            os.fsync(file.fileno())
        self._values[identity] = value

    def delete(self) -> None:
        """Forget everything: the run is complete, and the next one measures anew."""
        self._path.unlink(missing_ok=True)


def stamp(host: str) -> str:
    """Return the hash of a machine's facts and of labkit's Python files, those aside that only show numbers."""
    digest = hashlib.sha256(host.encode())
    for path in sorted(_ROOT.rglob("*.py")):
        if path.relative_to(_ROOT).parts[0] not in _NOT_MEASURED:
            digest.update(path.relative_to(_ROOT).as_posix().encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()[:16]
