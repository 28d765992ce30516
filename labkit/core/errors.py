"""Everything a person can get wrong, as exceptions whose message is one clear sentence.

A message says where, what must be, what was got and what to do. The command line prints it after `labkit:` and exits
with a non-zero code; a lab shows it in its status line. Anything else that is raised is a defect of labkit.
"""

import difflib
from collections.abc import Iterable
from typing import Any

_LONGEST = 120  # characters of a value in a message


class LabkitError(Exception):
    """Base of the errors that a person can cause and mend."""


class ConfigError(LabkitError, ValueError):
    """A setting is out of range, of the wrong type or unknown."""


class UnknownNameError(LabkitError, LookupError):
    """A name that nothing answers to."""


class DataError(LabkitError):
    """A data set is missing, damaged or not what it says it is."""


class FileFormatError(LabkitError):
    """A file that labkit reads is damaged, hostile or of another version."""


class ModelError(LabkitError):
    """A network that a method cannot treat: NaN weights, an operation it does not know."""


class Cancelled(LabkitError):
    """Work that was stopped because somebody asked for it.

    Attributes:
        partial: what had been reached, where the work keeps that; `labkit.flow.compress` leaves a `Compressed` here.
    """

    partial: Any = None


def unknown_name(kind: str, name: object, known: Iterable[str]) -> UnknownNameError:
    """Make the error for an unknown name, with the nearest known one where there is one.

    Args:
        kind: what was looked up, in the singular ("network", "method").
        name: what was asked for.
        known: every name that would have been right.
    """
    names = sorted(known)
    close = difflib.get_close_matches(name, names, n=1) if isinstance(name, str) and len(name) <= _LONGEST else []
    hint = f"did you mean {close[0]!r}? " if close else ""
    return UnknownNameError(f"unknown {kind} {shown(name)}: {hint}known are {', '.join(names) or 'none'}")


def shown(value: object) -> str:
    """Return `value` as a message shows it: its repr, cut where it is too long for a sentence."""
    try:
        text = repr(value)
    except ValueError:  # a whole number of more digits than Python is willing to print
        return "a number of very many digits"
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"
