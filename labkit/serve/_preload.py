"""What a kernel has done before anybody asks for it: imports, a trained network with its data, kernels compiled, panels built."""

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
    return (*FIRST, "labkit.workbench", *panels())


def panels() -> list[str]:
    """Return the module of each lab's panel."""
    folder = import_module("labkit.panels").__path__
    return [f"labkit.panels.{name}" for name in sorted(each.name for each in pkgutil.iter_modules(folder)) if not name.startswith("_")]


def load() -> None:
    """Import the modules, prepare the workbench of `NETWORK` and build the panels; safe to follow with a fork where torch has one thread."""
    for name in (*KERNEL, *modules()):
        import_module(name)
    import_module("labkit.workbench").workbench(NETWORK).prepare()
    with import_module("labkit.panels._ahead").building():
        for module in map(import_module, panels()):
            if hasattr(module, "panel"):  # the home lab is plain HTML
                module.panel()
