"""A panel that was built ahead waits: no thread, nothing that a page would be told of, and it is shown once."""

import os
import threading
from types import SimpleNamespace

import pytest
from ipywidgets.widgets.widget import _instances

from labkit.panels import _ahead
from labkit.panels._ahead import building, shown
from labkit.panels.pruning_granularity import PruningGranularity, State


class Small(PruningGranularity):
    """Lab 02 on the network that is made for tests."""

    def __init__(self):
        super().__init__(State(network="digits-small"), networks=("digits-small",))


def another_layer(panel):
    return next(layer for layer in panel.layer.options if layer != panel.state.layer)


@pytest.fixture
def ahead():
    with building():
        widget = shown(Small)
    yield widget
    if Small in _ahead._built:
        _ahead._built.pop(Small)[0].close()


@pytest.fixture
def made():
    """Panels that a test shows, ended after it."""
    panels = []

    class Noted(Small):
        def __init__(self):
            super().__init__()
            panels.append(self)

    Noted.panels = panels
    yield Noted
    for panel in panels:
        panel.close()


def test_no_thread_starts_and_no_page_is_told(ahead):
    assert _ahead._built[Small][0].worker._thread is None
    assert ahead.model_id not in _instances


def test_what_was_built_is_shown_and_then_works(made, monkeypatch):
    kernel = SimpleNamespace(session=None)
    with building():
        widget = shown(made)
    monkeypatch.setattr(_ahead, "the_kernel", lambda: kernel)
    assert shown(made) is widget
    assert len(made.panels) == 1
    assert widget.model_id in _instances
    assert widget.comm.kernel is kernel
    assert made.panels[0].worker._thread.is_alive()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="the platform does not fork")
def test_a_worker_that_begins_in_a_copy_counts_as_alive_there(ahead):
    panel, _ = _ahead._built[Small]
    pid = os.fork()
    if pid == 0:
        panel.worker.begin()
        os._exit(0 if panel.worker._thread.is_alive() else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0


def test_the_widgets_of_another_panel_stay_unknown(ahead, made):
    shown(made)
    assert ahead.model_id not in _instances


def test_a_second_page_of_a_kernel_gets_a_panel_of_its_own(made):
    with building():
        first = shown(made)
    assert shown(made) is first
    assert shown(made) is not first


def test_a_figures_picture_is_taken_when_it_is_asked_for_and_once(made, monkeypatch):
    panel = made()
    figure, taken = panel.histogram.widget, []
    take = type(figure)._model_to_traits
    monkeypatch.setattr(type(figure), "_model_to_traits", classmethod(lambda cls, model: taken.append(model) or take(model)))
    _ = panel.widget
    assert len(taken) == len(panel._figures)
    picture = figure.get_state()["render_bundle"]
    panel._refresh()
    assert len(taken) == len(panel._figures), "nothing has changed since"
    panel.choose_layer(another_layer(panel))
    assert figure.get_state()["render_bundle"] != picture
    assert figure.get_state("render_bundle")["render_bundle"] == figure.get_state()["render_bundle"]


def test_before_its_picture_was_taken_a_figure_sends_nothing_and_then_each_change(made, monkeypatch):
    panel = made()
    sent = []
    monkeypatch.setattr(type(panel.histogram.widget), "_send_patch", lambda self, events: sent.append(self))
    panel.choose_layer(another_layer(panel))
    assert panel.histogram.widget not in sent
    _ = panel.widget
    panel.choose_layer(another_layer(panel))
    assert panel.histogram.widget in sent


def test_after_building_workers_begin_at_once(made):
    with building():
        pass
    assert made().worker._thread.is_alive()
    assert threading.active_count() > 1
