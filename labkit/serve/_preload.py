"""What a kernel has done before anybody asks for it: imports, a trained network with its data, kernels compiled."""

import pkgutil
from importlib import import_module

KERNEL = (
    "ipykernel.debugger",
    "IPython.core.completerlib",
    "IPython.core.debugger",
    "IPython.core.oinspect",
    "IPython.extensions.storemagic",
    "psutil",
    "tornado.platform.asyncio",
)
"""What ipykernel imports when it starts."""

FIRST = ("numpy", "torch", "numba", "bokeh.models", "ipywidgets", "jupyter_bokeh", "anywidget")

NETWORK = "vgg-small-bn"
"""The network that most labs open with."""


def modules() -> tuple[str, ...]:
    """Return the modules that are imported ahead, in order: the heavy ones, the workbench, and the panel of every lab."""
    panels = import_module("labkit.panels")
    own = sorted(each.name for each in pkgutil.iter_modules(panels.__path__) if not each.name.startswith("_"))
    return (*FIRST, "labkit.workbench", *(f"labkit.panels.{name}" for name in own))


def load() -> None:
    """Import the modules and prepare the workbench of `NETWORK`; safe to follow with a fork where torch has one thread."""
    for name in (*KERNEL, *modules()):
        import_module(name)
    import_module("labkit.workbench").workbench(NETWORK).prepare()
