import dataclasses
import json
import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labkit.core import registry
from labkit.core.errors import ConfigError, LabkitError, UnknownNameError
from labkit.core.params import Config, Spec, canonical_json, param, part
from labkit.core.registry import Method


@dataclass(frozen=True, kw_only=True)
class Plain(Config):
    share: float = param(0.5, low=0.0, high=0.99, step=0.01, help="share of zeros")
    count: int = param(4, low=1, high=4 << 20, unit="bytes", help="how many")
    scope: str = param("layer", choices=("layer", "global"), help="where")
    bits: int = param(8, choices=(8, 16), help="width")
    on: bool = param(False, help="whether")
    text: str = param("", help="a name")
    free: float = param(0.0, help="any number")


@dataclass(frozen=True, kw_only=True)
class InnerConfig(Config):
    n: int = param(2, low=1, high=16, help="how many of m")


@dataclass(frozen=True, kw_only=True)
class OtherConfig(Config):
    pass


@dataclass(frozen=True, kw_only=True)
class Outer(Config):
    inner: Config = part("test.inner", "inner", help="a method of its own")


def _method(name: str, family: str, config: type[Config]) -> Method:
    return Method(name, family, "test", config, lambda *_: None, "none", (), lambda: pytest.fail("not run"))


@pytest.fixture
def _catalogue(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A catalogue of two methods, without the real one."""
    monkeypatch.setattr(registry, "_imported", True)
    monkeypatch.setattr(registry, "_METHODS", {})
    monkeypatch.setattr(registry, "_BY_CONFIG", {})
    registry.register(_method("inner", "test.inner", InnerConfig))
    registry.register(_method("other", "test.other", OtherConfig))
    return


def test_defaults_build_and_read_back() -> None:
    assert Plain().to_dict() == {"share": 0.5, "count": 4, "scope": "layer", "bits": 8, "on": False, "text": "", "free": 0.0}


@pytest.mark.parametrize(("name", "bad"), [(spec.name, bad) for spec in Plain.specs() for bad in spec.bad_values()], ids=repr)
def test_each_bad_value_is_refused_where_it_stands(name: str, bad: Any) -> None:
    with pytest.raises(ConfigError, match=rf"^Plain\.{name} must be .*got "):
        Plain(**{name: bad})


def test_bad_values_reach_every_bound_and_type() -> None:
    share, count, scope, bits, on, text, free = (spec.bad_values() for spec in Plain.specs())
    assert {-1.0, 1.99} <= set(share)
    assert math.inf in share
    assert None in share
    assert {0, 8 << 20, 0.5} <= set(count)
    assert None in scope
    assert None in bits
    assert 2 in on
    assert 3 in text
    assert not any(isinstance(each, float) and math.isfinite(each) for each in free), "a number without a range takes every finite one"


@pytest.mark.parametrize(("low", "high"), [(-1e20, 1e20), (0, 1), (-5, -5)])
def test_bad_values_lie_outside_even_where_floats_are_coarse(low: float, high: float) -> None:
    numbers = [v for v in Spec("x", float, low, low, high).bad_values() if isinstance(v, float | int) and not isinstance(v, bool)]
    assert any(v < low for v in numbers)
    assert any(v > high and math.isfinite(v) for v in numbers)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"share": 1.2}, "Plain.share must be in [0, 0.99], got 1.2"),
        ({"count": 5_000_000}, "Plain.count must be in [1, 4194304], got 5000000"),
        ({"count": 1.5}, "Plain.count must be a whole number in [1, 4194304], got 1.5"),
        ({"free": math.nan}, "Plain.free must be a number, got nan"),
        ({"scope": "all"}, "Plain.scope must be one of layer, global, got 'all'"),
        ({"bits": True}, "Plain.bits must be one of 8, 16, got True"),
        ({"on": 1}, "Plain.on must be true or false, got 1"),
        ({"text": 1}, "Plain.text must be text, got 1"),
    ],
)
def test_messages_say_where_what_must_be_and_what_was_got(values: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        Plain(**values)
    assert str(caught.value) == message


@pytest.mark.parametrize("value", [10**400, -(10**400), 10**5000, [1], {"a": 1}, b"1", 1j], ids=lambda value: type(value).__name__)
def test_no_value_from_a_recipe_escapes_as_another_error(value: Any) -> None:
    for spec in Plain.specs():
        with pytest.raises(LabkitError):
            Plain(**{spec.name: value})


def test_a_value_that_compares_to_an_array_is_refused_among_choices() -> None:
    import numpy as np

    with pytest.raises(ConfigError):
        Plain(scope=np.zeros(3))  # type: ignore[arg-type]


def test_numbers_take_the_type_of_their_field() -> None:
    config = Plain(share=0, count=3.0, free=-0.0)  # type: ignore[arg-type]
    assert (config.share, type(config.share)) == (0.0, float)
    assert (config.count, type(config.count)) == (3, int)
    assert math.copysign(1, config.free) == 1, "equal settings must have equal hashes"


@given(st.floats(0, 0.99), st.integers(1, 4 << 20), st.booleans(), st.text())
def test_a_config_survives_json(share: float, count: int, on: bool, text: str) -> None:
    config = Plain(share=share, count=count, on=on, text=text)
    assert Plain.from_dict(json.loads(canonical_json(config.to_dict()))) == config


@given(st.dictionaries(st.sampled_from(["share", "count", "on", "text", "bits"]), st.none() | st.floats() | st.integers() | st.text()))
def test_any_values_make_a_config_within_its_bounds_or_a_config_error(values: dict[str, Any]) -> None:
    try:
        config = Plain.from_dict(values)
    except ConfigError:
        return
    assert 0 <= config.share <= 0.99
    assert 1 <= config.count <= 4 << 20
    assert config.bits in (8, 16)


def test_an_unknown_setting_is_refused_with_the_nearest() -> None:
    with pytest.raises(UnknownNameError, match="unknown setting of Plain 'shore': did you mean 'share'"):
        Plain.from_dict({"shore": 0.5})


@pytest.mark.parametrize("values", [None, [1], "share", 3])
def test_settings_must_be_a_mapping(values: Any) -> None:
    with pytest.raises(ConfigError, match="Plain must be given as names with values"):
        Plain.from_dict(values)


def test_replace_checks_again() -> None:
    assert Plain().replace(count=7).count == 7
    with pytest.raises(ConfigError, match=r"Plain\.count"):
        Plain().replace(count=0)


def test_configs_are_frozen_and_can_be_keys() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        Plain().count = 3  # type: ignore[misc]
    assert len({Plain(), Plain(count=4), Plain(count=5)}) == 2


def test_validate_sees_checked_values() -> None:
    @dataclass(frozen=True, kw_only=True)
    class Pair(Config):
        n: int = param(2, low=1, high=16, help="n")
        m: int = param(4, low=1, high=16, help="m")

        def validate(self) -> None:
            if self.n > self.m:
                raise ConfigError(f"Pair.n must be at most m = {self.m}, got {self.n}")

    with pytest.raises(ConfigError, match="at most m = 4, got 5"):
        Pair(n=5)


def test_mistakes_of_a_programmer_are_named() -> None:
    @dataclass(frozen=True, kw_only=True)
    class Bare(Config):
        x: int = 3

    class Undecorated(Config):
        x: int = param(3, help="never seen")

    @dataclass(frozen=True, kw_only=True)
    class Listy(Config):
        x: tuple[int, ...] = param((), help="no such kind of setting")

    @dataclass(frozen=True, kw_only=True)
    class Named(Config):
        name: str = param("", help="taken by the method's name in a recipe")

    for cls, word in ((Bare, "param"), (Undecorated, "decorated"), (Listy, "bool, int"), (Named, "name")):
        with pytest.raises(TypeError, match=word):
            cls()


@pytest.mark.usefixtures("_catalogue")
class TestPart:
    def test_it_is_built_from_a_name_a_mapping_or_a_config(self) -> None:
        for value in ("inner", {"name": "inner", "n": 2}, InnerConfig(n=2)):
            assert Outer(inner=value) == Outer()  # type: ignore[arg-type]

    def test_it_is_written_with_the_name_of_its_method(self) -> None:
        assert Outer().to_dict() == {"inner": {"name": "inner", "n": 2}}
        assert Outer.from_dict(Outer(inner=InnerConfig(n=5)).to_dict()).inner == InnerConfig(n=5)

    @pytest.mark.parametrize(
        "bad", [*Outer.specs()[0].bad_values(), None, [], {"n": 2}, {"name": []}, {"name": {}}, {"name": None}, ["inner"]]
    )
    def test_whatever_names_no_method_is_refused(self, bad: Any) -> None:
        with pytest.raises(LabkitError):
            Outer(inner=bad)

    def test_a_bad_setting_inside_is_refused_where_it_stands(self) -> None:
        with pytest.raises(ConfigError, match=r"InnerConfig\.n must be in \[1, 16\], got 17"):
            Outer(inner={"name": "inner", "n": 17})  # type: ignore[arg-type]

    def test_a_method_of_another_family_is_refused(self) -> None:
        with pytest.raises(ConfigError, match=r"must be a method of test\.inner, got 'other' of test\.other"):
            Outer(inner=OtherConfig())
        with pytest.raises(UnknownNameError, match=r"unknown method of test\.inner 'other'"):
            Outer(inner="other")  # type: ignore[arg-type]


def test_canonical_json_ignores_order_and_refuses_what_json_lacks() -> None:
    assert canonical_json({"b": 1, "a": [1.5, None]}) == canonical_json({"a": [1.5, None], "b": 1}) == '{"a":[1.5,null],"b":1}'
    with pytest.raises(ValueError, match="not JSON compliant"):
        canonical_json(math.nan)
