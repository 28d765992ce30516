"""Everything a person can get wrong, as exceptions whose message is one clear sentence.

A message says where, what must be, what was got and what to do. The command line prints it after `labkit:` and exits
with a non-zero code; a lab shows it in its status line. Anything else that is raised is a defect of labkit.
"""

import difflib
from collections.abc import Iterable


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
    """Work that was stopped because somebody asked for it."""


def unknown_name(kind: str, name: object, known: Iterable[str]) -> UnknownNameError:
    """Make the error for an unknown name, with the nearest known one where there is one.

    Args:
        kind: what was looked up, in the singular ("network", "method").
        name: what was asked for.
        known: every name that would have been right.
    """
    names = sorted(known)
    close = difflib.get_close_matches(str(name), names, n=1)
    hint = f"did you mean {close[0]!r}? " if close else ""
    return UnknownNameError(f"unknown {kind} {name!r}: {hint}known are {', '.join(names)}")
