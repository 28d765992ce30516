"""The kernels behind the pages: whose Python they run, how long they live, how a page learns that its own has stopped."""

import asyncio
import os
import time
import uuid
from datetime import UTC, datetime, timedelta
from queue import Empty
from typing import Any

from jupyter_client.asynchronous.client import AsyncKernelClient
from jupyter_client.kernelspec import KernelSpecManager
from jupyter_core.utils import ensure_async
from jupyter_server.services.kernels.kernelmanager import AsyncMappingKernelManager, ServerKernelManager
from traitlets import Integer, List, Type, Unicode

from labkit.serve import _memory
from labkit.serve._fork import ForkProvisioner, Zygote
from labkit.serve._spare import Spare

_START_S = 60


class OwnKernelSpecManager(KernelSpecManager):
    """Knows one kernel only, the Python that runs this server: a kernel of the same name elsewhere may lack labkit."""

    kernel_dirs = List(Unicode(), [])


class LabClient(AsyncKernelClient):
    """The server's line to a kernel while the cells run."""

    async def wait_for_ready(self, timeout: float | None = None) -> None:
        """Wait until the kernel answers; the stock client then listens for another 0.2 s to what else there may be.

        Args:
            timeout: in seconds; None waits as long as the kernel lives.

        Raises:
            RuntimeError: it has died, or `timeout` is over.
        """
        ends = None if timeout is None else time.monotonic() + timeout
        lives: Any = self.is_alive  # jupyter_client's types are those of its blocking client
        while not await self._answers(self.kernel_info()):
            if not await lives():
                raise RuntimeError("the kernel died before it answered")
            if ends is not None and time.monotonic() > ends:
                raise RuntimeError(f"the kernel did not answer within {timeout:.0f} s")

    async def _answers(self, asked: str) -> bool:
        """Whether a question is answered, and the end of the work on it is heard: then what cells print will be heard, too."""
        try:
            await self.get_shell_msg(timeout=1)
            while True:
                heard = await self.get_iopub_msg(timeout=0.2)
                if heard["parent_header"].get("msg_id") == asked and heard["content"].get("execution_state") == "idle":
                    break
        except Empty:
            return False
        return True


class LabKernel(ServerKernelManager):
    """One kernel; forked where its manager has a zygote."""

    client_factory = Type(LabClient)

    async def _async_pre_start_kernel(self, **kwargs: Any) -> tuple[list[str], dict[str, Any]]:
        zygote = getattr(self.parent, "zygote", None)
        if self.provisioner is None and zygote is not None:
            self.kernel_id = self.kernel_id or kwargs["kernel_id"]
            self.provisioner = ForkProvisioner(kernel_id=self.kernel_id, kernel_spec=self.kernel_spec, parent=self)
            self.provisioner.zygote = zygote
        before: tuple[list[str], dict[str, Any]] = await super()._async_pre_start_kernel(**kwargs)
        return before


class LabKernelManager(AsyncMappingKernelManager):
    """Ends a kernel soon after its page has gone, and later where a page is open but nobody touches it.

    Attributes:
        zygote: what kernels are forked from; None where each is started by itself.
        spare: keeps a kernel ready where none can be forked.
    """

    zygote: Zygote | None = None
    spare: Spare | None = None
    kernel_manager_class = Unicode(f"{__name__}.LabKernel")
    cull_alone_timeout = Integer(300, config=True, help="seconds that an idle kernel without a page is kept")

    async def alive(self, kernel_id: str) -> bool:
        """Whether the kernel exists and its process runs."""
        return kernel_id in self and bool(await ensure_async(self.is_alive(kernel_id)))

    async def cull_kernel_if_idle(self, kernel_id: str) -> None:
        """End the kernel if its process is gone, or if it has been idle for longer than its kind may."""
        if kernel_id not in self or (self.spare is not None and kernel_id == self.spare.kernel_id):
            return
        kernel: Any = self._kernels[kernel_id]
        if not await self.alive(kernel_id):
            await self._end(kernel_id, now=True)
            return
        allowed = self.cull_idle_timeout if self._kernel_connections.get(kernel_id, 0) else self.cull_alone_timeout
        idle = datetime.now(UTC) - kernel.last_activity
        if kernel.execution_state != "busy" and idle > timedelta(seconds=allowed):
            self.log.info("ending kernel %s, idle for %d s", kernel_id, idle.seconds)
            await self._end(kernel_id, now=False)

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)  # type: ignore[no-untyped-call]  # jupyter_server has no types here
        self._endings: set[asyncio.Future[None]] = set()

    async def open_lab(self, told: dict[str, str]) -> tuple[str, "asyncio.Future[Any]"]:
        """Return the name of a kernel for a visitor, and the future of its manager: the spare one where there is one.

        Args:
            told: what its environment says of the visit.
        """
        spare = await self.spare.take() if self.spare is not None else None
        if spare is not None:
            return spare
        kernel_id = str(uuid.uuid4())
        return kernel_id, asyncio.ensure_future(self.start_lab(kernel_id, told))

    async def start_lab(self, kernel_id: str, told: dict[str, str]) -> Any:
        """Start a kernel and return its manager."""
        start: Any = self.start_kernel  # jupyter_server has no types here
        await start(kernel_id=kernel_id, kernel_name="python3", path="", env=os.environ | told)
        return self.get_kernel(kernel_id)

    def is_full(self) -> bool:
        """Whether one more kernel could take memory that is not there; those that are just starting have taken none yet."""
        free = _memory.free_mb()
        needed = _memory.NEEDED_MB["plain" if self.zygote is None else "forked"]
        starting = sum(getattr(each, "execution_state", "starting") == "starting" for each in self._kernels.values())
        return free is not None and free < needed * (1 + starting)

    def end_soon(self, kernel_id: str) -> None:
        """End a kernel that may still be starting; nobody waits for it."""
        self._endings.add(ending := asyncio.ensure_future(self._end_when_started(kernel_id)))
        ending.add_done_callback(self._endings.discard)

    async def _end_when_started(self, kernel_id: str) -> None:
        for _ in range(_START_S):
            if kernel_id in self:
                await self._end(kernel_id, now=True)
                return
            await asyncio.sleep(1)

    async def _end(self, kernel_id: str, *, now: bool) -> None:
        shutdown: Any = self.shutdown_kernel  # jupyter_server has no types here
        await ensure_async(shutdown(kernel_id, now=now))
