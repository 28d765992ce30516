"""YAML as a recipe needs it: plain values that mean what they look like, and nothing that could be meant in two ways.

YAML lets a text say a key twice (the last wins, silently), refer to itself, make objects by tags and nest without end; all
of this is refused. YAML 1.1 also takes 1e-3 for a text and 2026-01-01 for a date; here they are a number and a text.
"""

import re
from collections.abc import Hashable
from functools import cache
from typing import TYPE_CHECKING, Any

from labkit.core.errors import ConfigError, shown

if TYPE_CHECKING:
    import yaml

MOST_DEPTH = 16  # a recipe's step with a part of a part has 6
_FLOAT = re.compile(r"[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?$|[-+]?\.(inf|Inf|INF)$|\.(nan|NaN|NAN)$")
_INT = re.compile(r"[-+]?(0|[1-9]\d*)$")
_BOOL = re.compile(r"(true|True|TRUE|false|False|FALSE)$")
_NULL = re.compile(r"(~|null|Null|NULL|)$")
_TAG = "tag:yaml.org,2002:"


def load(text: str, what: str) -> Any:
    """Return the plain values that a YAML text holds; None for an empty one.

    Args:
        text: YAML, or JSON.
        what: noun for the messages ("recipe").

    Raises:
        ConfigError: it is not YAML, or something in it is refused.
    """
    import yaml

    try:
        _check_events(text, what)
        return yaml.load(text, _loader())
    except ConfigError:
        raise
    except yaml.YAMLError as error:
        raise ConfigError(f"the {what} is not YAML: {_in_words(error)}") from error
    except ValueError as error:  # a whole number of thousands of digits
        raise ConfigError(f"the {what} holds a value that cannot be read: {error}") from error


def dump(values: Any) -> str:
    """Return plain values as YAML that `load` reads."""
    import yaml

    text: str = yaml.dump(values, Dumper=_dumper(), sort_keys=False, allow_unicode=True)
    return text


def _check_events(text: str, what: str) -> None:
    """Refuse what must not even be built, before anything is; events come one by one, so that a deep text ends early."""
    import yaml

    depth = 0
    for event in yaml.parse(text, yaml.SafeLoader):
        if isinstance(event, yaml.AliasEvent):
            raise ConfigError(f"the {what} must spell out everything, got a YAML alias (*{event.anchor}): write it out")
        if isinstance(event, yaml.ScalarEvent | yaml.CollectionStartEvent) and event.tag is not None:
            raise ConfigError(f"the {what} must hold plain values only, got the YAML tag {shown(event.tag)}: leave it out")
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if depth > MOST_DEPTH:
            raise ConfigError(f"the {what} must be nested at most {MOST_DEPTH} deep: it is no {what}")


def _in_words(error: "yaml.YAMLError") -> str:
    """Return the problem and its place, without the excerpt of the text."""
    mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
    parts = [part for part in (getattr(error, "context", None), getattr(error, "problem", None)) if part]
    problem = " ".join((", ".join(parts) or str(error)).split())
    return f"{problem} (line {mark.line + 1}, column {mark.column + 1})" if mark is not None else problem


@cache
def _loader() -> Any:
    import yaml

    class Loader(yaml.SafeLoader):
        yaml_implicit_resolvers: dict[str, Any] = {}  # noqa: RUF012  # filled below, as the library does it

        def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
            seen: set[Any] = set()
            for key, _ in node.value:
                name = self.construct_object(key, deep=True)
                if not isinstance(name, Hashable):
                    raise yaml.constructor.ConstructorError(problem="a key must be a single value", problem_mark=key.start_mark)
                if name in seen:
                    raise ConfigError(f"line {key.start_mark.line + 1} says {shown(name)} a second time: keep one")
                seen.add(name)
            made: dict[Hashable, Any] = super().construct_mapping(node, deep=deep)
            return made

    _resolve(Loader)
    return Loader


@cache
def _dumper() -> Any:
    import yaml

    class Dumper(yaml.SafeDumper):
        def ignore_aliases(self, data: Any) -> bool:
            """Write equal values out each time."""
            return True

    _resolve(Dumper)  # besides its own: a text that either would take for something else is quoted
    return Dumper


def _resolve(cls: Any) -> None:
    """Say which plain scalars are not texts: those of JSON, as in YAML 1.2."""
    digits = list("0123456789")
    cls.add_implicit_resolver(f"{_TAG}null", _NULL, ["~", "n", "N", ""])
    cls.add_implicit_resolver(f"{_TAG}bool", _BOOL, list("tTfF"))
    cls.add_implicit_resolver(f"{_TAG}int", _INT, ["-", "+", *digits])
    cls.add_implicit_resolver(f"{_TAG}float", _FLOAT, ["-", "+", ".", *digits])
