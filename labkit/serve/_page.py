"""A lab's page: its words go out at once, while its kernel starts; what the cells give follows as they run."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from jupyter_server.base.handlers import JupyterHandler
from jupyter_server.utils import url_path_join
from tornado import web
from tornado.iostream import StreamClosedError
from voila.notebook_renderer import NotebookRenderer
from voila.utils import get_page_config

from labkit.core.errors import UnknownNameError
from labkit.labs import find_lab, lab_names

HEARTBEAT_S = 10.0
FULL = "This server is full: its memory is taken by the labs that are open. Try again in a minute, or close a lab that you do not need."


class Renderer(NotebookRenderer):
    """Voilà's, with one exporter for all visits: each would compile the same templates again, for 80 ms.

    Args:
        kept: holds the exporter of the first visit.
    """

    def __init__(self, kept: dict[str, Any], **settings: Any) -> None:
        super().__init__(**settings)
        self.exporter: Any
        self._kept = kept

    async def initialize(self, **options: Any) -> None:
        await super().initialize(**options)
        self.exporter = self._kept.setdefault("exporter", self.exporter)


class LabHandler(JupyterHandler):
    """`/labs/NN_name` is the page of a lab, `/labs/NN` leads there; anything else is a 404 with our own page."""

    def initialize(self, folder: Path, **settings: Any) -> None:
        self.folder, self._settings = folder, settings
        self._kernel_id = ""
        self._is_whole = False

    @web.authenticated
    async def get(self, path: str = "") -> None:
        try:
            lab = find_lab(path, lab_names(self.folder))
        except UnknownNameError as error:
            raise web.HTTPError(404, str(error)) from error
        if lab != path:
            self.redirect(url_path_join(self.base_url, "labs", lab))
            return
        kernels: Any = self.kernel_manager  # a LabKernelManager
        if kernels.is_full():
            raise web.HTTPError(503, FULL)
        _ = self.xsrf_token  # sets the cookie without which a closing page may not end its kernel
        self.set_header("Content-Type", "text/html; charset=UTF-8")
        self.set_header("Cache-Control", "no-store")
        renderer = self._renderer(f"{lab}.ipynb")
        await renderer.initialize()
        self._kernel_id, starting = await kernels.open_lab(self._told())
        renderer.page_config |= {"baseUrl": self.base_url, "kernelId": self._kernel_id}  # known at once, so that no script waits for it
        await self._send(renderer.generate_content_generator(self._kernel_id, starting))

    def _renderer(self, notebook: str) -> Any:
        voila, page = self._settings["voila_configuration"], {"base_url": self.base_url, "settings": self.settings, "log": self.log}
        config = voila.page_config_hook(get_page_config(**page, voila_configuration=voila))
        return Renderer(
            self._settings["kept"],
            request_handler=self,
            voila_configuration=voila,
            traitlet_config=self._settings["config"],
            notebook_path=notebook,
            template_paths=self._settings["template_paths"],
            config_manager=self.config_manager,
            contents_manager=self.contents_manager,
            base_url=self.base_url,
            kernel_spec_manager=self.kernel_spec_manager,
            page_config=config,
            mathjax_config=self.settings.get("mathjax_config"),
            mathjax_url=self.settings.get("mathjax_url"),
        )

    def _told(self) -> dict[str, str]:
        return {"VOILA_REQUEST_URL": self.request.full_url(), "VOILA_BASE_URL": self.base_url, "SCRIPT_NAME": self.request.path}

    async def _send(self, pieces: AsyncIterator[tuple[str, Any]]) -> None:
        """Send each piece as it comes, and a sign of life where none comes for a while, so that no proxy gives up."""
        try:
            while True:
                piece = asyncio.ensure_future(anext(pieces))
                while not (await asyncio.wait({piece}, timeout=HEARTBEAT_S))[0]:
                    await self._write("<script>window.voila_heartbeat()</script>\n")
                await self._write(piece.result()[0])
        except StopAsyncIteration:
            self._is_whole = True
        except StreamClosedError:
            self.log.info("a visitor left before the page was whole")
        except Exception:
            self.log.exception("the page of a lab broke off")
            await self._write("<script>window.labkitPage.fail()</script>\n")
        finally:
            self._end_kernel_of_half_a_page()

    async def _write(self, text: str) -> None:
        self.write(text)
        await self.flush()

    def on_connection_close(self) -> None:
        """Called when a visitor leaves while a cell runs; one who leaves while we write is seen only by the write."""
        super().on_connection_close()
        self._end_kernel_of_half_a_page()

    def _end_kernel_of_half_a_page(self) -> None:
        """Nobody has the address of such a kernel."""
        if self._kernel_id and not self._is_whole:
            kernels: Any = self.kernel_manager
            kernels.end_soon(self._kernel_id)
            self._kernel_id = ""
