"""One declaration per setting: a field made by `param` is checked, documented, drawn and tested from that declaration.

    @dataclass(frozen=True, kw_only=True)
    class MagnitudeConfig(Config):
        p: float = param(1.0, low=0.5, high=4.0, step=0.5, help="norm used to score a group of weights")

feeds the check at construction, the table in the method's card, the slider in a lab and the bad values of the contract
tests. `part` declares a setting that is itself a configured method of another family, such as the granularity of a
pruning step; in a recipe it reads `granularity: {name: n_m, n: 2, m: 4}`.
"""

import dataclasses
import json
import math
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, Self, get_type_hints

from labkit.core.errors import ConfigError, UnknownNameError, shown, unknown_name

_SPEC = "labkit"


@dataclass(frozen=True)
class Spec:
    """What `param` or `part` said of a field.

    Attributes:
        name: the field's name.
        kind: bool, int, float or str; for a part, `Config`.
        default: the value when none is given; for a part, the default method's name.
        low, high: closed range of a number, None where it is open.
        step: distance between neighbours on a slider.
        choices: the permitted values, empty for a number.
        unit: of the number, "" for none.
        help: one line for the tooltip and the table.
        family: of a part, the family its method comes from; else "".
    """

    name: str
    kind: type
    default: Any
    low: float | None = None
    high: float | None = None
    step: float | None = None
    choices: tuple[Any, ...] = ()
    unit: str = ""
    help: str = ""
    family: str = ""

    def bad_values(self) -> list[Any]:
        """Return values that the check must refuse, for the contract tests."""
        if self.family:
            return ["no_such_method", {"name": "no_such_method"}, 3]
        if self.kind is bool:
            return ["yes", 2, None]
        if self.choices:
            return ["no such choice", None]
        if self.kind is str:
            return [3, None]
        bad: list[Any] = ["much", None, True, math.nan, math.inf]
        bad += [0.5] if self.kind is int else []
        bad += [self.low - max(1, abs(self.low))] if self.low is not None else []
        return bad + ([self.high + max(1, abs(self.high))] if self.high is not None else [])


def param(
    default: Any,
    *,
    low: float | None = None,
    high: float | None = None,
    step: float | None = None,
    choices: tuple[Any, ...] = (),
    unit: str = "",
    help: str,
) -> Any:
    """Declare a field of a `Config`: its default, permitted values and how it is shown. See `Spec` for the arguments."""
    spec = Spec("", type(default), default, low, high, step, tuple(choices), unit, help)
    return dataclasses.field(default=default, metadata={_SPEC: spec})


def part(family: str, default: str, *, help: str) -> Any:
    """Declare a field that holds the config of a registered method of `family`; `default` is that method's name."""
    spec = Spec("", Config, default, help=help, family=family)

    def make() -> Config:
        from labkit.core.registry import find

        return find(default, family).config()

    return dataclasses.field(default_factory=make, metadata={_SPEC: spec})


@dataclass(frozen=True, kw_only=True)
class Config:
    """Base of all settings: frozen keyword-only dataclasses whose values are checked when they are made."""

    def __post_init__(self) -> None:
        for spec in self.specs():
            object.__setattr__(self, spec.name, _checked(f"{type(self).__name__}.{spec.name}", spec, getattr(self, spec.name)))
        self.validate()

    def validate(self) -> None:
        """Check what no single field can say; a subclass raises `ConfigError` from here."""

    @classmethod
    def specs(cls) -> tuple[Spec, ...]:
        """Return the declaration of each field, in order."""
        return _specs(cls)  # type: ignore[arg-type]  # a class is hashable, whatever its instances are

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """Make a config from plain values, refusing names that it does not have.

        Raises:
            ConfigError: a value is out of range or of the wrong type.
            UnknownNameError: a key is not a field; the message names the nearest one.
        """
        if not isinstance(values, Mapping):
            raise ConfigError(f"{cls.__name__} must be given as names with values, got {values!r}")
        names = [spec.name for spec in cls.specs()]
        for key in values:
            if key not in names:
                raise unknown_name(f"setting of {cls.__name__}", key, names or ["none"])
        return cls(**values)

    def to_dict(self) -> dict[str, Any]:
        """Return every field as plain values, parts as `{name: …, **fields}`."""
        out: dict[str, Any] = {}
        for spec in self.specs():
            value = getattr(self, spec.name)
            out[spec.name] = value if not isinstance(value, Config) else {"name": _name_of(value), **value.to_dict()}
        return out

    def replace(self, **changes: Any) -> Self:
        """Return a copy with some fields changed, checked again."""
        return dataclasses.replace(self, **changes)


@cache
def _specs(cls: type[Config]) -> tuple[Spec, ...]:
    if any(isinstance(value, dataclasses.Field) for value in vars(cls).values()):
        raise TypeError(f"{cls.__name__} must be decorated with @dataclass(frozen=True, kw_only=True): its fields are not seen without")
    hints = get_type_hints(cls)
    out = []
    for field in dataclasses.fields(cls):
        spec = field.metadata.get(_SPEC)
        if spec is None:
            raise TypeError(f"{cls.__name__}.{field.name} must be declared with param(…) or part(…)")
        kind = spec.kind if spec.family else hints[field.name]
        if field.name == "name" or not (spec.family or spec.choices or kind in (bool, int, float, str)):
            raise TypeError(f"{cls.__name__}.{field.name} must be bool, int, float or str, or have choices, and not be called `name`")
        out.append(dataclasses.replace(spec, name=field.name, kind=kind))
    return tuple(out)


def _name_of(config: Config) -> str:
    from labkit.core.registry import method_of

    return method_of(config).name


def _checked(where: str, spec: Spec, value: Any) -> Any:
    """Return `value` in the field's own type, or raise with where, what must be and what was got."""
    if spec.family:
        return _checked_part(where, spec, value)
    if spec.choices:
        if not any(type(value) is type(choice) and value == choice for choice in spec.choices):
            raise ConfigError(f"{where} must be one of {', '.join(map(str, spec.choices))}, got {shown(value)}")
        return value
    if spec.kind in (bool, str):
        if not isinstance(value, spec.kind):
            raise ConfigError(f"{where} must be {'true or false' if spec.kind is bool else 'text'}, got {shown(value)}")
        return value
    return _checked_number(where, spec, value)


def _checked_number(where: str, spec: Spec, value: Any) -> int | float:
    noun = "a whole number" if spec.kind is int else "a number"
    if isinstance(value, bool) or not isinstance(value, int | float) or not _is_finite(value):
        raise ConfigError(f"{where} must be {noun}{_range(spec)}, got {shown(value)}")
    if spec.kind is int and value != int(value):
        raise ConfigError(f"{where} must be a whole number{_range(spec)}, got {shown(value)}")
    if (spec.low is not None and value < spec.low) or (spec.high is not None and value > spec.high):
        raise ConfigError(f"{where} must be{_range(spec)}, got {shown(value)}")
    return int(value) if spec.kind is int else float(value) + 0.0  # -0.0 becomes 0.0: equal settings have equal hashes


def _is_finite(value: int | float) -> bool:
    """Whether `value` is a number that a float can hold; Python's own check fails on whole numbers of 400 digits."""
    return abs(value) <= sys.float_info.max


def _range(spec: Spec) -> str:
    low = "-inf" if spec.low is None else f"{spec.low:.12g}"
    high = "inf" if spec.high is None else f"{spec.high:.12g}"
    return "" if spec.low is None and spec.high is None else f" in [{low}, {high}]"


def _checked_part(where: str, spec: Spec, value: Any) -> Config:
    from labkit.core.registry import find, method_of

    if isinstance(value, Config):
        if method_of(value).family != spec.family:
            raise ConfigError(f"{where} must be a method of {spec.family}, got {method_of(value).name!r} of {method_of(value).family}")
        return value
    if isinstance(value, str):
        value = {"name": value}
    if not isinstance(value, Mapping) or not isinstance(value.get("name"), str):
        raise ConfigError(f"{where} must be a name or {{name: …}} of a method of {spec.family}, got {shown(value)}")
    rest = {key: each for key, each in value.items() if key != "name"}
    try:
        return find(value["name"], spec.family).config.from_dict(rest)
    except UnknownNameError as error:
        raise UnknownNameError(f"{where}: {error}") from error


def canonical_json(value: Any) -> str:
    """Return `value` as JSON with sorted keys and no spaces: the form that hashes are taken of."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)


def spec_at(config: Config, path: tuple[str, ...]) -> Spec:
    """Return the declaration of the field at `path`, a field's name after the names of the parts that lead to it.

    Raises:
        UnknownNameError: there is no such field.
    """
    *parts, name = path
    holder = value_at(config, tuple(parts))
    specs = {spec.name: spec for spec in holder.specs()}
    if name not in specs:
        raise unknown_name(f"setting of {type(holder).__name__}", name, specs or ["none"])
    spec: Spec = specs[name]
    return spec


def value_at(config: Config, path: tuple[str, ...]) -> Any:
    """Return the value at `path`; the empty path is the config itself."""
    value: Any = config
    for name in path:
        value = getattr(value, name)
    return value


def replace_at(config: Config, path: tuple[str, ...], value: Any) -> Any:
    """Return a copy of `config` with the field at `path` changed; everything on the way is checked again."""
    name, *rest = path
    return config.replace(**{name: replace_at(getattr(config, name), tuple(rest), value) if rest else value})
