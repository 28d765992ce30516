"""Controls come from the declarations of settings and edit nested configs by path."""

from dataclasses import dataclass

import ipywidgets
import pytest
import torch

from labkit.core import registry
from labkit.core.params import Config, param, replace_at, spec_at
from labkit.core.registry import Method
from labkit.panels._controls import Control, ControlSet, widget_for
from labkit.panels.pruning_granularity import PRUNE
from labkit.pruning.criterion.magnitude import MagnitudeConfig


@dataclass(frozen=True, kw_only=True)
class Plain(Config):
    share: float = param(0.5, low=0.0, high=0.99, step=0.01, unit="share", help="a share")
    count: int = param(4, low=1, high=64, step=1, help="a count")
    open_ended: float = param(1.0, low=0.0, help="no upper end")
    kind: str = param("a", choices=("a", "b_c"), help="a choice")
    flag: bool = param(False, help="a flag")


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("share", ipywidgets.FloatSlider),
        ("count", ipywidgets.IntSlider),
        ("open_ended", ipywidgets.FloatText),
        ("kind", ipywidgets.Dropdown),
        ("flag", ipywidgets.Checkbox),
    ],
)
def test_each_kind_of_setting_has_its_widget(name, kind):
    spec = spec_at(Plain(), (name,))
    widget = widget_for(spec, name, spec.default)
    assert type(widget) is kind
    assert widget.value == spec.default
    assert widget.tooltip.startswith(spec.help)


def test_a_slider_has_the_ends_and_the_step_of_its_declaration():
    slider = widget_for(spec_at(Plain(), ("share",)), "share", 0.5)
    assert (slider.min, slider.max, slider.step, slider.readout_format) == (0.0, 0.99, 0.01, ".0%")


def test_a_choice_reads_well_and_means_its_value():
    assert ("b c", "b_c") in widget_for(spec_at(Plain(), ("kind",)), "kind", "a").options


def test_presets_replace_a_slider_and_keep_a_value_that_is_not_among_them():
    controls = ControlSet("t", [Control(("count",), presets=(1, 2, 3))], lambda *_: None)
    controls.show(Plain(count=7))
    widget = controls.by_path[("count",)]
    assert type(widget) is ipywidgets.Dropdown
    assert widget.value == 7
    controls.show(Plain(count=2))
    assert widget.value == 2


def test_moving_a_control_tells_path_and_value_and_showing_a_config_tells_nothing():
    told = []
    controls = ControlSet("t", [Control(("share",)), Control(("kind",))], lambda path, value: told.append((path, value)))
    controls.show(Plain(share=0.25))
    assert told == []
    controls.by_path[("share",)].value = 0.75
    controls.by_path[("kind",)].value = "b_c"
    assert told == [(("share",), 0.75), (("kind",), "b_c")]


def test_a_setting_of_a_part_is_edited_in_place():
    config = MagnitudeConfig()
    changed = replace_at(config, ("ratio", "sparsity"), 0.9)
    assert (changed.ratio.sparsity, config.ratio.sparsity) == (0.9, 0.5)
    assert changed.granularity == config.granularity


@pytest.fixture
def block_granularity(monkeypatch):
    """A granularity with a setting of its own, in the registry while the test runs."""

    @dataclass(frozen=True, kw_only=True)
    class BlockConfig(Config):
        length: int = param(4, low=1, high=16, step=1, help="weights in a block")

    registry.methods()
    monkeypatch.setattr(registry, "_METHODS", dict(registry._METHODS))
    monkeypatch.setattr(registry, "_BY_CONFIG", dict(registry._BY_CONFIG))
    tiny = lambda: (torch.nn.Identity(), BlockConfig(), None)  # noqa: E731
    registry.register(Method("block", "pruning.granularity", "test", BlockConfig, lambda *_: None, "", (), tiny))


@pytest.mark.usefixtures("block_granularity")
def test_the_settings_of_a_chosen_method_come_and_go_with_it():
    config = MagnitudeConfig()
    controls = ControlSet("t", [Control(("granularity",)), Control(("p",))], lambda *_: None)
    controls.show(config)
    assert list(controls.by_path) == [("granularity",), ("p",)]
    kept = controls.by_path[("p",)]

    config = replace_at(config, ("granularity",), "block")
    controls.show(config)
    assert list(controls.by_path) == [("granularity",), ("granularity", "length"), ("p",)]
    assert controls.by_path[("granularity", "length")].value == 4
    assert controls.by_path[("p",)] is kept

    controls.show(replace_at(config, ("granularity",), "weight"))
    assert list(controls.by_path) == [("granularity",), ("p",)]


def test_controls_can_be_locked():
    controls = ControlSet("t", [Control(("share",))], lambda *_: None)
    controls.show(Plain())
    controls.enable(False)
    assert controls.by_path[("share",)].disabled
    controls.enable(True)
    assert not controls.by_path[("share",)].disabled


def test_a_slider_that_sends_its_nearest_step_back_changes_nothing():
    changed = []
    controls = ControlSet("Plain", [Control(("share",))], lambda path, value: changed.append(value))
    controls.show(Plain(share=0.377))
    slider = controls.by_path[("share",)]
    assert slider.value == 0.377
    slider.value = 0.38  # what the page makes of 0.377
    controls.show(Plain(share=0.377))
    assert changed == []
    slider.value = 0.39
    assert changed == [0.39]


def test_a_slider_gives_values_as_people_write_them():
    changed = []
    controls = ControlSet("Plain", [Control(("share",))], lambda path, value: changed.append(value))
    controls.show(Plain(share=0.5))
    controls.by_path[("share",)].value = 0.8000000000000002
    assert changed == [0.8]


def test_a_value_beside_the_presets_becomes_one_of_them():
    controls = ControlSet("Plain", [Control(("count",), presets=(1, 2))], lambda path, value: None)
    controls.show(Plain(count=2))
    controls.show(Plain(count=7))
    assert controls.by_path[("count",)].value == 7
    controls.show(Plain(count=1))
    assert [option for _, option in controls.by_path[("count",)].options] == [1, 2, 7]


def test_a_setting_without_effect_has_no_control():
    controls = ControlSet("Pruning", PRUNE, lambda path, value: None)
    controls.show(MagnitudeConfig())
    assert ("ratio", "sparsity") in controls.by_path
    controls.show(MagnitudeConfig.from_dict({"granularity": "n_m"}))
    assert list(controls.by_path) == [("granularity",), ("granularity", "n"), ("granularity", "m"), ("p",)]
    controls.show(MagnitudeConfig())
    assert next(iter(controls.by_path)) == ("ratio", "sparsity")
