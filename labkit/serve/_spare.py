"""Where kernels cannot be forked: one plain kernel that has everything loaded before anybody asks for it."""

import asyncio
import logging
import uuid
from typing import Any

PAUSE_S = 10.0
"""After a visitor has taken the spare kernel: the next one's imports must not compete with the page that is being opened."""

LOAD = "from labkit.serve import _preload\n_preload.load()\ndel _preload"
_READY_S = 120.0


class Spare:
    """Keeps one kernel ready; whoever comes takes it, and the next one is started a little later.

    Args:
        kernels: the manager that starts them.
        environment: what every kernel is told, added to the server's own.
        log: is told when one cannot be had.
    """

    def __init__(self, kernels: Any, environment: dict[str, str], log: logging.Logger) -> None:
        self._kernels, self._environment, self._log = kernels, environment, log
        self._next: tuple[str, asyncio.Future[Any]] | None = None
        self._works: set[asyncio.Future[None]] = set()

    @property
    def kernel_id(self) -> str | None:
        """Name of the kernel that waits, or is being started, for the next visitor."""
        return None if self._next is None else self._next[0]

    def begin(self, after_s: float = 0.0) -> None:
        """Start a kernel, after a pause."""
        self._works.add(work := asyncio.ensure_future(self._begin(after_s)))
        work.add_done_callback(self._works.discard)

    async def take(self) -> tuple[str, "asyncio.Future[Any]"] | None:
        """Return the name of the spare kernel and the future of its manager, and begin the next; None where there is none."""
        taken, self._next = self._next, None
        if taken is not None or not self._works:
            self.begin(PAUSE_S)
        if taken is not None and taken[1].done() and not await self._kernels.alive(taken[0]):
            return None
        return taken

    def close(self) -> None:
        """Start no more kernels; the manager ends those that there are."""
        for work in self._works:
            work.cancel()

    async def _begin(self, after_s: float) -> None:
        await asyncio.sleep(after_s)
        if self._kernels.is_full():
            return  # the next visitor starts a kernel or is told that there is no room, and this is tried again
        kernel_id = str(uuid.uuid4())
        started = asyncio.ensure_future(self._kernels.start_lab(kernel_id, self._environment))
        self._next = (kernel_id, started)
        try:
            kernel = await started
            await _load(kernel.client())
        except Exception:
            if self.kernel_id == kernel_id:  # else it is its visitor's, who may have left
                self._log.warning("no kernel could be started ahead", exc_info=True)
                self._next = None


async def _load(client: Any) -> None:
    """Let a kernel import what every lab needs; whoever takes it meanwhile waits for the rest of it."""
    client.start_channels()
    try:
        await client.wait_for_ready(timeout=_READY_S)
        await client.execute(LOAD, silent=True, reply=True, timeout=_READY_S)
    finally:
        client.stop_channels()
