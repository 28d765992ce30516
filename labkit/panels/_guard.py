"""Every exception in a callback becomes a sentence: in Voilà, tracebacks and prints vanish without a trace."""

import functools
import html
import logging
from collections.abc import Callable
from typing import ParamSpec

import ipywidgets

from labkit.core.errors import LabkitError

P = ParamSpec("P")
_log = logging.getLogger("labkit.panels")


class Status:
    """The status line of a lab: one sentence that says what is going on, or what went wrong and what to do."""

    def __init__(self) -> None:
        self.widget = ipywidgets.HTML()
        self.widget.add_class("lk-status")
        self.say("")

    def say(self, sentence: str) -> None:
        """Show a sentence."""
        self._show(sentence, "status", "is-info")

    def fail(self, error: BaseException) -> None:
        """Show what went wrong; what nobody foresaw is logged with its traceback, and shown without it."""
        if isinstance(error, LabkitError):
            self._show(str(error), "alert", "is-error")
            return
        _log.error("a callback failed", exc_info=error)
        sentence = f"Something in this lab failed ({type(error).__name__}: {error}). Your settings are kept; change one, or press Reset."
        self._show(sentence, "alert", "is-error")

    def _show(self, sentence: str, role: str, kind: str) -> None:
        text = html.escape(sentence[:400]) or "&nbsp;"
        self.widget.value = f'<p class="{kind}" role="{role}" aria-live="polite">{text}</p>'


def guarded(status: Status, callback: Callable[P, None]) -> Callable[P, None]:
    """Return `callback` with its exceptions turned into a sentence in the status line."""

    @functools.wraps(callback)
    def call(*args: P.args, **kwargs: P.kwargs) -> None:
        try:
            callback(*args, **kwargs)
        except Exception as error:
            status.fail(error)

    return call
