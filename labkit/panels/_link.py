"""A lab's whole state as readable text for the address, and back: `network=lenet-5&prune.ratio.sparsity=0.8`.

Only what differs from the lab's first state is written. What is read may be hostile: it is looked up among the state's own
fields and the declarations of their settings, clamped to their ranges, and ignored piece by piece where it fits nothing.
"""

import dataclasses
import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar
from urllib.parse import quote, unquote

from labkit.core.errors import LabkitError, UnknownNameError
from labkit.core.params import Config, Spec
from labkit.core.registry import find, method_of, methods

MOST_CHARACTERS = 4000
MOST_PAIRS = 100
_LONGEST_NUMBER = 40
_LONGEST_SHOWN = 40
_NUMBER = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")
_WORDS = {"true": True, "false": False}

S = TypeVar("S")
Path = tuple[str, ...]
Choices = Callable[[str, Any], Sequence[str]]


@dataclass(frozen=True)
class Read(Generic[S]):
    """What a link says.

    Attributes:
        state: the first one with all that could be taken.
        notes: what could not, a clause each.
    """

    state: S
    notes: tuple[str, ...] = ()

    @property
    def sentence(self) -> str:
        """The notes as one sentence, empty where there are none."""
        if not self.notes:
            return ""
        more = f"; and {len(self.notes) - 3} more" if len(self.notes) > 3 else ""
        return f"Not all of the link could be followed: {'; '.join(self.notes[:3])}{more}."


def link_of(state: Any, first: Any) -> str:
    """Return what differs between two states of one frozen dataclass, as text for an address.

    Args:
        state: fields are str, bool, int, float or `Config`.
        first: the state of an empty link.
    """
    pairs: list[tuple[Path, Any]] = []
    for field in dataclasses.fields(first):
        new, old = getattr(state, field.name), getattr(first, field.name)
        if isinstance(new, Config):
            pairs += _differences((field.name,), new, old)
        elif new != old:
            pairs.append(((field.name,), new))
    return "&".join(f"{'.'.join(path)}={quote(_text(value), safe='')}" for path, value in pairs)


def _differences(path: Path, new: Config, old: Config) -> Iterator[tuple[Path, Any]]:
    if type(new) is not type(old):
        yield path, method_of(new).name
        old = type(new)()
    for spec in new.specs():
        now, before = getattr(new, spec.name), getattr(old, spec.name)
        if spec.family:
            yield from _differences((*path, spec.name), now, before)
        elif now != before:
            yield (*path, spec.name), now


def _text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else repr(value) if isinstance(value, float) else str(value)


def read_link(text: str, first: S, choices: Choices) -> Read[S]:
    """Return the state that a link stands for; any text gives a valid one.

    Args:
        text: what follows the `#`; whoever wrote it may be hostile.
        first: the state of an empty link.
        choices: `choices(field, state)` gives the permitted values of a field of the state that holds text; `state` has
            what was read of the fields before it.
    """
    asked, notes = _pairs(text)
    names = [field.name for field in dataclasses.fields(first)]  # type: ignore[arg-type]  # S is a dataclass
    notes += [f"{_shown('.'.join(path))} is no setting of this lab" for path in asked if path[0] not in names]
    state: Any = first
    for name in names:
        mine, old = _below(asked, name), getattr(state, name)
        if not mine:
            continue
        value, more = _read_config(old, mine) if isinstance(old, Config) else _read_plain(old, mine, choices(name, state))
        state = dataclasses.replace(state, **{name: value})
        notes += [f"{name}{note}" for note in more]
    return Read(state, tuple(notes))


def _pairs(text: str) -> tuple[dict[Path, str], list[str]]:
    """Return the pairs of a link, each key once, and what is wrong with it as a whole."""
    if len(text) > MOST_CHARACTERS:
        return {}, ["it is too long to be one of this lab's"]
    words = [word for word in text.lstrip("#").split("&") if word]
    found: dict[Path, str] = {}
    notes = ["it has too many settings"] if len(words) > MOST_PAIRS else []
    for word in words[:MOST_PAIRS]:
        key, _, value = word.partition("=")
        path = tuple(unquote(key).split("."))
        if path in found:
            notes.append(f"{_shown('.'.join(path))} is given twice")
        else:
            found[path] = unquote(value)
    return found, notes


def _below(asked: Mapping[Path, str], name: str) -> dict[Path, str]:
    return {path[1:]: text for path, text in asked.items() if path[0] == name}


def _read_plain(old: Any, asked: Mapping[Path, str], choices: Sequence[str]) -> tuple[Any, list[str]]:
    """Return a field of the state that is no config; its permitted texts are `choices`."""
    spec = Spec("", type(old), old, choices=tuple(choices) if isinstance(old, str) else ())
    value, notes = old, [_unknown(path) for path in asked if path]
    if () in asked:
        value, note = (old, f" has no choice {_shown(asked[()])}") if isinstance(old, str) and not choices else _value(spec, asked[()], old)
        notes += [note] if note else []
    return value, notes


def _read_config(old: Config, asked: Mapping[Path, str]) -> tuple[Config, list[str]]:
    """Return a config with what is asked; where the whole is refused, with as much as is not, one after another."""
    family = _family(old)
    try:
        return _merged(old, asked, family)
    except LabkitError:
        taken: dict[Path, str] = {}
        waiting = dict(asked)
        while (found := next((path for path in waiting if _is_valid(old, taken | {path: waiting[path]}, family)), None)) is not None:
            taken[found] = waiting.pop(found)
        config, notes = _merged(old, taken, family)
        return config, [*notes, *(f"{_dotted(path)} does not go with the rest" for path in waiting)]


def _family(config: Config) -> str:
    """Return the family whose methods may take a config's place; empty for settings that are no method's."""
    try:
        return method_of(config).family
    except UnknownNameError:
        return ""


def _is_valid(old: Config, asked: Mapping[Path, str], family: str) -> bool:
    try:
        _merged(old, asked, family)
    except LabkitError:
        return False
    return True


def _merged(old: Config, asked: Mapping[Path, str], family: str) -> tuple[Config, list[str]]:
    base, notes = old, []
    name = asked.get(())
    if name is not None and family and name in [method.name for method in methods(family)]:
        base = old if method_of(old).name == name else find(name, family).config()
    elif name is not None:
        notes.append(f" has no choice {_shown(name)}")
    specs = {spec.name: spec for spec in base.specs()}
    notes += [_unknown(path) for path in asked if path and path[0] not in specs]
    values: dict[str, Any] = {}
    for spec in specs.values():
        now, mine = getattr(base, spec.name), {path[1:]: text for path, text in asked.items() if path[:1] == (spec.name,)}
        if spec.family:
            values[spec.name], more = _merged(now, mine, spec.family)
        else:
            values[spec.name], note = _value(spec, mine[()], now) if () in mine else (now, "")
            more = ([note] if note else []) + [_unknown(path) for path in mine if path]
        notes += [f".{spec.name}{each}" for each in more]
    return type(base)(**values), notes


def _value(spec: Spec, text: str, old: Any) -> tuple[Any, str]:
    """Return what `text` means for a setting, or its old value, and a clause on what was not as it should be."""
    if spec.choices:
        found = next((choice for choice in spec.choices if _text(choice) == text), None)
        return (old, f" has no choice {_shown(text)}") if found is None else (found, "")
    if spec.kind is bool:
        return (_WORDS[text], "") if text in _WORDS else (old, f" must be true or false, not {_shown(text)}")
    if spec.kind is str:
        return text, ""
    return _number(spec, text, old)


def _number(spec: Spec, text: str, old: Any) -> tuple[Any, str]:
    is_number = len(text) <= _LONGEST_NUMBER and _NUMBER.fullmatch(text) is not None
    if not is_number or not math.isfinite(float(text)):
        return old, f" must be a number, not {_shown(text)}"
    value: int | float = float(text)
    if spec.kind is int:
        value = int(text) if text.lstrip("+-").isdigit() else round(value)
    low, high = -math.inf if spec.low is None else spec.low, math.inf if spec.high is None else spec.high
    clamped = min(max(value, low), high)
    if clamped == value:
        return value, ""
    return spec.kind(clamped), f" goes from {low:g} to {high:g}: {clamped:g} was taken"


def _unknown(path: Path) -> str:
    return f"{_dotted(path)} is no setting of this lab"


def _dotted(path: Path) -> str:
    return "".join(f".{_shown(name)}" for name in path[:4])


def _shown(text: str) -> str:
    """Return a text of the link as a sentence may hold it: on one line, and cut."""
    line = "".join(char if char.isprintable() else "?" for char in text[: _LONGEST_SHOWN + 1])
    return line if len(line) <= _LONGEST_SHOWN else f"{line[:_LONGEST_SHOWN]}…"
