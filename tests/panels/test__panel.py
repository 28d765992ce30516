"""A panel and its page: links, what the browser remembers, steps, guess and challenge, on a network that answers at once."""

import json
from functools import cache

import pytest

from labkit.panels import _page
from labkit.panels._link import link_of
from labkit.panels.pruning_granularity import PruningGranularity, State
from labkit.workbench import Workbench

SPARSITY = ("ratio", "sparsity")


def tell(panel, what, value=""):
    panel.page._heard(panel.page, {"do": what, "value": value}, [])


def settle(panel):
    assert panel.worker.wait(60)
    assert "is-error" not in panel.status.widget.value, panel.status.widget.value


def test_the_page_opens_at_what_its_address_says(panel):
    tell(panel, "hash", "layer=fc&prune.granularity=channel&prune.ratio.sparsity=0.37")
    settle(panel)
    assert (panel.state.layer, panel.state.granularity, panel.state.sparsity) == ("fc", "channel", 0.37)
    assert panel.controls["prune"].by_path[SPARSITY].value == 0.37
    assert panel.layer.value == "fc"
    assert panel.page.link == "layer=fc&prune.granularity=channel&prune.ratio.sparsity=0.37"


def test_the_address_follows_the_controls_and_reset_empties_it(panel):
    panel.controls["prune"].by_path[SPARSITY].value = 0.8
    settle(panel)
    assert panel.page.link == "prune.ratio.sparsity=0.8"
    panel.layer.value = "fc"
    assert panel.page.link == "layer=fc&prune.ratio.sparsity=0.8"
    panel.reset_button.click()
    settle(panel)
    assert panel.state == panel.first
    assert panel.page.link == ""


def test_a_drag_writes_the_address_once(panel):
    settle(panel)
    written = panel.page.written
    for step in range(30):
        panel.controls["prune"].by_path[SPARSITY].value = round(0.6 + step / 100, 2)
    settle(panel)
    assert panel.page.link == "prune.ratio.sparsity=0.89"
    assert panel.page.written - written <= 2


def test_what_cannot_be_followed_is_said_escaped_and_leaves_the_address(panel):
    settle(panel)
    written = panel.page.written
    tell(panel, "hash", "network=<script>alert(1)</script>&x=%3Cimg src=x onerror=alert(1)%3E")
    assert panel.state == panel.first
    assert "Not all of the link could be followed" in panel.status.widget.value
    assert "<script>" not in panel.status.widget.value
    assert "<img" not in panel.status.widget.value
    assert (panel.page.link, panel.page.written) == ("", written + 1)  # told again, so that the page takes it


def test_a_value_beside_the_presets_is_shown(panel):
    tell(panel, "hash", "tune.lr_factor=0.05&tune.epochs=7")
    assert panel.controls["tune"].by_path[("lr_factor",)].value == 0.05
    assert panel.controls["tune"].by_path[("epochs",)].value == 7
    assert panel.state.tune.epochs == 7


def test_a_tuned_state_comes_back_before_its_job_unless_the_bench_has_it(panel):
    link = "is_tuned=true&prune.ratio.sparsity=0.9"
    tell(panel, "hash", link)
    assert not panel.state.is_tuned
    assert panel.state.sparsity == 0.9
    assert "Press Fine-tune to make it again." in panel.status.widget.value
    panel.job.bar.start.click()
    settle(panel)
    assert panel.page.link == link
    panel.reset_button.click()
    tell(panel, "hash", link)
    assert panel.state.is_tuned
    assert "Press" not in panel.status.widget.value


def test_a_link_on_another_network_gets_a_layer_of_that_network():
    panel = PruningGranularity(State(network="digits-small"), cache(Workbench), ("digits-small", "lenet-300-100"))
    try:
        tell(panel, "hash", "network=lenet-300-100&layer=conv2")
        assert panel.state.network == "lenet-300-100"
        assert panel.state.layer in panel.layer.options
        state = panel.state
        settle(panel)
        tell(panel, "hash", "")
        tell(panel, "hash", link_of(state, panel.first))
        assert panel.state == state
    finally:
        panel.close()


def test_nothing_moves_the_panel_while_a_job_runs(panel):
    settle(panel)
    panel.enable(False)
    tell(panel, "hash", "prune.ratio.sparsity=0.9")
    assert panel.state == panel.first
    assert "A job is running" in panel.status.widget.value
    assert panel.page.link == ""
    panel.enable(True)


def test_nothing_is_measured_before_the_page_said_where_it_is(monkeypatch):
    monkeypatch.setattr(_page, "the_kernel", object)
    seen = []

    class Watched(Workbench):
        def accuracy(self, compressed, progress):
            seen.append(compressed)
            yield from super().accuracy(compressed, progress)

    panel = PruningGranularity(State(network="digits-small"), cache(Watched), ("digits-small",))
    try:
        assert not panel.worker.wait(0.3)
        tell(panel, "hash", "prune.ratio.sparsity=0.9")
        assert seen == []
        panel.page.opened += 1
        settle(panel)
        assert {round(float(1 - masks.masks["conv2.weight"].float().mean()), 2) for masks in seen} == {0.9}
    finally:
        panel.close()


# ------------------------------------------------------------------ steps, guess, challenge


def test_steps_tick_are_told_and_remembered_and_can_be_forgotten(panel):
    settle(panel)
    assert panel.guide.kept.steps == frozenset()
    said = []
    panel.page.observe(lambda change: said.append(change["new"]), names="said")
    panel.controls["prune"].by_path[SPARSITY].value = 0.7
    assert panel.guide.kept.steps == frozenset()  # not before it has settled
    settle(panel)
    assert "half_is_free" in panel.guide.kept.steps
    assert said[0].startswith("Step done: Prune 60 %")
    assert "half_is_free" in json.loads(panel.page.kept)["steps"]
    panel.controls["prune"].by_path[SPARSITY].value = 0.1
    settle(panel)
    assert "half_is_free" in panel.guide.kept.steps
    tell(panel, "start-over")
    assert panel.guide.kept.steps == frozenset()
    assert json.loads(panel.page.kept)["steps"] == []


def test_the_guess_goes_to_its_setting_and_tells_what_was_measured_there(panel):
    panel.controls["prune"].by_path[SPARSITY].value = 0.3
    settle(panel)
    panel.guide.guess.slider.value = 0.9
    panel.guide.guess.button.click()
    assert (panel.state.granularity, panel.state.sparsity) == ("channel", 0.5)
    panel.layer.value = "fc"  # only another look at the same network
    settle(panel)
    assert panel.guide.guess.is_revealed
    assert f"Measured: {100 * panel.measured.accuracy.share:.3g} %" in panel.guide.guess.result.value
    assert "guess" in panel.guide.kept.steps


def test_attempts_are_kept_and_bring_their_setting_back(panel):
    settle(panel)
    assert panel.guide.kept.best == ()  # where everybody begins is no attempt
    panel.controls["prune"].by_path[SPARSITY].value = 0.3
    settle(panel)
    assert [each.link for each in panel.guide.kept.best] == ["prune.ratio.sparsity=0.3"]
    assert panel.guide.kept.best[0].figures.bytes == panel.measured.size
    assert panel.guide.kept.is_met  # a network for tests is smaller than 64 kB anyhow
    panel.reset_button.click()
    tell(panel, "attempt", "7")
    assert panel.state == panel.first
    tell(panel, "attempt", "0")
    assert panel.state.sparsity == 0.3


def test_what_the_browser_remembers_is_taken_over(panel):
    settle(panel)
    best = [{"accuracy": 0.99, "bytes": 1000, "label": "<b>mine</b>", "hash": "prune.ratio.sparsity=0.6"}]
    tell(panel, "kept", json.dumps({"steps": ["tune", "nonsense"], "best": best}))
    assert panel.guide.kept.steps == {"tune"}
    assert "&lt;b&gt;mine" in panel.guide.challenge.widget.value
    tell(panel, "attempt", "0")
    assert panel.state.sparsity == 0.6


@pytest.mark.parametrize("done", ["yes", ""])
def test_copying_the_link_is_said(panel, done):
    tell(panel, "copied", done)
    assert ("Link copied" in panel.status.widget.value) == bool(done)


def test_about_is_made_when_it_is_opened(panel):
    assert panel.guide.about.body.value == ""
    tell(panel, "about")
    assert "Where the usual account is wrong" in panel.guide.about.body.value
