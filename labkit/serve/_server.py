"""Voilà with our routes in place of its own: labs by name, no file tree, nothing that hands out a notebook's source."""

import asyncio
import re
import shutil
import signal
import tempfile
from collections.abc import Callable
from pathlib import Path
from socket import socket
from typing import Any

from jupyter_core.utils import ensure_async
from jupyter_server.services.kernels.handlers import KernelHandler
from jupyter_server.utils import url_path_join
from tornado.httpserver import HTTPServer
from tornado.web import Application
from voila.app import Voila
from voila.shutdown_kernel_handler import VoilaShutdownKernelHandler
from voila.static_file_handler import AllowListFileHandler, TemplateStaticFileHandler

from labkit.labs import HOME, find_lab, lab_names
from labkit.serve import _fork, _handlers, _home, _page, _settings, _spare

_KERNEL = r"(?P<kernel_id>\w+-\w+-\w+-\w+-\w+)"


class LabServer(Voila):
    """Voilà for one folder of labs, listening on sockets that are already bound."""

    name = "voila"

    def prepare(self, folder: Path, lab: str, base_url: str = "/") -> None:
        """Read the settings; nothing of the person's own Voilà configuration is.

        Args:
            folder: where the labs lie.
            lab: full name of the lab that the start page leads to.
            base_url: path under which everything is, with a slash at both ends.
        """
        self.folder, self.lab = folder, lab
        self.config_file_paths: list[str] = []
        self.update_config(_settings.voila_config(folder, base_url))
        self.initialize(argv=[])
        self.voila_configuration.page_config_hook = self._page_config
        self.kept = url_path_join(self.base_url, "kept", _settings.fingerprint(self.labextensions_path))
        self.assets = {name.replace(".", "_"): url_path_join(self.kept, "page", name) for name in _settings.page_files()}
        self.assets["home"] = url_path_join(self.base_url, "labs", find_lab(None, lab_names(folder)))
        self.voila_configuration.config.VoilaConfiguration.resources = {"labkit": self.assets}

    def _page_config(self, current: dict[str, Any] | None = None, **kwargs: Any) -> dict[str, Any]:
        """Point the front end at the URLs that browsers keep."""
        config = dict(current if current is not None else kwargs["page_config"])
        config["fullStaticUrl"] = url_path_join(self.kept, "static")
        config["fullLabextensionsUrl"] = url_path_join(self.kept, "extensions")
        return config

    def init_settings(self) -> dict[str, Any]:
        settings: dict[str, Any] = super().init_settings()
        self.kernel_manager.allowed_message_types = list(_settings.MESSAGES)
        settings["default_handler_class"] = _handlers.MissingHandler
        pages = settings["jinja2_env"] = settings["voila_jinja2_env"]  # an error page is ours, whoever answers
        pages.globals["labkit_assets"] = self.assets
        return settings

    def init_handlers(self) -> list[tuple[Any, ...]]:

        def at(*parts: str) -> str:
            return str(url_path_join(re.escape(self.base_url), *parts))

        kept: dict[str, Any] = {}
        lab_page = {
            "folder": self.folder,
            "kept": kept,
            "template_paths": self.template_paths,
            "config": self.config,
            "voila_configuration": self.voila_configuration,
        }
        return [
            (at("?"), _handlers.HomeHandler, {"lab": self.lab}),
            (at("/labs", HOME), _home.HomePageHandler, {"folder": self.folder}),
            (at("/labs/(.*)"), _page.LabHandler, lab_page),
            (at("/", _home.PICTURES, "(.*)"), _home.PictureHandler, {"path": str(self.folder / _home.PICTURES)}),
            (at("/pulse", _KERNEL), _handlers.PulseHandler),
            (at("/api/kernels", _KERNEL), KernelHandler),
            (at("/api/kernels", _KERNEL, "channels"), _handlers.ChannelsHandler),
            (at("/voila/api/shutdown/(.*)"), VoilaShutdownKernelHandler),
            (at("/voila/templates/(.*)"), TemplateStaticFileHandler),
            (at("/voila/files/(.*)"), AllowListFileHandler, self._picture_rules()),
            (re.escape(self.kept) + "/page/(.*)", _handlers.PageFileHandler, {"files": _settings.page_files()}),
            (re.escape(self.kept) + "/static/(.*)", _handlers.KeptStaticHandler, {"paths": self.static_paths}),
            (re.escape(self.kept) + "/extensions/(.*)", _handlers.KeptExtensionHandler, {"path": self.labextensions_path}),
        ]

    def _picture_rules(self) -> dict[str, Any]:
        """Which files of the labs' folder a page may show."""
        rules = self.voila_configuration
        return {"allowlist": rules.file_allowlist, "denylist": rules.file_denylist, "path": self.root_dir}

    def serve(self, sockets: list[socket], ready: Callable[[], None]) -> None:
        """Answer on `sockets` until SIGINT or SIGTERM, then end every kernel.

        Args:
            sockets: bound and listening.
            ready: called once, when the first page can be asked for.
        """
        asyncio.run(self._serve(sockets, ready))

    async def _serve(self, sockets: list[socket], ready: Callable[[], None]) -> None:
        stop = asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, stop.set)
        self.connection_dir = tempfile.mkdtemp(prefix="labkit_", dir=self.connection_dir_root)
        zygote = _fork.Zygote.of_this_python(self.log) if _fork.forks_safely() else None
        try:
            if zygote is not None:
                zygote.start()
            self.app = Application(**self.init_settings())
            self.kernel_manager.zygote = zygote
            if zygote is None:
                self.kernel_manager.spare = _spare.Spare(
                    self.kernel_manager, {"VOILA_REQUEST_URL": "", "VOILA_BASE_URL": self.base_url}, self.log
                )
                self.kernel_manager.spare.begin()
            self.app.add_handlers(".*$", self.init_handlers())
            server = HTTPServer(self.app)
            server.add_sockets(sockets)
            ready()
            await stop.wait()
            server.stop()
            if self.kernel_manager.spare is not None:
                self.kernel_manager.spare.close()
            await ensure_async(self.kernel_manager.shutdown_all(now=True))
        finally:
            if zygote is not None:
                zygote.close()
            shutil.rmtree(self.connection_dir, ignore_errors=True)
