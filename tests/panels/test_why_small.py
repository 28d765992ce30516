"""Lab 01's panel without a browser: what is modelled follows at once, what is measured later, and only what rests counts."""

import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest

from labkit.blueprint import BlueprintConfig, Ran, counted
from labkit.core.progress import Progress
from labkit.core.records import Latency
from labkit.measure.energy import EnergyConfig
from labkit.measure.roof import Roof
from labkit.panels._kept import is_met
from labkit.panels._lab import Figures
from labkit.panels._link import link_of
from labkit.panels.why_small import LAB, State, WhySmall

ROOF = Roof(100.0, 10.0, 5)
FITS = State(BlueprintConfig(width=0.25, sparsity=0.5), EnergyConfig(bits=8))
SMALL = State(BlueprintConfig(kind="convolutional", sparsity=0.3), EnergyConfig(bits=8, batch=16), "conv1")


def timed(config: BlueprintConfig, batch: int, _: Progress) -> Ran:
    return Ran({layer.name: 7.0 for layer in counted(config).layers}, Latency(1.5, 1.4, 1.6, 30, 1, batch))


@pytest.fixture
def made() -> Iterator[Callable[..., WhySmall]]:
    panels: list[WhySmall] = []

    def make(state: State | None = None, measure_roof: Any = lambda _: ROOF, run: Any = timed) -> WhySmall:
        panels.append(WhySmall(state, measure_roof, run))
        return panels[-1]

    yield make
    for panel in panels:
        panel.close()


@pytest.fixture
def panel(made: Callable[..., WhySmall]) -> WhySmall:
    found = made()
    settle(found)
    return found


def settle(panel: WhySmall) -> None:
    assert panel.worker.wait(60)
    assert "is-error" not in panel.status.widget.value, panel.status.widget.value


def go(panel: WhySmall, state: State) -> None:
    panel.go(state)
    settle(panel)


def test_what_is_modelled_is_drawn_before_anything_is_measured(made: Callable[..., WhySmall]) -> None:
    gate = threading.Event()
    panel = made(measure_roof=lambda _: gate.wait(30) and ROOF)
    assert panel.split.source.data["dram to"][0] == pytest.approx(174.517, abs=1e-3)
    assert "DRAM takes 98%" in panel.split_view._summary.value
    assert "is being measured" in panel.roofline_view._summary.value
    assert list(panel.roofline.source.data["x"]) == []
    assert "is-refining" in panel.strip.widget.value
    gate.set()
    settle(panel)
    assert list(panel.roofline.source.data["gflops"]) == [7.0, 7.0, 7.0]
    assert list(panel.roofline.roof.data["x"]) == [0.1, 10.0, 1000.0]
    assert panel.roofline.source.data["most"][0] == pytest.approx(10 * counted(BlueprintConfig()).layers[0].intensity(1))
    assert "is-refining" not in panel.strip.widget.value


def test_a_control_moves_its_own_setting_and_only_a_new_program_is_timed(made: Callable[..., WhySmall]) -> None:
    asked: list[tuple[BlueprintConfig, int]] = []

    def run(config: BlueprintConfig, batch: int, progress: Progress) -> Ran:
        asked.append((config, batch))
        return timed(config, batch, progress)

    panel = made(run=run)
    settle(panel)
    panel.chip.by_path[("bits",)].value = 8
    settle(panel)
    panel.network.by_path[("sparsity",)].value = 0.5
    settle(panel)
    assert len(asked) == 1, "bits and zeros are modelled: the program is the same"
    panel.chip.by_path[("batch",)].value = 64
    settle(panel)
    assert asked[-1] == (BlueprintConfig(sparsity=0.5), 64)
    assert panel.state == State(BlueprintConfig(sparsity=0.5), EnergyConfig(bits=8, batch=64))
    assert panel.page.link == "network.sparsity=0.5&chip.bits=8&chip.batch=64"


def test_first_paint_is_the_same_as_coming_back_later(panel: WhySmall) -> None:
    def picture() -> Any:
        figures = (panel.split, panel.moved, panel.roofline)
        words = [view._summary.value for view in (panel.split_view, panel.moved_view, panel.roofline_view)]
        return [{name: list(each) for name, each in figure.source.data.items()} for figure in figures], words, panel.strip.widget.value

    first = picture()
    go(panel, SMALL)
    assert picture() != first
    panel.reset()
    settle(panel)
    assert picture() == first


def test_an_accuracy_is_shown_only_of_a_trained_network(panel: WhySmall) -> None:
    assert "of the trained lenet-300-100" in panel.strip.widget.value
    for change in (FITS, State(BlueprintConfig(depth=1)), State(chip=EnergyConfig(bits=16))):
        go(panel, change)
        assert "not known" in panel.strip.widget.value


def test_a_layer_that_the_next_network_lacks_gives_way(panel: WhySmall) -> None:
    panel.follow("network.kind=convolutional&layer=conv3")
    assert panel.state.layer == "conv3"
    panel.follow("layer=conv3")
    assert panel.state.layer == "fc1"
    assert "no choice conv3" in panel.status.widget.value
    assert panel.layer.value == "fc1"


def test_a_clicked_bar_chooses_the_layer_everywhere(panel: WhySmall) -> None:
    panel.moved.source.selected.indices = [1]
    assert (panel.state.layer, panel.layer.value) == ("fc2", "fc2")
    assert list(panel.roofline.source.data["size"]) == [8.0, 14.0, 8.0]
    assert "fc2, " in panel.roofline_view._summary.value


def test_each_step_needs_what_it_says(panel: WhySmall) -> None:
    assert panel.guide.kept.steps == frozenset()
    go(panel, State(FITS.network, FITS.chip.replace(buffer=4 << 20)))
    go(panel, State(FITS.network, FITS.chip.replace(batch=4)))
    assert "fits" not in panel.guide.kept.steps, "a larger buffer or a batch is another way"
    go(panel, FITS)
    assert "fits" in panel.guide.kept.steps
    go(panel, State(BlueprintConfig(kind="convolutional"), layer="conv1"))
    assert panel.guide.kept.steps == {"fits", "convolutions"}
    go(panel, State(chip=EnergyConfig(batch=16)))  # 10 operations a byte is the ridge
    assert "ridge" not in panel.guide.kept.steps
    go(panel, State(chip=EnergyConfig(batch=64)))
    assert "ridge" in panel.guide.kept.steps


def test_the_guess_is_answered_with_what_is_modelled(panel: WhySmall) -> None:
    panel.guide.guess.slider.value = 60
    panel.guide.guess.button.click()
    settle(panel)
    assert "You guessed 60 µJ. Modelled: 6.6 µJ" in panel.guide.guess.result.value
    assert "guess" in panel.guide.kept.steps


def test_the_challenge_can_be_met_but_not_by_one_means_alone(panel: WhySmall) -> None:
    go(panel, SMALL)
    assert panel.guide.kept.is_met
    assert panel.guide.kept.best[0].link == link_of(replace(SMALL, layer="fc1"), State())
    parts = (replace(SMALL, chip=SMALL.chip.replace(bits=16)), replace(SMALL, network=SMALL.network.replace(kind="linear")))
    for state in parts:
        found = counted(state.network, state.chip.bits)
        figures = Figures(macs=found.cost.effective_macs, energy_uj=sum(found.energy(state.chip).values()))
        assert not is_met(figures, LAB.challenge)


def test_nothing_counts_while_a_control_moves(made: Callable[..., WhySmall]) -> None:
    panel = made()
    settle(panel)
    panel.worker.close()  # nobody comes to rest any more
    panel.move(SMALL)
    assert panel.guide.kept.best == ()
    assert not panel.moment().figures.is_settled


def test_a_measurement_that_fails_is_a_sentence_and_what_is_modelled_stays(made: Callable[..., WhySmall]) -> None:
    def broken(_: Progress) -> Roof:
        raise RuntimeError("<b>no clock</b>")

    panel = made(measure_roof=broken)
    assert panel.worker.wait(60)
    assert "is-error" in panel.status.widget.value
    assert "<b>" not in panel.status.widget.value.replace("</b>", "<b>").split("clock")[0]
    assert "DRAM takes 98%" in panel.split_view._summary.value


def rows(panel: WhySmall) -> list[dict[str, Any]]:
    return panel.findings.table.rows


def ask(panel: WhySmall, what: str, n: int) -> None:
    """Press a button of the row with the number `n`, oldest first."""
    panel.findings.table._handle_custom_msg({"do": what, "key": rows(panel)[n]["key"]}, [])


@pytest.fixture
def two(panel: WhySmall) -> WhySmall:
    go(panel, SMALL)
    return panel


def test_what_is_timed_is_kept_with_the_figures_of_the_page(two: WhySmall) -> None:
    assert [each["cells"][0][0] for each in rows(two)] == ["as the lab opens", "convolutional, 30% zeros, 8 bits, 16 images"]
    assert two.findings.table.chosen == rows(two)[1]["key"] == f"#{two.setting(two.state)}"
    energy, _, _, weights, macs, _ = (text for text, _ in rows(two)[1]["cells"][1:])
    assert all(f">{each}<" in two.strip.widget.value for each in (energy, weights, macs))
    assert rows(two)[1]["cells"][-1] == ["0.0938 ms", 1.5 / 16]
    assert [dot.key for dot in two.plane.on_front] == [each["key"] for each in rows(two)[:0:-1]], "more products for less energy"
    assert two.plane.past.data["series"] == ["linear", "convolutional"]
    assert "On the front" in two.findings.plane_view._summary.value


def test_the_plane_can_be_drawn_against_weights_and_latency(two: WhySmall) -> None:
    for axis, cost in (("weights", counted(SMALL.network, 8).weight_bytes / 1e3), ("latency here", 1.5 / 16)):
        two.findings.axis.value = axis
        assert two.plane.now.data["x"] == [two.plane.axes[axis].place(cost)]
        assert len(two.plane.past.data["x"]) == 2


def test_a_slider_on_its_way_leaves_no_row(two: WhySmall) -> None:
    for n in range(1, 6):
        two.network.by_path[("sparsity",)].value = n / 10
        two.worker.wait(0.15)  # long enough to come to rest, not to stay
    settle(two)
    assert [each["cells"][0][0] for each in rows(two)][2:] == ["convolutional, 50% zeros, 8 bits, 16 images"]


def test_going_back_shows_that_setting_and_adds_no_row(two: WhySmall) -> None:
    ask(two, "go", 0)
    settle(two)
    assert two.state == State()
    assert (len(rows(two)), two.findings.table.chosen) == (2, "#")
    two.plane.past.selected.indices = [1]
    assert two.state == SMALL


def test_two_pinned_are_compared_by_energy_bytes_products_and_time(two: WhySmall) -> None:
    ask(two, "pin", 0)
    assert "compare" not in two.guide.kept.steps
    ask(two, "pin", 1)
    assert "compare" in two.guide.kept.steps
    text = two.findings.comparison._tables.value
    energy = counted(SMALL.network, 8).energy(SMALL.chip)
    for shown in (
        "<td>175 µJ</td>",
        *(f"<td>{each:.3g} µJ</td>" for each in energy.values()),
        "<td>1.07 MB</td>",
        "<td>1.5 ms, 16 images</td>",
    ):
        assert shown in text, shown
    assert "From A to B an image takes 1/" in two.findings.comparison.view._summary.value
    assert two.plane.pinned.data["text"] == ["A", "B"]


def test_a_drag_sends_nothing_to_table_plane_comparison_and_code(two: WhySmall) -> None:
    two.takeaway.code_button.value = True
    ask(two, "pin", 0)
    ask(two, "pin", 1)
    sent: list[str] = []
    two.worker.close()  # nothing comes to rest
    findings = two.findings
    for widget in (findings.table, findings.plane_view._summary, findings.comparison._tables, two.takeaway._code):
        widget.observe(lambda change: sent.append(change["name"]))
    two.plane.widget._send_patch = lambda events: sent.append("plane")
    for n in range(10):
        two.network.by_path[("width",)].value = 0.25 + n * 0.125
    assert sent == []


def test_the_code_is_of_the_setting_on_show_and_neither_recipe_nor_model_is_offered(two: WhySmall) -> None:
    two.takeaway.code_button.value = True
    assert 'kind="convolutional"' in two.takeaway._code.text
    two.reset()
    settle(two)
    assert 'kind="linear"' in two.takeaway._code.text
    buttons = [each.description for each in two.takeaway.view.widget.children[1].children]
    assert buttons == ["Hide the code"]


def test_a_link_brings_back_the_setting_and_no_history(two: WhySmall, made: Callable[..., WhySmall]) -> None:
    other = made()
    other.follow(two.page.link)
    settle(other)
    assert other.state == SMALL
    assert rows(other)[-1]["key"] == rows(two)[-1]["key"]
    assert other.findings.history.pins == ()
    assert len(rows(other)) <= 2, "the setting, and perhaps the first one where it was measured before"


def test_a_setting_that_could_not_be_measured_is_not_kept(made: Callable[..., WhySmall]) -> None:
    def broken(config: BlueprintConfig, batch: int, progress: Progress) -> Ran:
        raise RuntimeError("no clock")

    panel = made(run=broken)
    assert panel.worker.wait(60)
    assert rows(panel) == []
    assert panel.findings.table.caption.startswith("Every setting")
    assert panel.plane.now.data["x"], "it is ringed all the same: its energy is modelled"
