"""Where kernels cannot be forked, one waits for the next visitor."""

import asyncio
import json
import logging
import re
import sys
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace

import pytest
from jupyter_client.session import Session
from jupyter_server._tz import utcnow

from benchmarks import _browser
from labkit.serve import _spare
from labkit.serve._kernels import LabKernelManager
from labkit.serve._spare import Spare
from tests.serve.test_app import below, wait_until

TOY_LABS = Path(__file__).resolve().parents[1] / "browser" / "toy_labs"
WITHOUT_FORKS = (
    "import sys; from pathlib import Path; from labkit.serve import _fork, _preload, _spare, app\n"
    "_fork.forks_safely, _spare.PAUSE_S = lambda: False, 0.5\n"
    "_spare.LOAD = 'import time; time.sleep(3)'\n"
    f"app.serve(None, port=int(sys.argv[1]), open_browser=False, folder=Path({str(TOY_LABS)!r}))"
)


def run(work):
    """Run a coroutine in a thread of its own: Playwright's event loop may be running in this one."""
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(asyncio.run, work).result()


class Client:
    """Of a kernel that does at once what it is asked."""

    def __init__(self, asked):
        self.asked, self.session = asked, Session()
        self.managers, self.first_name = self.session, self.session.session

    def start_channels(self):
        assert self.session.session != self.first_name, "two lines of one name: the kernel would answer only one of them"
        assert self.managers.session == self.first_name, "the kernel's manager keeps its own"
        self.asked.append("start")

    def stop_channels(self):
        self.asked.append("stop")

    async def wait_for_ready(self, timeout):
        self.asked.append("ready")

    async def execute(self, code, **options):
        self.asked.append(code)


class Manager:
    """Starts kernels that are only names."""

    def __init__(self):
        self.started, self.asked, self.full, self.living = [], [], False, True
        self.told, self.fails = [], False

    def is_full(self):
        return self.full

    async def start_lab(self, kernel_id, told):
        self.started.append(kernel_id)
        self.told.append(told)
        if self.fails:
            await asyncio.sleep(0.02)
            raise RuntimeError("no kernel today")
        return SimpleNamespace(client=lambda: Client(self.asked))

    async def alive(self, kernel_id):
        return self.living


@pytest.fixture
def manager(monkeypatch):
    monkeypatch.setattr(_spare, "PAUSE_S", 0.0)
    return Manager()


def spare_of(manager):
    return Spare(manager, {"WHERE": "here"}, logging.getLogger("test"))


def test_the_next_is_started_when_one_is_taken(manager):
    async def work():
        spare = spare_of(manager)
        spare.begin()
        await asyncio.sleep(0.05)
        first, future = await spare.take()
        await asyncio.sleep(0.05)
        return first, (await future) is not None, spare.kernel_id

    first, has_manager, second = run(work())
    assert manager.started == [first, second]
    assert has_manager
    assert manager.asked == ["start", "ready", _spare.LOAD, "stop"] * 2


def test_a_kernel_is_told_where_it_is_and_the_next_one_waits_a_little(manager, monkeypatch):
    async def work():
        spare = spare_of(manager)
        spare.begin()
        await asyncio.sleep(0.05)
        monkeypatch.setattr(_spare, "PAUSE_S", 60.0)
        first, _ = await spare.take()
        await asyncio.sleep(0.05)
        assert (await spare.take(), manager.started) == (None, [first]), "while one is to come, no other is begun"
        monkeypatch.setattr(_spare, "PAUSE_S", 0.0)
        assert await spare.take() is None
        await asyncio.sleep(0.05)
        assert manager.started == [first]

    run(work())
    assert manager.told == [{"WHERE": "here"}]


def test_after_the_end_none_is_started(manager):
    async def work():
        spare = spare_of(manager)
        spare.begin(0.05)
        await asyncio.sleep(0)
        spare.close()
        await asyncio.sleep(0.2)

    run(work())
    assert manager.started == []


def test_one_that_cannot_be_started_is_told_of_and_not_handed_out(manager, caplog):
    async def work():
        spare = spare_of(manager)
        manager.fails = True
        spare.begin()
        await asyncio.sleep(0.05)
        return spare.kernel_id

    assert run(work()) is None
    assert [record.message for record in caplog.records] == ["no kernel could be started ahead"]


def test_one_that_fails_in_a_visitors_hands_is_the_visitors_and_the_next_one_stays(manager, caplog):
    async def work():
        spare = spare_of(manager)
        manager.fails = True
        spare.begin()
        while not manager.started:
            await asyncio.sleep(0)
        manager.fails = False
        taken, future = await spare.take()
        with pytest.raises(RuntimeError, match="no kernel today"):
            await future
        await asyncio.sleep(0.05)
        return taken, spare.kernel_id

    taken, after = run(work())
    assert manager.started == [taken, after]
    assert caplog.records == []


def test_one_that_has_died_is_not_handed_out(manager):
    async def work():
        spare = spare_of(manager)
        spare.begin()
        await asyncio.sleep(0.05)
        manager.living = False
        taken = await spare.take()
        await asyncio.sleep(0.05)
        return taken, spare.kernel_id

    taken, after = run(work())
    assert taken is None
    assert after == manager.started[1]


def test_none_is_started_without_memory_and_the_next_visitor_makes_it_try_again(manager):
    async def work():
        spare = spare_of(manager)
        manager.full = True
        spare.begin()
        await asyncio.sleep(0.05)
        assert manager.started == []
        manager.full = False
        assert await spare.take() is None
        await asyncio.sleep(0.05)
        return spare.kernel_id

    assert manager.started == [run(work())]


def test_the_spare_kernel_is_not_ended_for_being_idle():
    ended = []

    class Culling(LabKernelManager):
        async def is_alive(self, kernel_id):
            return True

        async def shutdown_kernel(self, kernel_id, now=False, restart=False):
            ended.append(kernel_id)

    kernels = Culling(cull_idle_timeout=0, cull_alone_timeout=100)
    old = SimpleNamespace(last_activity=utcnow() - timedelta(seconds=5000), execution_state="idle")
    kernels._kernels, kernels._kernel_connections = {"spare": old, "left": old}, {}
    kernels.spare = SimpleNamespace(kernel_id="spare")
    for name in ("spare", "left"):
        run(kernels.cull_kernel_if_idle(name))
    assert ended == ["left"]


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="reads the process table from /proc")
def test_a_visitor_gets_the_kernel_that_was_there_before(tmp_path):
    command = [sys.executable, "-c", WITHOUT_FORKS, "{port}"]
    with _browser.running_server(tmp_path, tmp_path / "log.txt", command=command) as server:
        assert wait_until(lambda: kernels_below(server.process.pid), 60)
        waiting = kernels_below(server.process.pid)
        page = urllib.request.urlopen(server.lab("01_toy"), timeout=60).read().decode()
        name = json.loads(re.search(r'id="jupyter-config-data"[^>]*>(.*?)</script>', page, re.S).group(1))["kernelId"]
        assert waiting == [name]
        assert "toy" in page
        assert wait_until(lambda: len(kernels_below(server.process.pid)) == 2, 60), (
            kernels_below(server.process.pid),
            name,
            server.log.read_text(),
        )
    assert "Traceback" not in (tmp_path / "log.txt").read_text()


def kernels_below(pid):
    """Names of the plain kernels that a process has started."""
    found = []
    for child in below(pid):
        try:
            found += re.findall(r"kernel-([\w-]+)\.json", Path(f"/proc/{child}/cmdline").read_text())
        except OSError:
            continue  # it has ended meanwhile
    return found
