"""Files that a page saves: bytes go to the browser as they are and become a download there."""

from pathlib import Path

import anywidget
import ipywidgets
import traitlets

_STATIC = Path(__file__).parent / "_static"


class _Saver(anywidget.AnyWidget):
    """Saves `content` as `name` each time `version` has grown; the page says which version it has `taken`."""

    _esm = _STATIC / "download.js"
    content = traitlets.Bytes(b"").tag(sync=True)
    name = traitlets.Unicode("").tag(sync=True)
    kind = traitlets.Unicode("").tag(sync=True)
    version = traitlets.Int(0).tag(sync=True)
    taken = traitlets.Int(0).tag(sync=True)


class Download:
    """Saves files in the browser; nothing is on the page before the first."""

    def __init__(self) -> None:
        self.widget = ipywidgets.Box()
        self.widget.layout.display = "none"
        self._saver: _Saver | None = None

    def save(self, name: str, content: bytes, kind: str = "application/octet-stream") -> None:
        """Let the browser save `content` as a file called `name`.

        Args:
            name: of the file, with its ending.
            content: the bytes.
            kind: media type.
        """
        if self._saver is None:
            self._saver = _Saver(name=name, content=content, kind=kind, version=1)
            self._saver.observe(lambda change: self._forget(change["new"]), names="taken")
            self.widget.children = [self._saver]
            return
        with self._saver.hold_sync():
            self._saver.name, self._saver.content, self._saver.kind = name, content, kind
            self._saver.version += 1

    def _forget(self, taken: int) -> None:
        """Let the bytes go, which the browser has."""
        if self._saver is not None and taken == self._saver.version:
            self._saver.content = b""
