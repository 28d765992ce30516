"""Panels that are built before anybody asks, in the process whose copies become kernels.

Building one takes a third of a second, nearly all of it in Bokeh. Built ahead, a panel has done all but what needs a kernel
or a thread: its worker waits, its widgets are unknown to the page, and nothing of it was sent.
"""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import ipywidgets
from ipywidgets.widgets.widget import _instances

if TYPE_CHECKING:
    from labkit.panels._panel import Panel

_built: dict[Callable[[], Any], tuple[Any, dict[str, Any]]] = {}
_is_building = False


@contextmanager
def building() -> Iterator[None]:
    """Keep the panels that are shown inside for a later `shown`, which may be in a copy of this process."""
    global _is_building
    _is_building = True
    try:
        yield
    finally:
        _is_building = False


def is_building() -> bool:
    """Whether panels are being built ahead: then no thread may start."""
    return _is_building


def shown(kind: "Callable[[], Panel[Any]]") -> ipywidgets.Widget:
    """Return a panel's page as a widget, to be a cell's last line: a new one, or the one that was built ahead.

    Args:
        kind: the panel's class.
    """
    if _is_building:
        known = set(_instances)
        made = kind()
        widget: ipywidgets.Widget = made.widget
        _built[kind] = (made, {name: _instances.pop(name) for name in list(_instances) if name not in known})
        return widget
    if kind in _built:
        made, widgets = _built.pop(kind)
        _instances.update(widgets)  # a page that opens is told of all that are in there, so that other labs' are not
        for each in widgets.values():
            each.comm.kernel = the_kernel()  # else changes are not sent: there was none when it was made
        made.worker.begin()
    else:
        made = kind()
    return made.widget


def the_kernel() -> Any:
    """Return the notebook's kernel that runs this code, None in a script or a test."""
    found = sys.modules.get("IPython")
    shell: Any = found.get_ipython() if found is not None else None
    return getattr(shell, "kernel", None)
