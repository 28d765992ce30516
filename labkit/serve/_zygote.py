"""One warm process that turns copies of itself into kernels: `python -m labkit.serve._zygote FD`, Linux only.

    server ── control ──▶ zygote      imports done, one thread, heap frozen
      │                     │ fork
      └──── lifeline ──── kernel      ipykernel, as if it had been started by its command

`control` and every lifeline are unnamed UNIX sockets. The server sends a request with one end of a new lifeline; the copy
answers on it with a handle of its own process. The end of a lifeline means that the server is gone, however it went: then
the kernel kills itself and all that it started. The end of `control` ends the zygote.

A pool of threads does not survive a fork: whoever uses it in the copy waits for ever. So the zygote computes with one thread
in torch and BLAS, refuses to fork if it has more than one, and each copy takes its own number afterwards.
"""

import gc
import json
import os
import signal
import socket
import sys
import threading
from pathlib import Path
from typing import Any

from ipykernel.kernelapp import IPKernelApp  # before ipywidgets, since it replaces what makes comms

from labkit.core.memory import give_back
from labkit.serve import _preload

REQUEST_BYTES = 1 << 18  # an environment must fit
_OPTIONS = (
    "--IPKernelApp.parent_handle=1",
    "--IPKernelApp.log_level=40",
    "--IPKernelApp.capture_fd_output=False",
    "--HistoryManager.enabled=False",
)
"""The lifeline watches the server, not a poll of the parent; what C libraries print goes to the server's log, without two threads
that read it; no database of what was typed, and no thread for it."""


def main(control: socket.socket) -> None:
    """Answer requests on `control` until it ends; in a copy, be a kernel until that ends.

    Raises:
        RuntimeError: something that was preloaded has started a thread.
    """
    _prepare()
    asked = _wait_for_requests(control)
    if asked is not None:
        _be_a_kernel(*asked)


def _prepare() -> None:
    gc.disable()  # fewer holes in the pages that the copies share
    sys.modules["debugpy"] = None  # type: ignore[assignment]  # nobody can debug a served kernel: 130 modules for nothing
    _preload.load()
    if sys.modules["torch"].get_num_threads() != 1 or (threads := len(os.listdir("/proc/self/task"))) != 1:
        names = ", ".join(each.name for each in threading.enumerate())
        raise RuntimeError(f"the zygote must have one thread to fork, has {threads} ({names}); torch must use one, too")
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # the system reaps
    gc.collect()
    gc.freeze()
    give_back()


def _wait_for_requests(control: socket.socket) -> tuple[socket.socket, dict[str, Any]] | None:
    while True:
        request, handles, *_ = socket.recv_fds(control, REQUEST_BYTES, 1)
        if not request:
            return None
        lifeline = socket.socket(fileno=handles[0])
        sys.stdout.flush()
        sys.stderr.flush()  # else each copy prints it again
        try:
            if os.fork() == 0:
                control.close()
                return lifeline, json.loads(request)
        except OSError as error:  # no memory, or too many processes
            sys.stderr.write(f"labkit: a kernel could not be forked: {error}\n")
        lifeline.close()


def _be_a_kernel(lifeline: socket.socket, visit: dict[str, Any]) -> None:
    os.setsid()  # a group of its own: signals reach this kernel and what it starts
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    threading.Thread(target=_follow, args=(lifeline,), daemon=True).start()
    _name_process(visit["name"])
    os.environ.update(visit["env"])
    os.chdir(visit["cwd"])
    gc.enable()
    _take_threads(int(os.environ.get("OMP_NUM_THREADS", "1")))
    sys.modules["numpy"].random.seed()  # else all visitors draw the same numbers
    sys.modules["torch"].seed()
    app: Any = IPKernelApp.instance()  # ipykernel has no types here
    app.initialize([*visit["arguments"], *_OPTIONS])
    socket.send_fds(lifeline, [b"here"], [os.pidfd_open(os.getpid())])  # its ports are open: who comes earlier must try again
    sys.modules["ipywidgets"].register_comm_target()  # when it was imported there was no kernel
    app.start()


def _follow(lifeline: socket.socket) -> None:
    """End with the server, even in the middle of a computation."""
    try:
        lifeline.recv(1)
    finally:  # an end of file, or ECONNRESET
        os.killpg(0, signal.SIGKILL)


def _name_process(name: str) -> None:
    """Be told apart in the process table, and be the first that goes when memory runs out: the server must stay."""
    Path("/proc/self/comm").write_text(name)
    Path("/proc/self/oom_score_adj").write_text("500")


def _take_threads(threads: int) -> None:
    sys.modules["torch"].set_num_threads(threads)
    if threads > 1:
        from threadpoolctl import threadpool_limits

        threadpool_limits(threads, user_api="blas")


if __name__ == "__main__":
    main(socket.socket(fileno=int(sys.argv[1])))
