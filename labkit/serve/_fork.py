"""The server's side of forked kernels: keeps the zygote alive, asks it for kernels, and hands them to Jupyter as processes."""

import asyncio
import json
import logging
import os
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping
from typing import Any

from jupyter_client.connect import KernelConnectionInfo
from jupyter_client.provisioning.local_provisioner import LocalProvisioner

START_TIMEOUT_S = 120.0
"""How long a first visitor waits for imports on a slow disk; then the zygote is given up."""

_BEFORE_FORK = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 5.0, 300.0
_UNKNOWN_EXIT = 1  # only a parent learns the exit code of a process


def forks_safely() -> bool:
    """Return whether this platform has what forked kernels need: Linux, with handles of processes."""
    if sys.platform != "linux" or not hasattr(os, "pidfd_open"):
        return False
    try:
        os.close(os.pidfd_open(os.getpid()))
    except OSError:  # an old kernel, or a sandbox
        return False
    return True


class ForkedProcess:
    """A process that is not our child, with what Jupyter's provisioner wants of a `Popen`."""

    stdin = stdout = stderr = None

    def __init__(self, lifeline: socket.socket, handle: int) -> None:
        self._lifeline, self._handle = lifeline, handle
        self.pid = _pid_of(handle)

    def poll(self) -> int | None:
        if self._handle < 0:
            return _UNKNOWN_EXIT
        poller = select.poll()
        poller.register(self._handle, select.POLLIN)
        return _UNKNOWN_EXIT if poller.poll(0) else None

    def wait(self) -> int:
        """Let go of the process; Jupyter calls it when `poll` has seen the end."""
        if self._handle >= 0:
            os.close(self._handle)
            self._handle = -1
        self._lifeline.close()
        return _UNKNOWN_EXIT

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            signal.pidfd_send_signal(self._handle, number)  # type: ignore[attr-defined,unused-ignore]  # Linux only

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)

    def terminate(self) -> None:
        self.send_signal(signal.SIGTERM)


class Zygote:
    """The warm process. It is started again if it has died, after a pause that doubles each time.

    Args:
        command: what to run; the number of its end of the control socket is added.
        log: is told when it dies.
    """

    def __init__(self, command: list[str], log: logging.Logger) -> None:
        self._command, self._log = command, log
        self._process: subprocess.Popen[bytes] | None = None
        self._control: socket.socket | None = None
        self._pause_s, self._not_before = _FIRST_PAUSE_S, 0.0
        self._now = time.monotonic

    @classmethod
    def of_this_python(cls, log: logging.Logger) -> "Zygote":
        """Return one for the interpreter that runs the server."""
        return cls([sys.executable, "-m", "labkit.serve._zygote"], log)

    @property
    def pid(self) -> int | None:
        """Its process id while it lives."""
        alive = self._process is not None and self._process.poll() is None
        return self._process.pid if alive and self._process is not None else None

    def start(self) -> socket.socket:
        """Start it unless it lives, and return the socket that takes requests.

        Raises:
            OSError: it has died a moment ago, or cannot be started.
        """
        if self.pid is not None and self._control is not None:
            return self._control
        if self._process is not None:
            self._give_up(f"it ended with code {self._process.returncode}")
        if self._now() < self._not_before:
            raise ChildProcessError(f"the zygote is not started again for another {self._not_before - self._now():.0f} s")
        self._control, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            self._process = subprocess.Popen(
                [*self._command, str(theirs.fileno())],
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                start_new_session=True,  # Ctrl-C is for the server, which ends it in order
                env=os.environ | dict.fromkeys(_BEFORE_FORK, "1"),
            )
        return self._control

    async def fork(self, name: str, arguments: list[str], cwd: str, env: Mapping[str, str]) -> ForkedProcess:
        """Return a new kernel; the first waits until the zygote is warm.

        Args:
            name: of the process, at most 15 characters.
            arguments: of ipykernel's command.
            cwd: its folder.
            env: its environment, added to the zygote's.

        Raises:
            OSError: none can be had.
        """
        control = self.start()
        lifeline, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        try:
            with theirs:
                request = json.dumps({"name": name, "arguments": arguments, "cwd": cwd, "env": dict(env)})
                socket.send_fds(control, [request.encode()], [theirs.fileno()])
            handle = await asyncio.to_thread(_wait_for_kernel, lifeline)
        except OSError as error:
            lifeline.close()
            await asyncio.sleep(0.1)  # the end of a process comes a moment after that of its sockets
            if self.pid is None or isinstance(error, TimeoutError):
                self._give_up(str(error))
            raise
        self._pause_s = _FIRST_PAUSE_S
        return ForkedProcess(lifeline, handle)

    def _give_up(self, why: str) -> None:
        self.close()
        self._not_before = self._now() + self._pause_s
        self._log.warning("the zygote of the kernels is gone (%s): plain kernels for %.0f s", why, self._pause_s)
        self._pause_s = min(2 * self._pause_s, _LONGEST_PAUSE_S)

    def close(self) -> None:
        """End it; the kernels that it made go on."""
        if self._control is not None:
            self._control.close()
        if self._process is not None:
            self._process.kill()  # it holds nothing, and may be in the middle of an import
            self._process.wait()
        self._process = self._control = None


class ForkProvisioner(LocalProvisioner):
    """Starts a kernel by a fork, and as usual where none can be had."""

    zygote: Zygote
    process: Any  # a Popen, or a ForkedProcess

    async def launch_kernel(self, cmd: list[str], **kwargs: Any) -> KernelConnectionInfo:
        try:
            folder = str(kwargs.get("cwd") or os.getcwd())
            process = await self.zygote.fork(f"labkit {str(self.kernel_id)[:8]}", cmd[3:], folder, kwargs["env"])
        except OSError as error:
            self.log.warning("a plain kernel instead of a forked one: %s", error)
            return await super().launch_kernel(cmd, **kwargs)
        self.process, self.cwd = process, folder
        self.pid = self.pgid = process.pid
        return self.connection_info


def _wait_for_kernel(lifeline: socket.socket) -> int:
    """Return the handle of the process that the zygote has made.

    Raises:
        OSError: it has made none.
    """
    lifeline.settimeout(START_TIMEOUT_S)
    hello, handles, *_ = socket.recv_fds(lifeline, 16, 1)
    if not hello:
        raise ChildProcessError("no kernel came of the fork")
    return handles[0]


def _pid_of(handle: int) -> int:
    """Process id that a handle stands for."""
    with open(f"/proc/self/fdinfo/{handle}", encoding="ascii") as lines:
        return next(int(line.split()[1]) for line in lines if line.startswith("Pid:"))
