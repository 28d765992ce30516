"""A real browser on a real server, for the tests in tests/browser/ and for benchmarks/live.py.

The server runs in a process of its own and is ended by its id. A page keeps a record of what went wrong on it: console
errors, exceptions, requests to other hosts. Times are taken inside the page (see `_timing.js`): a driver's own clock adds
some 60 ms to every step.
"""

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

ROOT = Path(__file__).resolve().parent.parent
SHOTS = ROOT / "tests" / "browser" / "shots"
TIMING = Path(__file__).with_name("_timing.js")
WIDTHS = {"wide": (1280, 900), "narrow": (390, 844)}
READY_TIMEOUT_MS = 180_000  # a busy machine is slow, not broken

_BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
_ARGUMENTS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
_SERVE = "import sys; from pathlib import Path; from labkit.serve.app import serve; serve(None, port=int(sys.argv[1]), open_browser=False, folder=Path(sys.argv[2]), base_url=sys.argv[3])"


class NoBrowserError(RuntimeError):
    """No browser can be driven here; the message says why."""


@dataclass
class Server:
    """A running lab server.

    Attributes:
        url: of its start page, with the slash at the end.
        process: its process.
        log: the file with everything that it printed.
    """

    url: str
    process: "subprocess.Popen[bytes]"
    log: Path

    def lab(self, name: str) -> str:
        """Return the URL of a lab's page."""
        return f"{self.url}labs/{name}"


@dataclass
class Record:
    """What went wrong on a page, and whom it asked.

    Attributes:
        errors: console errors and uncaught exceptions.
        hosts: host and port of every request.
        requests: URL of every request.
    """

    errors: list[str] = field(default_factory=list)
    hosts: set[str] = field(default_factory=set)
    requests: list[str] = field(default_factory=list)

    def watch(self, page: Any) -> None:
        """Begin to record what happens on `page`."""
        page.on("console", self._console)
        page.on("pageerror", lambda error: self.errors.append(f"exception: {error}"))
        page.on("request", self._request)
        page.on("websocket", lambda socket: self.hosts.add(urlsplit(socket.url).netloc))

    def foreign(self, server: Server) -> set[str]:
        """Return the hosts that are not the server itself."""
        return self.hosts - {urlsplit(server.url).netloc, ""}

    def _console(self, message: Any) -> None:
        if message.type == "error":
            self.errors.append(f"console: {message.text} ({message.location.get('url', '')})")

    def _request(self, request: Any) -> None:
        self.requests.append(request.url)
        if urlsplit(request.url).scheme not in ("data", "blob"):
            self.hosts.add(urlsplit(request.url).netloc)


def free_port() -> int:
    """Return a port of 127.0.0.1 that nothing listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def running_server(
    folder: Path, log: Path, *, command: Sequence[str] | None = None, seconds: float = 180.0, base_url: str = "/", cwd: Path = ROOT
) -> Iterator[Server]:
    """Run a lab server until the block ends.

    Args:
        folder: of the notebooks to serve.
        log: file that gets what the server prints.
        command: what to run instead of `serve()`; "{port}" in it is replaced.
        seconds: how long it may take to answer.
        base_url: path under which it serves.
        cwd: where it runs. In the repository it runs the repository's code; elsewhere, whatever it is that `command` finds.

    Raises:
        RuntimeError: it ended or did not answer; the message holds its log.
    """
    port = free_port()
    words = (
        [sys.executable, "-c", _SERVE, str(port), str(folder), base_url]
        if command is None
        else [word.replace("{port}", str(port)) for word in command]
    )
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    if cwd == ROOT:
        environment["PYTHONPATH"] = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")]).rstrip(os.pathsep)
    with log.open("wb") as sink:
        process = subprocess.Popen(words, stdout=sink, stderr=subprocess.STDOUT, env=environment, cwd=cwd)
    server = Server(f"http://127.0.0.1:{port}{base_url}", process, log)
    try:
        _wait_for(server, seconds)
        yield server
    finally:
        end(process)


def end(process: "subprocess.Popen[bytes]", seconds: float = 15.0) -> None:
    """End a process politely, then for good."""
    if process.poll() is not None:
        return
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(seconds)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _wait_for(server: Server, seconds: float) -> None:
    for _ in range(int(seconds / 0.1)):
        if server.process.poll() is not None:
            break
        try:
            with urllib.request.urlopen(f"{server.url}pulse/0-0-0-0-0", timeout=5):
                return
        except urllib.error.HTTPError:
            return  # it answers
        except OSError:
            time.sleep(0.1)
    raise RuntimeError(f"the server does not answer at {server.url}:\n{server.log.read_text(errors='replace')}")


@contextmanager
def running_browser() -> Iterator[Any]:
    """Start the system's Chromium under Playwright until the block ends.

    Raises:
        NoBrowserError: there is none, it does not start, or Playwright is not installed.
    """
    path = _path()
    try:
        from playwright.sync_api import Error, sync_playwright
    except ImportError as error:
        raise NoBrowserError("playwright is not installed (pip install 'labkit[test]')") from error
    with sync_playwright() as driver:
        try:
            browser = driver.chromium.launch(executable_path=path, args=list(_ARGUMENTS))
        except Error as error:
            raise NoBrowserError(f"{path} does not start: {error}") from error
        yield browser
        browser.close()


def with_profile(browser: Any, folder: Path) -> Any:
    """Start the browser once more, with a profile in `folder`, and return its context; closing that ends it."""
    wide, high = WIDTHS["wide"]
    return browser.browser_type.launch_persistent_context(
        folder, executable_path=_path(), args=list(_ARGUMENTS), viewport={"width": wide, "height": high}
    )


def _path() -> str:
    """Where the browser is.

    Raises:
        NoBrowserError: there is none.
    """
    path = next((found for name in _BROWSERS if (found := shutil.which(name))), None)
    if path is None:
        raise NoBrowserError(f"none of {', '.join(_BROWSERS)} is on the PATH")
    return path


def open_lab(context: Any, url: str, record: Record | None = None) -> Any:
    """Open a lab in a new page of `context` and wait until its widgets are there.

    Returns:
        The page, with `window.labkitTiming` to measure by.
    """
    page = context.new_page()
    page.add_init_script(path=str(TIMING))
    if record is not None:
        record.watch(page)
    page.goto(url, timeout=READY_TIMEOUT_MS)
    page.wait_for_selector("body.is-ready", timeout=READY_TIMEOUT_MS)
    return page


def shot(page: Any, name: str) -> Path:
    """Save a picture of the whole page in `SHOTS` (not kept by git)."""
    SHOTS.mkdir(parents=True, exist_ok=True)
    path = SHOTS / f"{name}.png"
    page.screenshot(path=str(path), full_page=True)
    return path


def key_to_change(page: Any, target: str, key: str, watched: str, times: int = 1) -> list[float]:
    """Press a key on a control and measure, inside the page, until something has changed and was painted.

    Args:
        page: from `open_lab`.
        target: selector of the element that gets the key.
        key: as the browser names it ("ArrowRight").
        watched: selector of the element whose text, attributes or children change (a canvas: its data attributes).
        times: how many presses, each after the change of the one before.

    Returns:
        Milliseconds from the key event to the first frame after the change, one for each press.
    """
    found = []
    for _ in range(times):
        page.evaluate("([target, watched]) => labkitTiming.arm(target, watched)", [target, watched])
        page.locator(target).press(key)
        found.append(float(page.evaluate("() => labkitTiming.result()")))
    return found
