"""Recipes in words: what differs from the lab's first one, and setting by setting."""

from dataclasses import replace

from labkit.core.recipe import Recipe, Step, from_dict
from labkit.core.registry import find
from labkit.panels._recipe_words import differences, label, setting_rows, settings
from tests.panels import entries


def recipe(*steps: dict[str, object]) -> Recipe:
    return from_dict({"version": 1, "network": "digits-small", "data": "digits", "steps": list(steps)})


FIRST = recipe({"method": "magnitude", "ratio": {"name": "uniform_ratio", "sparsity": 0.5}})
CHANNEL = {"method": "magnitude", "granularity": "channel", "ratio": {"name": "uniform_ratio", "sparsity": 0.7}, "scope": "global"}


def test_a_label_says_what_differs_from_the_first_settings():
    assert label(FIRST, FIRST) == "as the lab opens"
    assert label(recipe(CHANNEL), FIRST) == "channel, sparsity 70%, scope global"
    assert label(recipe({**CHANNEL, "layers": "conv*"}), FIRST).endswith("layers conv*")
    tuned = {"method": "masked_finetune", "epochs": 3}
    assert label(recipe(CHANNEL, tuned), FIRST) == "channel, sparsity 70%, scope global, tuned, epochs 3"
    assert label(recipe(CHANNEL, {"method": "masked_finetune"}), FIRST).endswith(", tuned")
    assert label(recipe(CHANNEL, tuned), FIRST, 0.5).endswith("tuned, 1.5 epochs")


def test_settings_in_words_have_units_and_cover_every_field():
    said = settings(find("masked_finetune").config(shift=2, flip=True))
    assert said["shift",] == "shift 2 pixels"
    assert said["flip",] == "flip"
    assert settings(find("masked_finetune").config())["flip",] == "no flip"
    assert len(said) == len(find("masked_finetune").config.specs())


def test_steps_are_compared_with_the_same_method_only():
    other = recipe({"method": "masked_finetune"}, {"method": "magnitude"})
    assert label(other, FIRST).startswith("tuned, magnitude")
    assert differences(Step(FIRST.steps[0].config), FIRST.steps[0]) == []


def test_settings_that_differ_are_named_and_no_others():
    half = entries.state(0.5).recipe("digits")
    assert setting_rows(half, entries.state(0.8).recipe("digits")) == [("sparsity", "50%", "80%")]
    tuned = replace(entries.state(0.5), is_tuned=True).recipe("digits")
    names = {name for name, *_ in setting_rows(half, tuned)}
    assert {"step 2", "epochs"} <= names
    assert setting_rows(tuned, tuned) == []
