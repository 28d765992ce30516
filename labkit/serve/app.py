"""Serve the labs on this machine: one page per lab, one kernel per visitor."""

import os
import re
import sys
import threading
import webbrowser
from pathlib import Path
from socket import socket
from typing import Any

from labkit.core.errors import ConfigError, LabkitError
from labkit.labs import find_lab, lab_names, labs_folder

_HOST = "127.0.0.1"
_LAST_PORT = 65535
_PATH = re.compile(r"/([\w.~%@+-]+/)*", re.ASCII)


def serve(lab: str | None, *, port: int = 8866, open_browser: bool = True, folder: Path | None = None, base_url: str = "/") -> None:
    """Serve the labs at http://127.0.0.1:`port``base_url` until Ctrl-C, to this machine only.

    Args:
        lab: the lab that `/` leads to, by full name or number; None for the home lab, or the first where there is none.
        port: the port to listen on.
        open_browser: whether to open the page in the person's browser.
        folder: the folder of notebooks to serve; None for the labs that came with labkit.
        base_url: path under which everything is, for a proxy that hands requests on with their whole path: "/user/ada/labkit/".

    Raises:
        UnknownNameError: there is no such lab.
        ConfigError: `port` is no port number, or `base_url` no path.
        LabkitError: the port is taken or not allowed, or there are no labs.
    """
    base_url = _checked_path(base_url)
    where = labs_folder() if folder is None else folder.resolve()
    name = find_lab(lab, lab_names(where))
    sockets = _bind(port)
    from labkit.serve import _settings  # slow to import: a wrong name or a taken port is told at once

    _settings.prepare_environment(os.environ)
    from labkit.serve._server import LabServer

    url = f"http://{_HOST}:{port}{base_url}"

    def ready() -> None:
        sys.stdout.write(f"labkit: {name} is at {url} (Ctrl-C ends it)\n")
        sys.stdout.flush()
        if open_browser:
            threading.Thread(target=webbrowser.open, args=(url,), daemon=True).start()

    server = LabServer.instance()  # the one whose log Voilà's parts write to
    try:
        server.prepare(where, name, base_url)
        server.serve(sockets, ready)
    finally:
        LabServer.clear_instance()


def behind_jupyter() -> dict[str, Any]:
    """Return how jupyter-server-proxy starts this server at `labkit/` of a Jupyter server; Binder's launch link leads there."""
    command = [sys.executable, "-m", "labkit", "lab", "--no-browser", "--port", "{port}", "--base-url", "{base_url}labkit/"]
    entry = {"title": "labkit", "enabled": True}
    return {"command": command, "absolute_url": True, "timeout": 120, "new_browser_tab": True, "launcher_entry": entry}


def _checked_path(base_url: str) -> str:
    """Return the path with a slash at its end.

    Raises:
        ConfigError: it does not begin with a slash, or has parts that no URL has.
    """
    whole = base_url if base_url.endswith("/") else f"{base_url}/"
    if not _PATH.fullmatch(whole):
        raise ConfigError(f'base_url must be a path as it stands in a URL, such as "/" or "/user/ada/labkit/", got {base_url!r}')
    return whole


def _bind(port: int) -> list[socket]:
    """Take the port, before anything else is started.

    Raises:
        ConfigError: it is no port number.
        LabkitError: it is taken, or this person may not use it.
    """
    if not 1 <= port <= _LAST_PORT:
        raise ConfigError(f"port must be in [1, {_LAST_PORT}], got {port}")
    from tornado.netutil import bind_sockets

    try:
        return bind_sockets(port, address=_HOST)
    except OSError as error:
        raise LabkitError(f"port {port} cannot be used ({error.strerror}): stop what runs there, or choose another with --port") from error
