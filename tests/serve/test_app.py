"""The server as a process: how it starts, how it ends, and what it leaves behind."""

import os
import signal
import socket
import time
import urllib.request
from pathlib import Path

import pytest

from benchmarks import _browser
from labkit.core.errors import ConfigError, LabkitError, UnknownNameError
from labkit.serve._fork import forks_safely
from labkit.serve.app import serve

TOY_LABS = Path(__file__).resolve().parents[1] / "browser" / "toy_labs"


def below(pid: int) -> list[int]:
    """Process ids of the children of `pid`, of theirs, and so on."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except OSError:
            continue  # it has ended meanwhile
        if int(fields[1]) == pid and fields[0] != "Z":
            child = int(stat.parent.name)
            found += [child, *below(child)]
    return found


def running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def wait_until(condition, seconds):
    for _ in range(int(seconds / 0.1)):
        if condition():
            return True
        time.sleep(0.1)
    return condition()


def test_a_port_in_use_is_one_sentence_before_anything_starts():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(LabkitError, match=f"^port {port} cannot be used .*: stop what runs there, or choose another with --port$"):
            serve(None, port=port, open_browser=False, folder=TOY_LABS)


@pytest.mark.parametrize("port", [0, -1, 65536])
def test_what_is_no_port_is_refused(port):
    with pytest.raises(ConfigError, match=rf"port must be in \[1, 65535\], got {port}"):
        serve(None, port=port, open_browser=False, folder=TOY_LABS)


@pytest.mark.parametrize("path", ["prefix/", "//", "/a b/", "/a?b", "/../x\n", "http://elsewhere/"])
def test_what_is_no_path_is_refused(path):
    with pytest.raises(ConfigError, match=r"^base_url must be a path"):
        serve(None, port=0, open_browser=False, folder=TOY_LABS, base_url=path)


def test_an_unknown_lab_is_refused():
    with pytest.raises(UnknownNameError, match="did you mean '01_toy'"):
        serve("01_tyo", port=0, open_browser=False, folder=TOY_LABS)


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="reads the process table from /proc")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_what_it_started_ends_with_the_server(number, tmp_path):
    with _browser.running_server(TOY_LABS, tmp_path / "log.txt") as server:
        urllib.request.urlopen(server.lab("01_toy"), timeout=60).read()
        started = below(server.process.pid)
        assert len(started) == (2 if forks_safely() else 1), server.log.read_text()  # the zygote and a kernel
        os.kill(server.process.pid, number)
        code = server.process.wait(20)
        assert code == (-signal.SIGKILL if number == signal.SIGKILL else 0)
        assert wait_until(lambda: not any(map(running, started)), 10)
    assert "Traceback" not in server.log.read_text()
