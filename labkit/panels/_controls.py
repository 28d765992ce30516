"""Controls made from the declarations of settings: one `param` is one slider, dropdown or checkbox with label, unit and tooltip.

A control edits a place in a nested config, named by a path: `("ratio", "sparsity")` is the field `sparsity` of the part
`ratio`. When a part is switched to another method, the controls of that method's own fields take its place.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import ipywidgets

from labkit.core.params import Config, Spec, spec_at, value_at
from labkit.core.registry import method_of, methods

Path = tuple[str, ...]
Changed = Callable[[Path, Any], None]


@dataclass(frozen=True)
class Control:
    """Where a control's setting is, and what it is called on the page.

    Attributes:
        path: of the field in the config.
        label: on the page; the field's own name if empty.
        presets: the values that this lab offers, in a dropdown, where a slider over the whole range would be of no use.
        needed: tells from the config whether the setting has an effect; the control is there only if so.
    """

    path: Path
    label: str = ""
    presets: tuple[Any, ...] = ()
    needed: Callable[[Any], bool] = lambda config: True


class ControlSet:
    """The controls of one config, grouped under a heading.

    Args:
        title: heading of the group; empty where the group is part of a view that has one.
        controls: in order; the fields of a part's own method follow the part.
        changed: called with path and new value when a person moves a control.
    """

    def __init__(self, title: str, controls: Sequence[Control], changed: Changed) -> None:
        self._controls, self._changed = controls, changed
        self._head = [ipywidgets.HTML(f"<h2>{title}</h2>")] if title else []
        self.widget = ipywidgets.VBox(self._head)
        self.widget.add_class("lk-controls")
        self.by_path: dict[Path, ipywidgets.Widget] = {}
        self._quiet = False
        self._shown: dict[Path, Any] = {}

    def show(self, config: Config) -> None:
        """Make the controls agree with `config`, adding and removing those of parts' own methods."""
        wanted = self._paths(config)
        if list(wanted) != list(self.by_path):
            self._rebuild(config, wanted)
        self._quiet = True
        try:
            for path, widget in self.by_path.items():
                value = _shown(value_at(config, path))
                if isinstance(widget, ipywidgets.Dropdown) and value not in [option for _, option in widget.options]:
                    unit = spec_at(config, path).unit
                    widget.options = (*widget.options, (_in_words(value, unit), value))  # from a link, beside this lab's presets
                if not _is_same(widget, widget.value, value):
                    widget.value = value
                self._shown[path] = value
        finally:
            self._quiet = False

    def enable(self, enabled: bool) -> None:
        """Let people move the controls, or not while a job depends on them."""
        for widget in self.by_path.values():
            widget.disabled = not enabled

    def _paths(self, config: Config) -> dict[Path, str]:
        """Paths of all controls that `config` needs now, with their labels."""
        own = {control.path for control in self._controls}
        paths: dict[Path, str] = {}
        for control in self._controls:
            if not control.needed(config):
                continue
            spec = spec_at(config, control.path)
            paths[control.path] = control.label or spec.name.replace("_", " ")
            if spec.family:
                extra = [(*control.path, each.name) for each in value_at(config, control.path).specs()]
                paths |= {path: path[-1].replace("_", " ") for path in extra if path not in own}
        return paths

    def _rebuild(self, config: Config, wanted: dict[Path, str]) -> None:
        for path in [path for path in self.by_path if path not in wanted]:
            self.by_path.pop(path).close()
        kept = self.by_path
        self.by_path = {path: kept.get(path) or self._make(config, path, label) for path, label in wanted.items()}
        self.widget.children = [*self._head, *self.by_path.values()]

    def _make(self, config: Config, path: Path, label: str) -> ipywidgets.Widget:
        presets = next((control.presets for control in self._controls if control.path == path), ())
        spec = spec_at(config, path)
        widget = widget_for(replace(spec, choices=presets) if presets else spec, label, _shown(value_at(config, path)))

        def moved(change: dict[str, Any]) -> None:
            if not self._quiet and not _is_same(widget, change["new"], self._shown.get(path)):
                self._changed(path, _on_step(widget, change["new"]))

        widget.observe(moved, names="value")
        return widget


def widget_for(spec: Spec, label: str, value: Any) -> ipywidgets.Widget:
    """Make the widget of one declared setting.

    Returns:
        A dropdown for choices and parts, a checkbox for a bool, a slider for a number that has both ends and a step,
        else a number box.
    """
    tip = f"{spec.help} ({spec.unit})" if spec.unit and spec.unit != "share" else spec.help
    common: dict[str, Any] = {"description": label, "tooltip": tip, "style": {"description_width": "initial"}}
    if spec.family or spec.choices:
        options = [method.name for method in methods(spec.family)] if spec.family else list(spec.choices)
        shown = sorted({*options, value}, key=options.index if value in options else str)
        return ipywidgets.Dropdown(options=[(_in_words(option, spec.unit), option) for option in shown], value=value, **common)
    if spec.kind is bool:
        return ipywidgets.Checkbox(value=value, indent=False, **common)
    whole = spec.kind is int
    if spec.low is None or spec.high is None or spec.step is None:
        box = ipywidgets.IntText if whole else ipywidgets.FloatText
        return box(value=value, **common)
    common |= {"min": spec.low, "max": spec.high, "step": spec.step, "continuous_update": True}
    if whole:
        return ipywidgets.IntSlider(value=value, **common)
    digits = _digits(spec.step)
    readout = f".{max(0, digits - 2)}%" if spec.unit == "share" else f".{digits}f"
    return ipywidgets.FloatSlider(value=value, readout_format=readout, **common)


def _is_same(widget: ipywidgets.Widget, one: Any, other: Any) -> bool:
    """Whether two values are one place of a control.

    A slider shows the step nearest to a value between two, and the page sends that step back as if a person had chosen it.
    """
    if isinstance(widget, ipywidgets.FloatSlider) and other is not None:
        return bool(round((one - widget.min) / widget.step) == round((other - widget.min) / widget.step))
    return bool(one == other)


def _on_step(widget: ipywidgets.Widget, value: Any) -> Any:
    """Return a slider's value as people write it: the page counts in steps and sends 0.8000000000000002."""
    if not isinstance(widget, ipywidgets.FloatSlider):
        return value
    return round(value, max(_digits(widget.step), _digits(widget.min)))


def _digits(number: float) -> int:
    return len(f"{number:g}".partition(".")[2])


def _in_words(option: Any, unit: str) -> str:
    if unit == "bytes":
        return f"{option / 1024:g} KiB"
    return f"{option:g}" if isinstance(option, int | float) else str(option).replace("_", " ")


def _shown(value: Any) -> Any:
    """What the widget of a setting holds: a part shows the name of its method."""
    if isinstance(value, Config):
        return method_of(value).name
    return value
