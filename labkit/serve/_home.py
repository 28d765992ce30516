"""The home lab's page, made by the server itself: it computes nothing, so it needs no kernel and is there at once."""

import hashlib
import json
from pathlib import Path
from typing import Any

from jupyter_server.base.handlers import JupyterHandler
from jupyter_server.utils import url_path_join
from nbconvert.filters import markdown2html
from tornado import web

from labkit.labs import HOME, catalogue, title_of
from labkit.panels.home import cards

PICTURES = "pictures"
"""Folder beside the notebooks, and what stands for it in the address."""


class HomePageHandler(JupyterHandler):
    """`/labs/00_home`: the words of its notebook, then the cards of the labs that lie beside it."""

    def initialize(self, folder: Path) -> None:
        self.folder = folder

    @web.authenticated
    def get(self) -> None:
        notebook = self.folder / f"{HOME}.ipynb"
        if not notebook.is_file():
            raise web.HTTPError(404)
        made = cards(catalogue(self.folder), self._lab_url, self._picture_url)
        words = "\n".join(markdown2html(text) for text in _markdown(notebook))
        render: Any = self.render_template  # jupyter_server has no types here
        self.finish(render("home.html", title=title_of(notebook), words=words, cards=made))

    def _lab_url(self, lab: str) -> str:
        return str(url_path_join(self.base_url, "labs", lab))

    def _picture_url(self, name: str) -> str:
        path = self.folder / PICTURES / name
        version = hashlib.sha256(path.read_bytes()).hexdigest()[:12] if path.is_file() else ""
        return f"{url_path_join(self.base_url, PICTURES, name)}?v={version}"


class PictureHandler(web.StaticFileHandler):
    """The labs' small pictures, and nothing else of their folder; an address with the picture's `v=` is kept for good."""

    def validate_absolute_path(self, root: str, absolute_path: str) -> str | None:
        if Path(absolute_path).suffix != ".webp":
            raise web.HTTPError(404)
        return super().validate_absolute_path(root, absolute_path)


def _markdown(notebook: Path) -> list[str]:
    """The notebook's words: its cells of markdown."""
    cells = json.loads(notebook.read_text(encoding="utf-8"))["cells"]
    return ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "markdown"]
