"""Serve the labs on this machine: one page per lab, one kernel per visitor."""

import os
import sys
import threading
import webbrowser
from pathlib import Path
from socket import socket

from labkit.core.errors import ConfigError, LabkitError
from labkit.serve._folder import find_lab, lab_names, labs_folder

_HOST = "127.0.0.1"
_LAST_PORT = 65535


def serve(lab: str | None, *, port: int = 8866, open_browser: bool = True, folder: Path | None = None) -> None:
    """Serve the labs at http://127.0.0.1:`port`/ until Ctrl-C, to this machine only.

    Args:
        lab: the lab that `/` leads to, by full name or number; None for the home lab, or the first where there is none.
        port: the port to listen on.
        open_browser: whether to open the page in the person's browser.
        folder: the folder of notebooks to serve; None for the labs that came with labkit.

    Raises:
        UnknownNameError: there is no such lab.
        ConfigError: `port` is no port number.
        LabkitError: the port is taken or not allowed, or there are no labs.
    """
    where = labs_folder() if folder is None else folder.resolve()
    name = find_lab(lab, lab_names(where))
    sockets = _bind(port)
    from labkit.serve import _settings  # slow to import: a wrong name or a taken port is told at once

    _settings.prepare_environment(os.environ)
    from labkit.serve._server import LabServer

    url = f"http://{_HOST}:{port}/"

    def ready() -> None:
        sys.stdout.write(f"labkit: {name} is at {url} (Ctrl-C ends it)\n")
        sys.stdout.flush()
        if open_browser:
            threading.Thread(target=webbrowser.open, args=(url,), daemon=True).start()

    server = LabServer.instance()  # the one whose log Voilà's parts write to
    try:
        server.prepare(where, name)
        server.serve(sockets, ready)
    finally:
        LabServer.clear_instance()


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
