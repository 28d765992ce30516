"""What the server answers besides Voilà's own and the pages: the pulse of a kernel, files that browsers keep for good."""

import gzip
from functools import cache
from pathlib import Path
from typing import Any

from jupyter_server.base.handlers import APIHandler, FileFindHandler, JupyterHandler
from jupyter_server.utils import url_path_join
from tornado import web
from voila.static_file_handler import MultiStaticFileHandler
from voila.tornado.kernel_websocket_handler import VoilaKernelWebsocketHandler

_FRAMING = "v1.kernel.websocket.jupyter.org"
_MOST_PARTS = 1024  # buffers of one message and its six fixed parts
_TEXT = (".js", ".css", ".json", ".svg", ".map")
_FOR_GOOD = "public, max-age=31536000, immutable"


class HomeHandler(JupyterHandler):
    """`/` leads to the lab that the server was started for."""

    def initialize(self, lab: str) -> None:
        self.lab = lab

    @web.authenticated
    def get(self) -> None:
        self.redirect(url_path_join(self.base_url, "labs", self.lab))


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


class PackedFiles(web.StaticFileHandler):
    """Files that browsers keep for good, sent gzipped to whoever takes that; each is packed once and held in memory."""

    @property
    def is_packed(self) -> bool:
        """Whether this answer is gzipped; a part of a file is sent as it lies on the disk."""
        takes = "gzip" in self.request.headers.get("Accept-Encoding", "") and "Range" not in self.request.headers
        return takes and Path(str(self.absolute_path)).suffix in _TEXT

    def set_headers(self) -> None:
        super().set_headers()  # where it is the extensions', it forbids to keep whatever has no `v=` in its URL
        self.set_header("Cache-Control", _FOR_GOOD)
        self.set_header("Vary", "Accept-Encoding")
        if self.is_packed:
            self.set_header("Content-Encoding", "gzip")
            self.clear_header("Accept-Ranges")

    def compute_etag(self) -> str | None:
        """None: the URL is the tag, for the file in either form."""
        return None

    def get_content_size(self) -> int:
        return len(_packed(str(self.absolute_path))) if self.is_packed else super().get_content_size()

    def get_content(self, abspath: str, start: int | None = None, end: int | None = None) -> Any:  # type: ignore[override]  # knows the request
        return _packed(abspath) if self.is_packed else super().get_content(abspath, start, end)


class PageFileHandler(PackedFiles):
    """Our own files, from a fixed list; their URL carries a fingerprint, so browsers keep them."""

    def initialize(self, files: dict[str, Path]) -> None:  # type: ignore[override]  # a list in place of a folder
        super().initialize(path="/")
        self.files = files

    def parse_url_path(self, url_path: str) -> str:
        if url_path not in self.files:
            raise web.HTTPError(404)
        return str(self.files[url_path])


class KeptStaticHandler(PackedFiles, MultiStaticFileHandler):
    """Voilà's own front end, under a URL with a fingerprint."""


class KeptExtensionHandler(PackedFiles, FileFindHandler):
    """The front end's extensions, under a URL with a fingerprint."""


@cache
def _packed(path: str) -> bytes:
    """A file gzipped; it does not change while the server runs, since its URL names its content."""
    return gzip.compress(Path(path).read_bytes(), 6, mtime=0)
