"""Where the labs lie, and which one a person means."""

from pathlib import Path

from labkit.core.errors import LabkitError, unknown_name

_PACKAGE = Path(__file__).resolve().parent
HOME = "00_home"


def labs_folder() -> Path:
    """Return the folder of the shipped labs: the wheel's own copy, else `labs/` at the top of the checkout.

    Raises:
        LabkitError: neither is there; the installation is broken.
    """
    places = (_PACKAGE / "labs", _PACKAGE.parent.parent / "labs")
    for place in places:
        if place.is_dir():
            return place
    raise LabkitError(f"the labs are missing: looked in {places[0]} and {places[1]}; install labkit again")


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
