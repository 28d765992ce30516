"""What the server may do, in one place: Voilà's settings, the environment of the kernels, and where the files come from."""

import hashlib
import importlib.util
import os
from collections.abc import MutableMapping
from pathlib import Path

import voila
from traitlets.config import Config

SERVE = Path(__file__).resolve().parent
PANELS_STATIC = SERVE.parent / "panels" / "_static"
TEMPLATE = "labkit"
EXTENSIONS = (
    "@voila-dashboards/widgets-manager8",
    "@jupyter-widgets/jupyterlab-manager",
    "@bokeh/jupyter_bokeh",
    "anywidget",
)
MESSAGES = ("comm_open", "comm_close", "comm_msg", "comm_info_request", "kernel_info_request")

_THREAD_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS")
_MOST_THREADS = 4


def voila_config(folder: Path, base_url: str = "/") -> Config:
    """Return Voilà's settings for serving the labs in `folder` under `base_url` to people who are not trusted."""
    config = Config()
    config.Voila.root_dir = str(folder)
    config.Voila.base_url = base_url
    config.Voila.open_browser = False
    config.Voila.log_level = "WARN"
    config.VoilaConfiguration.template = TEMPLATE
    config.VoilaConfiguration.allow_template_override = "NO"
    config.VoilaConfiguration.allow_theme_override = "NO"
    config.VoilaConfiguration.strip_sources = True
    config.VoilaConfiguration.show_tracebacks = False
    config.VoilaConfiguration.extension_allowlist = list(EXTENSIONS)
    config.VoilaConfiguration.extension_denylist = []
    config.VoilaConfiguration.multi_kernel_manager_class = "labkit.serve._kernels.LabKernelManager"
    config.VoilaConfiguration.kernel_spec_manager_class = "labkit.serve._kernels.OwnKernelSpecManager"
    config.LabKernelManager.cull_idle_timeout = 3600
    config.LabKernelManager.cull_alone_timeout = 300
    config.LabKernelManager.cull_interval = 30
    config.KernelManager.autorestart = False  # a kernel that comes back empty under the same page is worse than none
    config.VoilaExecutor.startup_timeout = 120  # a plain kernel may still be importing what every lab needs
    config.VoilaExecutor.timeout = 300
    return config


def prepare_environment(environment: MutableMapping[str, str]) -> None:
    """Set what this process and the kernels that it starts read from the environment; what a person has set stays.

    The template is found through JUPYTER_PATH, so that a checkout and a wheel serve the same way. A kernel computes with
    one thread fewer than there are cores, four at most: the browser and the server want to breathe while a slider moves.
    """
    share = str(SERVE / "share" / "jupyter")
    before = [path for path in environment.get("JUPYTER_PATH", "").split(os.pathsep) if path and path != share]
    environment["JUPYTER_PATH"] = os.pathsep.join([share, *before])
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    for variable in _THREAD_VARIABLES:
        environment.setdefault(variable, str(max(1, min(_MOST_THREADS, cores - 1))))


def page_files() -> dict[str, Path]:
    """Return the files of our own that every page loads: the name in the URL → where it lies."""
    return {
        "lab.css": PANELS_STATIC / "lab.css",
        "page.css": SERVE / "_static" / "page.css",
        "page.js": SERVE / "_static" / "page.js",
        "bokeh.min.js": _package_folder("bokeh") / "server" / "static" / "js" / "bokeh.min.js",
    }


def fingerprint(extension_folders: list[str]) -> str:
    """Return a name that changes whenever a file that browsers keep for good could have changed.

    Args:
        extension_folders: where the front end's extensions are looked for.
    """
    digest = hashlib.sha256(voila.__version__.encode())
    for path in page_files().values():
        digest.update(path.read_bytes())
    for folder in extension_folders:
        for extension in EXTENSIONS:
            package = Path(folder) / extension / "package.json"
            if package.is_file():
                digest.update(package.read_bytes())
    return digest.hexdigest()[:12]


def _package_folder(name: str) -> Path:
    """Where an installed package lies, without importing it."""
    spec = importlib.util.find_spec(name)
    if spec is None or spec.origin is None:
        raise ModuleNotFoundError(f"{name} is not installed: install labkit again")
    return Path(spec.origin).parent
