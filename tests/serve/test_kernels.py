"""When a kernel is ended, with a clock and kernels of our own making."""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from queue import Empty
from types import SimpleNamespace

import pytest
from jupyter_client.kernelspec import KernelSpecManager
from jupyter_server._tz import utcnow

from labkit.serve import _memory
from labkit.serve._kernels import LabClient, LabKernelManager, OwnKernelSpecManager


class Manager(LabKernelManager):
    """Holds one kernel that is only a record, and notes what was ended."""

    def hold(self, idle, pages, state="idle", lives=True):
        self._kernels = {"k": SimpleNamespace(last_activity=utcnow() - timedelta(seconds=idle), execution_state=state)}
        self._kernel_connections = {"k": pages}
        self.lives, self.ended = lives, []
        return self

    async def is_alive(self, kernel_id):
        return self.lives

    async def shutdown_kernel(self, kernel_id, now=False, restart=False):
        self.ended.append(kernel_id)


def run(work):
    """Run a coroutine in a thread of its own: Playwright's event loop may be running in this one."""
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(asyncio.run, work).result()


def ended(manager):
    run(manager.cull_kernel_if_idle("k"))
    return bool(manager.ended)


@pytest.fixture
def manager():
    return Manager(cull_idle_timeout=0, cull_alone_timeout=100)


@pytest.mark.parametrize(
    ("idle", "pages", "expected"),
    [(50, 0, False), (150, 0, True), (150, 1, False), (900, 1, False), (1100, 1, True)],
)
def test_a_kernel_lives_longer_with_its_page(manager, idle, pages, expected):
    manager.cull_idle_timeout = 1000
    assert ended(manager.hold(idle, pages)) is expected


def test_a_busy_kernel_is_left_alone_unless_its_process_is_gone(manager):
    manager.cull_idle_timeout = 1000
    assert not ended(manager.hold(5000, 0, state="busy"))
    assert ended(manager.hold(0, 1, state="busy", lives=False))


def test_alive_is_about_the_process(manager):
    assert run(manager.hold(0, 1).alive("k"))
    assert not run(manager.hold(0, 1, lives=False).alive("k"))
    assert not run(manager.alive("other"))


def test_a_visitors_kernel_is_told_of_the_visit_beside_what_the_server_knows(manager, monkeypatch):
    started = {}

    async def start_kernel(**settings):
        started.update(settings)
        manager._kernels = {settings["kernel_id"]: "its manager"}

    monkeypatch.setattr(manager, "start_kernel", start_kernel)
    monkeypatch.setenv("LABKIT_KNOWN", "before")
    assert run(manager.start_lab("k", {"SCRIPT_NAME": "/labs/01"})) == "its manager"
    assert started["kernel_id"] == "k"
    assert (started["env"]["SCRIPT_NAME"], started["env"]["LABKIT_KNOWN"]) == ("/labs/01", "before")


def test_a_kernel_of_the_same_name_elsewhere_is_not_taken(tmp_path, monkeypatch):
    other = tmp_path / "kernels" / "python3"
    other.mkdir(parents=True)
    (other / "kernel.json").write_text('{"argv": ["/usr/bin/false"], "display_name": "another", "language": "python"}')
    monkeypatch.setenv("JUPYTER_PATH", str(tmp_path))
    assert KernelSpecManager().get_kernel_spec("python3").display_name == "another"
    ours = OwnKernelSpecManager()
    assert ours.get_kernel_spec("python3").display_name != "another"
    assert list(ours.get_all_specs()) == ["python3"]


@pytest.mark.parametrize(
    ("free", "forked", "starting", "expected"),
    [
        (260, True, 0, False),
        (240, True, 0, True),
        (400, True, 1, True),
        (600, True, 1, False),
        (600, False, 0, True),
        (None, True, 9, False),
    ],
)
def test_the_next_visitor_waits_where_memory_is_short(manager, monkeypatch, free, forked, starting, expected):
    monkeypatch.setattr(_memory, "free_mb", lambda: free)
    manager.zygote = object() if forked else None
    manager._kernels = {str(n): SimpleNamespace(execution_state="starting") for n in range(starting)} | {
        "k": SimpleNamespace(execution_state="idle")
    }
    assert manager.is_full() is expected


class Client(LabClient):
    """Hears what a test says, one list of answers for each question."""

    def prepare(self, *answers, lives=True):
        self.asked, self.answers, self.lives = 0, list(answers), lives
        return self

    def kernel_info(self, reply=False, timeout=None):
        self.heard = list(self.answers[self.asked]) if self.asked < len(self.answers) else []
        self.asked += 1
        return str(self.asked)

    async def get_shell_msg(self, timeout=None):
        return self._next("shell")

    async def get_iopub_msg(self, timeout=None):
        return self._next("iopub")

    async def is_alive(self):
        return self.lives

    def _next(self, line):
        if not self.heard or self.heard[0][0] != line:
            raise Empty
        _, parent, state = self.heard.pop(0)
        return {"parent_header": {"msg_id": parent}, "content": {"execution_state": state}}


def test_a_kernel_is_ready_when_the_question_is_answered_on_both_lines():
    late = [("shell", "1", None), ("iopub", "1", "busy")]  # its end was said before this line was connected
    whole = [("shell", "2", None), ("iopub", "1", "idle"), ("iopub", "2", "busy"), ("iopub", "2", "idle"), ("iopub", "x", "busy")]
    client = Client().prepare(late, whole)
    run(client.wait_for_ready(timeout=60))
    assert client.asked == 2
    assert client.heard == [("iopub", "x", "busy")], "it does not wait for more"


def test_without_a_limit_the_question_is_asked_as_long_as_the_kernel_lives():
    client = Client().prepare([], [], [("shell", "3", None), ("iopub", "3", "idle")])
    run(client.wait_for_ready())
    assert client.asked == 3


@pytest.mark.parametrize(("lives", "said"), [(False, "died before it answered"), (True, "did not answer within 0 s")])
def test_a_kernel_that_never_answers_is_told_of(lives, said):
    with pytest.raises(RuntimeError, match=said):
        run(Client().prepare(lives=lives).wait_for_ready(timeout=0.0))
