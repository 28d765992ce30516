"""What a page of JupyterLab lacks: BokehJS on `window`, without which a figure is a broken icon, and the labs' style.

Under Voilà the page's template has both. In JupyterLab they are put into the page as a script whose output is emptied
again in the same breath, so that no saved notebook carries a megabyte of JavaScript.
"""

import importlib.util
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

STYLE = Path(__file__).parent / "_static" / "lab.css"


def ensure_bokeh() -> None:
    """Load BokehJS and the labs' style into the page, if it is JupyterLab's and has them not yet; else do nothing."""
    if not in_jupyterlab(os.environ):
        return
    import IPython.display as notebook

    page: Any = notebook  # IPython has no types here
    handle = page.display(page.Javascript(page_script()), display_id=True)
    if handle is not None:
        handle.update(page.HTML(""))


def in_jupyterlab(environment: Mapping[str, str]) -> bool:
    """Whether the kernel belongs to a notebook that is open in JupyterLab: its server names the session then.

    Voilà, nbval and the command line start their kernels without a session.
    """
    return bool(environment.get("JPY_SESSION_NAME")) and "VOILA_REQUEST_URL" not in environment


def page_script() -> str:
    """Return the script that adds style and BokehJS to a page; running it again changes nothing.

    JupyterLab runs it in a function whose `this` is not the window, where BokehJS puts itself: so it is told.
    """
    style = json.dumps(STYLE.read_text(encoding="utf-8"))
    return f"""if (!document.getElementById("labkit-style")) {{
  const style = document.createElement("style");
  style.id = "labkit-style";
  style.textContent = {style};
  document.head.append(style);
}}
if (window.Bokeh === undefined) (function () {{
{_bokeh_js()}
}}).call(window);"""


def _bokeh_js() -> str:
    """Text of the installed bokeh's own BokehJS."""
    spec = importlib.util.find_spec("bokeh")
    if spec is None or spec.origin is None:
        raise ModuleNotFoundError("bokeh is not installed: install labkit again")
    return (Path(spec.origin).parent / "server" / "static" / "js" / "bokeh.min.js").read_text(encoding="utf-8")
