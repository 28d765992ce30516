"""Recipes: what is written is read, every field counts, and what could be meant in two ways is refused."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from labkit.core import recipe as recipes
from labkit.core.errors import ConfigError, FileFormatError, LabkitError, UnknownNameError
from labkit.core.params import Config, Spec
from labkit.core.recipe import Recipe, Step, from_dict, from_yaml, read
from labkit.core.registry import Method, find, methods

PLAIN: dict[str, Any] = {
    "version": 1,
    "network": "digits-small",
    "data": "digits",
    "seed": 3,
    "steps": [{"method": "magnitude", "layers": "conv*", "ratio": {"name": "uniform_ratio", "sparsity": 0.25}}],
}
TEXT = yaml.safe_dump(PLAIN)


def value_of(spec: Spec) -> st.SearchStrategy[Any]:
    if spec.family:
        return st.sampled_from(methods(spec.family)).flatmap(config_of)
    if spec.choices:
        return st.sampled_from(spec.choices)
    if spec.kind is bool:
        return st.booleans()
    if spec.kind is str:
        return st.text(max_size=20)
    numbers = st.integers if spec.kind is int else st.floats
    return numbers(spec.low, spec.high)


def config_of(method: Method) -> st.SearchStrategy[Config]:
    return st.fixed_dictionaries({spec.name: value_of(spec) for spec in method.config.specs()}).map(lambda each: method.config(**each))


layers = st.one_of(
    st.sampled_from(["*", "010", "1e-3", "no", "null", "2026-01-01", "1:30", "a: b", "<<", "", "µ\n"]),
    st.text(max_size=8).filter(str.isprintable),
)
steps = st.builds(Step, st.sampled_from(methods()).flatmap(config_of), layers)
names = st.text(max_size=10).filter(str.isprintable)
made = st.builds(Recipe, names, names, st.lists(steps, min_size=1, max_size=3).map(tuple), st.integers(0, 2**63 - 1))


@settings(max_examples=60, deadline=None)
@given(made)
def test_what_is_written_is_read(recipe: Recipe) -> None:
    assert from_dict(recipe.to_dict()) == recipe
    assert from_yaml(json.dumps(recipe.to_dict(), ensure_ascii=False)) == recipe, "JSON, with numbers like 1e-05"
    assert from_yaml(recipe.to_yaml()) == recipe
    assert yaml.safe_load(recipe.to_yaml()) == recipe.to_dict(), "any other reader of YAML"


def test_what_is_left_out_takes_its_default() -> None:
    recipe = from_dict(PLAIN)
    (step,) = recipe.steps
    assert step.to_dict() == {
        "method": "magnitude",
        "layers": "conv*",
        "granularity": {"name": "weight"},
        "recalibrate": 10,
        "ratio": {"name": "uniform_ratio", "sparsity": 0.25, "budget": 1.0},
        "scope": "layer",
        "p": 1.0,
    }


def test_the_digest_is_that_of_the_fields_and_stays() -> None:
    recipe = from_dict(PLAIN)
    assert recipe.digest == from_yaml("# a remark\n" + TEXT).digest
    assert recipe.digest == from_dict(dict(reversed(PLAIN.items()))).digest
    one = Recipe("n", "d", (Step(find("weight").config()),))  # whoever changes this number renames every run there is
    assert one.digest == "8e790e9d5d8a"


def test_the_digest_notices_every_field() -> None:
    recipe = from_dict(PLAIN)
    (step,) = recipe.steps
    found = [
        recipe,
        replace(recipe, network="x"),
        replace(recipe, data="x"),
        replace(recipe, seed=4),
        replace(recipe, steps=(step, step)),
        replace(recipe, steps=(replace(step, layers="*"),)),
    ]
    for method in methods():
        plain = method.config()
        found.append(replace(recipe, steps=(Step(plain),)))
        for spec in method.config.specs():
            if spec.family:
                others = [each.config() for each in methods(spec.family) if each.name != spec.default]
            elif spec.choices:
                others = [each for each in spec.choices if each != spec.default]
            elif spec.kind is bool:
                others = [not spec.default]
            else:
                others = [next(each for each in (spec.low, spec.high) if each != spec.default)]
            found += [replace(recipe, steps=(Step(plain.replace(**{spec.name: each})),)) for each in others]
    assert len({each.digest for each in found}) == len(found)


def step_with(**values: Any) -> dict[str, Any]:
    return PLAIN | {"steps": [{"method": "magnitude", **values}]}


@pytest.mark.parametrize(
    ("values", "words"),
    [
        (None, "must be a mapping with version, network, data, seed, steps, got nothing"),
        ([], r"must be a mapping .*, got list \[\]"),
        (PLAIN | {"versoin": 1}, "unknown key of a recipe 'versoin': did you mean 'version'"),
        (PLAIN | {3: 1}, "unknown key of a recipe 3"),
        (PLAIN | {"version": 2}, "version must be 1, got int 2"),
        (PLAIN | {"version": True}, "version must be 1, got bool True"),
        (PLAIN | {"version": "1"}, "version must be 1, got str '1'"),
        (PLAIN | {"network": 3}, "network must be a name, got int 3"),
        (PLAIN | {"data": None}, "data must be a name, got nothing"),
        (PLAIN | {"seed": -1}, r"seed must be a whole number from 0 to 2\^63 - 1, got -1"),
        (PLAIN | {"seed": 2**63}, "seed must be"),
        (PLAIN | {"seed": True}, "seed must be .* got True"),
        (PLAIN | {"seed": 1.0}, "seed must be .* got 1.0"),
        (PLAIN | {"steps": []}, "at least one step"),
        (PLAIN | {"steps": {}}, "at least one step, got dict"),
        (PLAIN | {"steps": [{"method": "weight"}, {"layers": "*"}]}, "step 2 must be a mapping with a method"),
        (step_with(method="magnitud"), "step 1: unknown method 'magnitud': did you mean 'magnitude'"),
        (step_with(layers=3), "step 1: layers must be a glob over layer names, got 3"),
        (step_with(scoop="layer"), "step 1: unknown setting of MagnitudeConfig 'scoop': did you mean 'scope'"),
        (step_with(p=float("nan")), "step 1: MagnitudeConfig.p must be a number"),
        (step_with(ratio={"name": "uniform_ratio", "sparsity": 1.2}), r"UniformRatioConfig.sparsity must be in \[0, 0.99\], got 1.2"),
        (step_with(ratio={"name": "weight"}), "unknown method of pruning.ratio 'weight'"),
    ],
)
def test_wrong_values_are_told_in_a_sentence(values: Any, words: str) -> None:
    with pytest.raises(LabkitError, match=words):
        from_dict(values)


def test_a_number_may_be_a_key_but_not_pass_for_its_text() -> None:
    with pytest.raises(UnknownNameError, match="unknown setting of MagnitudeConfig 3:"):
        from_yaml(TEXT.replace("layers:", "3: 4\n  layers:"))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "the recipe is empty"),
        ("# only a remark\n", "the recipe is empty"),
        ("{{{", "not YAML: .*line 1, column"),
        (TEXT + "seed: 4\n", "line 11 says 'seed' a second time: keep one"),
        (TEXT.replace("sparsity: 0.25", "sparsity: 0.25\n    sparsity: 0.5"), "says 'sparsity' a second time"),
        ("a: &x {b: 1}\nc: *x\n", r"YAML alias \(\*x\)"),
        ("a: &x [*x]", "YAML alias"),
        ("!!python/object/apply:os.system ['true']", "plain values only, got the YAML tag '.*os.system'"),
        ("!!bool zzz", "plain values only"),
        ("[" * 200_000, "nested at most 16 deep"),
        ("{a: " * 100 + "1" + "}" * 100, "nested at most 16 deep"),
        ("? [a]\n: 1", "a key must be a single value"),
        ("? {a: 1}\n: 1", "a key must be a single value"),
        (TEXT + "---\nx: 1\n", "expected a single document"),
        (TEXT.replace("seed: 3", "seed: 1" + "0" * 5000), "holds a value that cannot be read"),
        (TEXT.replace("seed: 3", "seed: 2000-13-45"), "seed must be a whole number"),
        (TEXT.replace("seed: 3", "seed: 1:30"), "seed must be a whole number"),
        (TEXT.replace("method: magnitude", "method: magnitude\n  <<: {scope: global}"), "unknown setting of MagnitudeConfig '<<'"),
        ("a\0b", "not YAML: .*unacceptable character"),
    ],
)
def test_a_text_that_is_no_recipe_is_told_in_a_sentence(text: str, words: str) -> None:
    with pytest.raises(LabkitError, match=words) as caught:
        from_yaml(text)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 400


def test_a_number_with_an_exponent_is_a_number() -> None:
    (step,) = from_yaml(TEXT.replace("sparsity: 0.25", "sparsity: 25e-2")).steps
    assert step.config.to_dict()["ratio"]["sparsity"] == 0.25


def test_a_file_is_read_as_it_was_written(tmp_path: Path) -> None:
    recipe = from_dict(PLAIN)
    recipe.write(tmp_path / "r.yaml")
    assert read(tmp_path / "r.yaml") == recipe
    (tmp_path / "bom.yaml").write_bytes(b"\xef\xbb\xbf" + recipe.to_yaml().encode())  # some editors begin with it
    assert read(tmp_path / "bom.yaml") == recipe


@pytest.mark.parametrize("content", [b"", b"\xff\xfe\x00", b"{", b"version: 2", TEXT.replace("0.25", "1.2").encode(), b"a" * (1 << 19)])
def test_an_error_in_a_file_names_it(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "r.yaml").write_bytes(content)
    with pytest.raises((ConfigError, FileFormatError), match="^" + str(tmp_path / "r.yaml")):
        read(tmp_path / "r.yaml")
    assert recipes.MOST_BYTES < 1 << 19


def test_a_folder_or_nothing_is_no_recipe(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "missing"):
        with pytest.raises(FileFormatError, match=f"{path} cannot be read"):
            read(path)
