import pytest

from labkit.core import errors
from labkit.core.errors import LabkitError, shown, unknown_name


def test_the_nearest_name_is_offered_and_all_are_listed_in_order() -> None:
    error = unknown_name("network", "lenet5", ["vgg", "lenet-5"])
    assert str(error) == "unknown network 'lenet5': did you mean 'lenet-5'? known are lenet-5, vgg"


def test_nothing_is_offered_where_nothing_is_near() -> None:
    assert str(unknown_name("network", "xyz", ["lenet-5"])) == "unknown network 'xyz': known are lenet-5"


def test_an_empty_catalogue_says_so() -> None:
    assert str(unknown_name("network", "xyz", [])).endswith("known are none")


@pytest.mark.parametrize("name", [["a"], {"a": 1}, None, 3, "x" * 10_000_000])
def test_whatever_stands_in_a_recipe_makes_a_short_sentence(name: object) -> None:
    assert len(str(unknown_name("method", name, ["a"]))) < 300


def test_values_are_shown_by_their_repr_and_cut_when_long() -> None:
    assert shown("a") == "'a'"
    assert len(shown("a" * 1000)) == 121
    assert shown(10**10_000) == "a number of very many digits"


def test_every_error_can_be_caught_as_one() -> None:
    kinds = [each for each in vars(errors).values() if isinstance(each, type) and issubclass(each, Exception)]
    assert len(kinds) == 7
    assert all(issubclass(kind, LabkitError) for kind in kinds)
    assert issubclass(errors.ConfigError, ValueError)
    assert issubclass(errors.UnknownNameError, LookupError)
