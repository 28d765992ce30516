"""What the server answers besides Voilà's own: the labs by name, the pulse of a kernel, files that browsers keep for good."""

from pathlib import Path
from typing import Any

from jupyter_server.base.handlers import APIHandler, FileFindHandler, JupyterHandler
from jupyter_server.utils import url_path_join
from tornado import web
from voila.static_file_handler import MultiStaticFileHandler
from voila.tornado.handler import TornadoVoilaHandler
from voila.tornado.kernel_websocket_handler import VoilaKernelWebsocketHandler

from labkit.core.errors import UnknownNameError
from labkit.labs import find_lab, lab_names

_FRAMING = "v1.kernel.websocket.jupyter.org"
_MOST_PARTS = 1024  # buffers of one message and its six fixed parts
_FOR_GOOD = "public, max-age=31536000, immutable"


class HomeHandler(JupyterHandler):
    """`/` leads to the lab that the server was started for."""

    def initialize(self, lab: str) -> None:
        self.lab = lab

    @web.authenticated
    def get(self) -> None:
        self.redirect(url_path_join(self.base_url, "labs", self.lab))


class LabHandler(TornadoVoilaHandler):
    """`/labs/NN_name` is the page of a lab, `/labs/NN` leads there; anything else is a 404 with our own page."""

    def initialize(self, folder: Path, **kwargs: Any) -> None:
        super().initialize(**kwargs)
        self.folder = folder

    @web.authenticated
    async def get(self, path: str = "") -> None:
        try:
            lab = find_lab(path, lab_names(self.folder))
        except UnknownNameError as error:
            raise web.HTTPError(404, str(error)) from error
        if lab != path:
            self.redirect(url_path_join(self.base_url, "labs", lab))
            return
        _ = self.xsrf_token  # sets the cookie without which a closing page may not end its kernel
        await super().get(path=f"{lab}.ipynb")


class MissingHandler(JupyterHandler):
    """Every address that nothing else answers."""

    async def prepare(self, **options: Any) -> None:
        await super().prepare(**options)
        raise web.HTTPError(404)


class PulseHandler(APIHandler):
    """Tells a page whether its kernel still runs; asking does not count as using the kernel."""

    @web.authenticated
    async def get(self, kernel_id: str) -> None:
        self.set_header("Cache-Control", "no-store")
        kernels: Any = self.kernel_manager  # a LabKernelManager
        self.finish({"alive": await kernels.alive(kernel_id)})


class ChannelsHandler(VoilaKernelWebsocketHandler):
    """A page's line to its kernel, for clients that speak the framing of today.

    Both Voilà, on the way out, and the server, on the way in, loop as often as a frame's first eight bytes say. A client of
    the older framing, or a frame made for it, would keep the server busy for years: neither gets that far.
    """

    async def get(self, kernel_id: str) -> None:
        asked = self.request.headers.get("Sec-WebSocket-Protocol", "")
        if _FRAMING not in [each.strip() for each in asked.split(",")]:
            raise web.HTTPError(400, f"connect with the subprotocol {_FRAMING}")
        await super().get(kernel_id=kernel_id)

    def on_message(self, ws_message: bytes | str) -> None:
        if not isinstance(ws_message, bytes) or int.from_bytes(ws_message[:8], "little") > _MOST_PARTS:
            self.close(1003, "not a kernel message")
            return
        super().on_message(ws_message)


class PageFileHandler(web.StaticFileHandler):
    """Our own files, from a fixed list; their URL carries a fingerprint, so browsers keep them."""

    def initialize(self, files: dict[str, Path]) -> None:  # type: ignore[override]  # a list in place of a folder
        super().initialize(path="/")
        self.files = files

    def parse_url_path(self, url_path: str) -> str:
        if url_path not in self.files:
            raise web.HTTPError(404)
        return str(self.files[url_path])

    def set_extra_headers(self, path: str) -> None:
        self.set_header("Cache-Control", _FOR_GOOD)


class KeptStaticHandler(MultiStaticFileHandler):
    """Voilà's own front end, under a URL with a fingerprint."""

    def set_extra_headers(self, path: str) -> None:
        self.set_header("Cache-Control", _FOR_GOOD)


class KeptExtensionHandler(FileFindHandler):
    """The front end's extensions, under a URL with a fingerprint."""

    def set_headers(self) -> None:
        super().set_headers()  # which forbids to keep whatever has no `v=` in its URL
        self.set_header("Cache-Control", _FOR_GOOD)
