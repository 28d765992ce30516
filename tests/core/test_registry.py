import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from labkit.core import registry
from labkit.core.errors import UnknownNameError
from labkit.core.params import Config, param
from labkit.core.registry import Context, Method
from labkit.core.seeds import generator


@dataclass(frozen=True, kw_only=True)
class AConfig(Config):
    p: float = param(1.0, low=0.5, high=4.0, step=0.5, unit="", help="norm")
    scope: str = param("layer", choices=("layer", "global"), help="where")


@dataclass(frozen=True, kw_only=True)
class BConfig(Config):
    pass


def _method(name: str, family: str, config: type[Config]) -> Method:
    return Method(name, family, "test", config, lambda *_: None, "Somebody 2020", ("02",), lambda: pytest.fail("not run"))


@pytest.fixture(autouse=True)
def _empty(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Start from an empty catalogue that is taken for imported."""
    monkeypatch.setattr(registry, "_imported", True)
    monkeypatch.setattr(registry, "_METHODS", {})
    monkeypatch.setattr(registry, "_BY_CONFIG", {})
    return


def test_methods_are_found_by_name_family_and_config() -> None:
    b, a = registry.register(_method("b", "z.one", BConfig)), registry.register(_method("a", "z.two", AConfig))
    assert registry.methods() == [b, a]  # by family, then name
    assert registry.methods("z.two") == [a]
    assert registry.find("a") is registry.find("a", "z.two") is registry.method_of(AConfig(p=2.0)) is a


def test_a_second_registration_is_refused() -> None:
    registry.register(_method("a", "z.one", AConfig))
    for again in (_method("a", "z.two", BConfig), _method("b", "z.one", AConfig)):
        with pytest.raises(ValueError, match="registered twice"):
            registry.register(again)
    assert [m.name for m in registry.methods()] == ["a"]


@pytest.mark.parametrize("name", ["aa", "", None, 3, [], {"a": 1}])
def test_an_unknown_name_is_refused_whatever_it_is(name: object) -> None:
    registry.register(_method("a", "z.one", AConfig))
    with pytest.raises(UnknownNameError, match=r"unknown method of z\.one .*known are a$"):
        registry.find(name, "z.one")  # type: ignore[arg-type]


def test_a_config_of_no_method_is_refused() -> None:
    with pytest.raises(UnknownNameError, match="unknown config class 'BConfig'"):
        registry.method_of(BConfig())


def test_a_method_describes_itself_in_plain_values() -> None:
    row = _method("a", "z.one", AConfig).describe()
    assert {key: row[key] for key in ("name", "family", "topic", "source", "labs")} == {
        "name": "a", "family": "z.one", "topic": "test", "source": "Somebody 2020", "labs": ["02"],
    }  # fmt: skip
    assert row["config"][0] == {
        "name": "p", "default": 1.0, "low": 0.5, "high": 4.0, "step": 0.5, "choices": [], "unit": "", "help": "norm",
    }  # fmt: skip
    assert row["config"][1]["choices"] == ["layer", "global"]


def test_an_import_that_fails_is_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail() -> None:
        raise SyntaxError("a method's file is broken")

    monkeypatch.setattr(registry, "_imported", False)
    monkeypatch.setattr(registry, "_import_trees", fail)
    for _ in range(2):  # the second must not pass for an empty catalogue
        with pytest.raises(SyntaxError):
            registry.methods()


def test_a_second_thread_waits_for_the_whole_catalogue(monkeypatch: pytest.MonkeyPatch) -> None:
    begun = threading.Event()

    def slow() -> None:
        begun.set()
        time.sleep(0.1)
        registry.register(_method("late", "z.one", AConfig))
        assert registry.methods(), "the importing thread itself must not wait"

    monkeypatch.setattr(registry, "_imported", False)
    monkeypatch.setattr(registry, "_import_trees", slow)
    first = threading.Thread(target=registry.methods)
    first.start()
    begun.wait(5)
    seen = [m.name for m in registry.methods()]
    first.join(5)
    assert seen == ["late"]


def test_a_context_is_complete_with_a_generator_alone() -> None:
    context = Context(generator(0))
    assert (context.layers, context.masks, context.executor, dict(context.call)) == ("*", None, None, {})
    with pytest.raises(TypeError):
        context.call["latency"] = print  # type: ignore[index]
