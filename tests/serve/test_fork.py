"""Kernels that are forked from one warm process: that they are whole, apart from each other, and end when they should."""

import asyncio
import logging
import os
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from jupyter_core.utils import ensure_async

from labkit.serve import _fork
from labkit.serve._fork import Zygote, forks_safely
from labkit.serve._kernels import LabKernelManager, OwnKernelSpecManager

LOG = logging.getLogger("test")
HEART = """
import numpy, torch
from labkit import flow, runtime
from labkit.measure import latency
from labkit.workbench import workbench
bench = workbench("vgg-small-bn")
images = bench.splits.test[:8].tensor()
program = runtime.compile(bench.dense, images[:1])
timing = latency.measure(lambda: program(images.numpy()), rounds=3, threads=2)
x = torch.randn(64, 200, requires_grad=True)
(x @ torch.randn(200, 200)).sum().backward()
whole = numpy.linalg.norm(numpy.random.randn(300, 300) @ numpy.random.randn(300, 300))
print(timing.runs == 3, torch.get_num_threads(), bool(whole > 0), torch.randn(1).item(), numpy.random.rand())
"""

pytestmark = pytest.mark.skipif(not forks_safely(), reason="kernels are not forked on this platform")


def run(work):
    """Run a coroutine in a thread of its own: Playwright's event loop may be running in this one."""
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(asyncio.run, work).result()


@pytest.fixture(scope="module")
def zygote():
    found = Zygote.of_this_python(LOG)
    before = os.environ.get("OMP_NUM_THREADS")
    os.environ["OMP_NUM_THREADS"] = "2"  # more than the zygote may use
    try:
        found.start()
        yield found
    finally:
        found.close()
        os.environ.pop("OMP_NUM_THREADS")
        if before is not None:
            os.environ["OMP_NUM_THREADS"] = before


@asynccontextmanager
async def kernels(zygote, tmp_path, count=1):
    """A manager with some kernels, each with a client."""
    manager = LabKernelManager(root_dir=str(tmp_path), kernel_spec_manager=OwnKernelSpecManager(), connection_dir=str(tmp_path))
    manager.zygote = zygote
    names = await asyncio.gather(*(manager.start_kernel(path="", env=dict(os.environ)) for _ in range(count)))
    clients = [manager.get_kernel(name).client() for name in names]
    try:
        for client in clients:
            client.start_channels()
            await client.wait_for_ready(timeout=120)
        yield manager, names, clients
    finally:
        for client in clients:
            client.stop_channels()
        await manager.shutdown_all(now=True)


async def printed(client, code):
    lines = []

    def hear(message):
        if message["msg_type"] in ("stream", "error"):
            lines.append(message["content"].get("text") or "\n".join(message["content"]["traceback"]))

    await client.execute_interactive(code, timeout=120, output_hook=hear)
    return "".join(lines)


def test_each_of_eight_open_kernels_computes_and_they_draw_different_numbers(zygote, tmp_path):
    async def work():
        async with kernels(zygote, tmp_path, 8) as (_, _, clients):
            return [await printed(client, HEART) for client in clients]  # one at a time: pools of threads spin while they wait

    said = [line.split() for line in run(work())]
    assert [line[:3] for line in said] == [["True", "2", "True"]] * 8, said
    assert len({line[3] for line in said}) == len({line[4] for line in said}) == 8


def test_a_kernel_has_the_visitors_folder_environment_and_modules_and_a_name(zygote, tmp_path):
    async def work():
        async with kernels(zygote, tmp_path) as (manager, names, clients):
            code = "import os, sys; print(os.getcwd(), os.environ['PATH'] != '', 'torch' in sys.modules, __name__, os.getpid())"
            pid = manager.get_kernel(names[0]).provisioner.pid
            return await printed(clients[0], code), names[0], pid, Path(f"/proc/{pid}/comm").read_text().strip()

    said, name, pid, comm = run(work())
    assert said.split() == [str(tmp_path), "True", "True", "__main__", str(pid)]
    assert comm == f"labkit {name[:8]}"


def test_a_kernel_starts_without_a_debugger_and_with_no_thread_that_reads_what_it_prints(zygote, tmp_path):
    async def work():
        async with kernels(zygote, tmp_path) as (_, _, clients):
            code = (
                "import sys, threading; print(any(name.startswith(('pydev', '_pydev')) for name in sys.modules),"
                " sorted(each.name for each in threading.enumerate()))"
            )
            return await printed(clients[0], code)

    assert run(work()) == "False ['Control', 'Heartbeat', 'IOPub', 'MainThread', 'Shell channel', 'Thread-1 (_follow)']\n"


def test_a_killed_kernel_is_seen_and_its_end_leaves_nothing(zygote, tmp_path):
    async def work():
        async with kernels(zygote, tmp_path) as (manager, names, _):
            provisioner = manager.get_kernel(names[0]).provisioner
            assert await manager.alive(names[0])
            os.kill(provisioner.pid, signal.SIGKILL)
            for _ in range(50):
                if not await manager.alive(names[0]):
                    break
                await asyncio.sleep(0.1)
            assert not await manager.alive(names[0])
            await ensure_async(manager.shutdown_kernel(names[0], now=True))
            return provisioner.pid

    assert not Path(f"/proc/{run(work())}").exists()


def test_the_end_of_its_lifeline_ends_a_busy_kernel_and_what_it_started(zygote, tmp_path):
    async def work():
        async with kernels(zygote, tmp_path) as (manager, names, clients):
            code = "import subprocess; print(subprocess.Popen(['sleep', '600']).pid, flush=True)\nwhile True: pass"
            clients[0].execute(code)
            child = None
            while child is None:
                message = await clients[0].get_iopub_msg(timeout=30)
                if message["msg_type"] == "stream":
                    child = int(message["content"]["text"])
            process = manager.get_kernel(names[0]).provisioner.process
            process._lifeline.close()  # as the system does when the server is killed
            pids = (process.pid, child)
            for _ in range(100):
                if not any(_lives(pid) for pid in pids):
                    break
                await asyncio.sleep(0.1)
            return [pid for pid in pids if _lives(pid)]

    assert run(work()) == []


def test_without_a_zygote_a_plain_kernel_comes_and_the_log_says_so(tmp_path, caplog):
    broken = Zygote([sys.executable, "-c", "raise SystemExit(3)"], LOG)

    async def work():
        async with kernels(broken, tmp_path) as (_, _, clients):
            return await printed(clients[0], "print(6 * 7)")

    with caplog.at_level(logging.WARNING):
        assert run(work()) == "42\n"
    assert "plain kernels for 5 s" in caplog.text
    assert "a plain kernel instead of a forked one" in caplog.text


def test_a_zygote_that_dies_is_left_alone_for_a_while_that_grows():
    now = [1000.0]
    broken = Zygote([sys.executable, "-c", "raise SystemExit(3)"], LOG)
    broken._now = lambda: now[0]  # of its own: a patched `time` would stop the event loop's clock, too
    pauses = []
    for _ in range(9):
        with pytest.raises(OSError, match=r"no kernel came of the fork|Broken pipe|reset"):
            run(broken.fork("k", [], "/", {}))
        with pytest.raises(ChildProcessError, match="not started again for another"):
            broken.start()
        pauses.append(broken._not_before - now[0])
        now[0] = broken._not_before
    assert pauses == [5, 10, 20, 40, 80, 160, 300, 300, 300]


def test_the_zygote_ends_when_the_server_is_gone():
    begun = Zygote([sys.executable, "-m", "labkit.serve._zygote"], LOG)
    begun.start()
    process, control = begun._process, begun._control
    control.close()  # as the system does when the server is killed
    process.wait(60)
    assert process.returncode == 0


def test_a_thread_before_the_fork_is_refused():
    code = (
        "import socket, threading, time; from labkit.serve import _preload, _zygote; load = _preload.load\n"
        "_preload.load = lambda: (load(), threading.Thread(target=time.sleep, args=(60,), daemon=True, name='stray').start())\n"
        "_zygote.main(socket.socketpair()[0])"
    )
    ended = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=os.environ | dict.fromkeys(_fork._BEFORE_FORK, "1")
    )
    assert "must have one thread to fork, has 2 (MainThread, stray)" in ended.stderr


def _lives(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False
