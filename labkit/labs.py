"""The labs: where their notebooks lie, which one a person means, and what each asks, how long it takes and where it belongs.

Question, minutes and chapter are the lab's row in docs/labs.md, of which a wheel has a copy; the title is its notebook's.
"""

import json
import re
from dataclasses import dataclass
from pathlib import Path

from labkit.core.errors import LabkitError, unknown_name

HOME = "00_home"
THEMES = ("light", "dark")

_PACKAGE = Path(__file__).resolve().parent
_ROW = re.compile(r"^\| `(\w+)` \| (.+?) \| (\d+) \| (.+?) \|$", re.MULTILINE)


@dataclass(frozen=True)
class Lab:
    """What is said about a lab before it is opened.

    Attributes:
        name: its notebook's file name without the ending.
        title: its notebook's heading.
        question: what it answers, one sentence.
        minutes: how long it takes somebody who is new to it.
        chapter: of the course.
    """

    name: str
    title: str
    question: str
    minutes: int
    chapter: str


def labs_folder() -> Path:
    """Return the folder of the shipped labs: the wheel's own copy, else `labs/` at the top of the checkout.

    Raises:
        LabkitError: neither is there; the installation is broken.
    """
    return _shipped("labs", "labs")


def lab_names(folder: Path) -> list[str]:
    """Return the names of the labs in `folder`, sorted: the notebooks' file names without their ending.

    Raises:
        LabkitError: there is no notebook.
    """
    names = sorted(path.stem for path in folder.glob("*.ipynb"))
    if not names:
        raise LabkitError(f"{folder} holds no lab: a lab is a notebook, NN_name.ipynb")
    return names


def find_lab(lab: str | None, names: list[str]) -> str:
    """Return the full name of the lab that `lab` means.

    Args:
        lab: a full name ("02_pruning_granularity"), a number ("02" or "2") or None for the way in: the home lab where
            there is one, else the first.
        names: the labs that there are, at least one.

    Raises:
        UnknownNameError: nothing answers to it; the message names the nearest.
    """
    if lab is None:
        return HOME if HOME in names else names[0]
    if lab in names:
        return lab
    if lab.isascii() and lab.isdigit():
        for name in names:
            number = name.split("_", 1)[0]
            if number.isascii() and number.isdigit() and int(number) == int(lab):
                return name
    raise unknown_name("lab", lab, names)


def catalogue(folder: Path) -> list[Lab]:
    """Return the labs in `folder` that docs/labs.md lists, in order, without the home lab.

    Raises:
        LabkitError: there is no notebook, no catalogue, or a notebook begins without a heading.
    """
    rows = {name: rest for name, *rest in _ROW.findall(_shipped("labs.md", "docs/labs.md").read_text(encoding="utf-8"))}
    found = []
    for name in lab_names(folder):
        if name in rows and name != HOME:
            question, minutes, chapter = rows[name]
            found.append(Lab(name, title_of(folder / f"{name}.ipynb"), question, int(minutes), chapter))
    return found


def picture_name(lab: str, theme: str) -> str:
    """Return the name of a lab's small picture in the folder `pictures` beside the notebooks; `theme` is one of `THEMES`."""
    return f"{lab[:2]}-{theme}.webp"


def title_of(notebook: Path) -> str:
    """Return a notebook's first heading.

    Raises:
        LabkitError: it has none.
    """
    for cell in json.loads(notebook.read_text(encoding="utf-8"))["cells"]:
        found = re.search(r"^# (.+)$", "".join(cell["source"]), re.MULTILINE) if cell["cell_type"] == "markdown" else None
        if found:
            return found[1].strip()
    raise LabkitError(f"{notebook.name} must begin with a heading: its title")


def _shipped(in_wheel: str, in_checkout: str) -> Path:
    places = (_PACKAGE / "serve" / in_wheel, _PACKAGE.parent / in_checkout)
    for place in places:
        if place.exists():
            return place
    raise LabkitError(f"the labs are missing: looked in {places[0]} and {places[1]}; install labkit again")
