"""The built wheel, in an environment of its own in another folder: it carries all that it needs, and nothing that it does not."""

import subprocess
import sys
import sysconfig
import tarfile
import venv
import zipfile
from pathlib import Path

import pytest

from benchmarks import _browser, live
from labkit.core.registry import methods
from labkit.labs import THEMES, catalogue, labs_folder, picture_name
from tests.architecture.source import tracked

ROOT = _browser.ROOT
LAB = "02_pruning_granularity"
BUILD_SDIST = "import sys; from hatchling.build import build_sdist; print(build_sdist(sys.argv[1]))"
# Python runs this first in the new environment: it writes down every file of the repository that is opened.
GUARD = """import sys


def _told(event, args):
    name = args[0] if event == "open" and args else None
    if isinstance(name, str) and name.startswith({root!r}) and not name.startswith({allowed!r}):
        with open({told!r}, "a") as out:
            out.write(name + "\\n")


sys.addaudithook(_told)
"""


def build_wheel(source: Path, folder: Path) -> Path:
    """Build the wheel of a source folder, with nothing downloaded."""
    words = ["wheel", "--quiet", "--no-build-isolation", "--no-deps", "--no-index", "--wheel-dir", str(folder), str(source)]
    subprocess.run([sys.executable, "-m", "pip", *words], check=True, cwd=folder)
    (wheel,) = folder.glob("labkit-*.whl")
    return wheel


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> Path:
    return build_wheel(ROOT, tmp_path_factory.mktemp("wheel"))


@pytest.fixture(scope="module")
def environment(wheel, tmp_path_factory) -> Path:
    """A new environment: labkit from the wheel, what it depends on from the one that runs the tests."""
    folder = tmp_path_factory.mktemp("elsewhere") / "env"
    venv.create(folder, with_pip=False, symlinks=True)
    site = Path(sysconfig.get_path("purelib", "venv", {"base": str(folder), "platbase": str(folder)}))
    # A folder named in a .pth file is searched, but its own .pth files, of which one leads to the repository, are not read.
    site.joinpath("dependencies.pth").write_text("\n".join({sysconfig.get_path("purelib"), sysconfig.get_path("platlib")}) + "\n")
    guard = GUARD.format(root=f"{ROOT}/", allowed=f"{sys.prefix}/", told=str(folder / "told.txt"))
    site.joinpath("sitecustomize.py").write_text(guard)
    pip = [
        sys.executable,
        "-m",
        "pip",
        "--python",
        str(folder),
        "install",
        "--quiet",
        "--ignore-installed",
        "--no-deps",
        "--no-index",
        str(wheel),
    ]
    subprocess.run(pip, check=True, cwd=folder)
    return folder


@pytest.fixture(scope="module")
def installed(browser, environment, tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("JUPYTER_PATH", str(Path(sys.prefix) / "share" / "jupyter"))  # the dependencies' own files
        command = [str(environment / "bin" / "labkit"), "lab", "--no-browser", "--port", "{port}"]
        folder = tmp_path_factory.mktemp("cwd")
        with _browser.running_server(folder, folder / "log.txt", command=command, cwd=folder) as running:
            yield running


def test_the_wheel_holds_what_labkit_reads_and_nothing_else(wheel):
    names = set(zipfile.ZipFile(wheel).namelist())
    assert all(name.startswith(("labkit/", "labkit-")) for name in names)
    ours = {path.relative_to(ROOT).as_posix() for path in tracked() if path.is_relative_to(ROOT / "labkit")}
    assert ours - names == set()
    for method in methods():
        assert f"labkit/{method.family.replace('.', '/')}/{method.name}.md" in names
    for lab in catalogue(labs_folder()):
        assert f"labkit/serve/labs/{lab.name}.ipynb" in names
        assert {f"labkit/serve/labs/pictures/{picture_name(lab.name, theme)}" for theme in THEMES} <= names
    assert {"labkit/serve/labs/00_home.ipynb", "labkit/serve/labs.md", "labkit/results/02.json", "labkit/py.typed"} <= names
    unwanted = ("tests/", "-checkpoint.ipynb", "__pycache__", "shots/", ".partial.", "raw/")
    assert [name for name in names if any(each in name for each in unwanted)] == []
    assert [name for name in names if name.endswith(".png") and "/sheets/" not in name] == []


def test_a_wheel_made_of_the_source_archive_is_the_same(wheel, tmp_path):
    made = subprocess.run([sys.executable, "-c", BUILD_SDIST, str(tmp_path)], cwd=ROOT, capture_output=True, text=True, check=True)
    with tarfile.open(tmp_path / made.stdout.split()[-1]) as archive:
        archive.extractall(tmp_path, filter="data")
    (source,) = tmp_path.glob("labkit-*/")
    (tmp_path / "out").mkdir()
    again = zipfile.ZipFile(build_wheel(source, tmp_path / "out"))
    once = zipfile.ZipFile(wheel)
    assert {each.filename: each.CRC for each in again.infolist()} == {each.filename: each.CRC for each in once.infolist()}


def test_lab_02_opens_with_no_file_of_the_repository_in_reach(browser, installed, environment, tmp_path):
    python, told = str(environment / "bin" / "python"), environment / "told.txt"
    where = [python, "-c", "import labkit; print(labkit.__file__)"]
    found = subprocess.run(where, cwd=tmp_path, env={"PATH": ""}, capture_output=True, text=True, check=True).stdout
    assert found.startswith(str(environment))
    subprocess.run([python, "-c", f"open({str(ROOT / 'pyproject.toml')!r})"], check=True)
    assert told.read_text() == f"{ROOT / 'pyproject.toml'}\n", "the guard sees nothing"
    told.unlink()
    record = _browser.Record()
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    try:
        page = context.new_page()
        record.watch(page)
        page.goto(installed.url, timeout=_browser.READY_TIMEOUT_MS)
        picture = page.locator(f'[data-lab="{LAB}"] img.is-light')
        page.wait_for_function("node => node.complete && node.naturalWidth > 0", arg=picture.element_handle())
        page.get_by_role("link", name="Pruning granularity").click()
        page.wait_for_selector(live.SLIDER, timeout=_browser.READY_TIMEOUT_MS)
        page.wait_for_selector(f"{live.MASK_LABEL}[aria-label]", timeout=_browser.READY_TIMEOUT_MS)
        before = page.locator(live.MASK_LABEL).get_attribute("aria-label")
        page.locator(live.SLIDER).first.press("ArrowRight")
        page.wait_for_function("([at, old]) => document.querySelector(at).ariaLabel !== old", arg=[live.MASK_LABEL, before])
        page.wait_for_function("() => document.querySelector('.lk-score').textContent.includes('10,000')", timeout=60_000)
        assert record.errors == []
        assert record.foreign(installed) == set()
    finally:
        context.close()
    assert not told.exists(), f"files of the repository were opened: {sorted(set(told.read_text().split()))}"
