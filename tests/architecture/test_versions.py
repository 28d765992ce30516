"""What must be equal in several files is: the version, the dependencies and their pins."""

import re
import tomllib
from typing import Any

import yaml

import labkit
from tests.architecture.papers import tables
from tests.architecture.source import ROOT

CONDA_NAMES = {"torch": "pytorch-cpu", "jupyter-bokeh": "jupyter_bokeh"}


def project() -> dict[str, Any]:
    return tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


def requirement(text: str) -> tuple[str, str]:
    """Split `numpy>=1.26; extra` into its normal name and its pin."""
    match = re.match(r"^([\w.-]+)(?:\[[^]]*\])?\s*([^;]*)", text)
    assert match, text
    return re.sub(r"[-_.]+", "-", match[1]).lower(), match[2].strip()


def dependencies() -> dict[str, str]:
    return dict(requirement(each) for each in project()["project"]["dependencies"])


def test_version_is_declared_once_and_in_the_changelog() -> None:
    assert project()["project"]["dynamic"] == ["version"]
    assert project()["tool"]["hatch"]["version"]["path"] == "labkit/__init__.py"
    versions = re.findall(r"^## \[?(\d+\.\d+\.\d+)", (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert versions[:1] == [labkit.__version__], f"the newest entry of CHANGELOG.md is {versions[:1]}, the package is {labkit.__version__}"


def test_environment_has_the_same_dependencies() -> None:
    listed = yaml.safe_load((ROOT / "environment.yml").read_text(encoding="utf-8"))["dependencies"]
    have = dict(re.match(r"^([\w-]+)(.*)$", each).groups() for each in listed)  # type: ignore[union-attr]
    binder = dict(requirement(each) for each in project()["project"]["optional-dependencies"]["binder"])
    want = {CONDA_NAMES.get(name, name): pin for name, pin in (dependencies() | binder).items()}
    assert re.fullmatch(r"=3\.\d+", have.pop("python")), "environment.yml pins one Python, as in python=3.12"
    assert have.pop("pip") == ""
    assert have == want


def test_a_package_has_one_pin_wherever_it_is_asked_for() -> None:
    lists = [project()["project"]["dependencies"], project()["build-system"]["requires"]]
    pins: dict[str, set[str]] = {}
    for each in [*lists, *project()["project"]["optional-dependencies"].values()]:
        for name, pin in map(requirement, each):
            pins.setdefault(name, set()).add(pin)
    assert {name: sorted(found) for name, found in pins.items() if len(found) > 1} == {}


def test_every_peer_of_the_bench_is_there_in_the_tests() -> None:
    extras = project()["project"]["optional-dependencies"]
    assert set(extras["bench"]) <= set(extras["test"])


def test_binder_builds_the_same_environment() -> None:
    assert (ROOT / "binder" / "environment.yml").read_bytes() == (ROOT / "environment.yml").read_bytes()


def test_the_launch_link_leads_to_what_the_package_offers_a_jupyter_server() -> None:
    (link,) = re.findall(r"https://mybinder\.org/\S+", (ROOT / "README.md").read_text(encoding="utf-8"))
    (name,) = project()["project"]["entry-points"]["jupyter_serverproxy_servers"]
    assert link.endswith(f"?urlpath={name}/")


def test_every_dependency_has_a_reason() -> None:
    rows = [row for rows in tables((ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")) for row in rows if "dependency" in row]
    explained = {requirement(name)[0] for row in rows for name in re.findall(r"`([\w.-]+)`", row["dependency"])}
    extras = project()["project"]["optional-dependencies"].values()
    needed = dependencies().keys() | {requirement(each)[0] for extra in extras for each in extra}
    needed |= {requirement(each)[0] for each in project()["build-system"]["requires"]}
    assert needed - explained == set(), "CONTRIBUTING.md has no line for these"
    assert explained - needed == set(), "CONTRIBUTING.md explains what pyproject.toml no longer needs"
    assert all(len(row["what else was considered"].split()) >= 2 for row in rows), "say what else was considered"


def test_oldest_python_is_the_same_everywhere() -> None:
    oldest = project()["project"]["requires-python"].removeprefix(">=")
    assert project()["tool"]["mypy"]["python_version"] == oldest
    assert project()["tool"]["ruff"]["target-version"] == "py" + oldest.replace(".", "")
    assert f"Python {oldest}" in (ROOT / "README.md").read_text(encoding="utf-8")
