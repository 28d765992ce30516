"""The page around a panel: its theme, its address, what the browser remembers, and clicks on what is plain HTML.

One invisible widget does all of it, since each further widget makes a page open later. Texts that come from the page are as
hostile as anything from outside: whoever listens checks them.
"""

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import anywidget
import traitlets

from labkit.core.progress import Progress
from labkit.panels._ahead import the_kernel

_STATIC = Path(__file__).parent / "_static"
LONGEST_WAIT_S = 10.0
LONGEST_TEXT = 100_000


class Page(anywidget.AnyWidget):
    """What the kernel and the page tell each other.

    Attributes:
        figures: how many Bokeh figures there are to wait for.
        dark: whether the page is dark.
        opened: grows by one each time a page has rendered its figures: what was drawn before is sent to it again.
        lab: name under which the browser keeps what is remembered.
        link, written: what the address must say after its `#`, and how often it was told; JupyterLab's address is left alone.
        kept: what the browser must remember, JSON; it tells what it remembers in a message `kept`.
        said: the last thing for a screen reader to say.
    """

    _esm = _STATIC / "page.js"
    figures = traitlets.Int(0).tag(sync=True)
    dark = traitlets.Bool(False).tag(sync=True)
    opened = traitlets.Int(0).tag(sync=True)
    lab = traitlets.Unicode("").tag(sync=True)
    link = traitlets.Unicode("").tag(sync=True)
    written = traitlets.Int(0).tag(sync=True)
    kept = traitlets.Unicode("").tag(sync=True)
    said = traitlets.Unicode("").tag(sync=True)

    def __init__(self, **traits: Any) -> None:
        super().__init__(**traits)
        self._listeners: dict[str, Callable[[str], None]] = {}
        self._is_here = threading.Event()
        self.on_msg(self._heard)
        self.observe(lambda _: self._is_here.set(), names="opened")

    def listen(self, what: str, listener: Callable[[str], None]) -> None:
        """Call `listener` with the text of each message `what`: a click on `<button data-lk-do="what" data-lk-value="text">`.

        The page itself sends `hash` (the address's, when it opens and when it changes), `kept` and `copied`.
        """
        self._listeners[what] = listener

    def write(self, link: str) -> None:
        """Make the address say `link` after its `#`."""
        with self.hold_sync():
            self.link = link
            self.written += 1

    def wait(self, progress: Progress) -> None:
        """Wait until the page is there and has said what its address asks for, or too long.

        What is measured before is of no use if the address asks for something else, and keeps the page from opening.
        """
        for _ in range(int(LONGEST_WAIT_S / 0.05)):
            if self._is_here.is_set() or the_kernel() is None:  # a test, or a script: nobody will come
                return
            progress.pause(0.05)
        self._is_here.set()

    def _heard(self, _widget: object, content: object, _buffers: object) -> None:
        if not isinstance(content, dict):
            return
        listener, text = self._listeners.get(str(content.get("do"))), content.get("value")
        if listener is not None and isinstance(text, str):
            listener(text[:LONGEST_TEXT])
