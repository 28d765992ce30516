"""A lab's history on the page: rows, pins, going back, the front in words; and nothing of it while a slider moves."""

import pytest

from labkit.panels._history import row
from labkit.panels._network_entry import SHEET
from labkit.panels.pruning_granularity import PruningGranularity
from labkit.workbench import KEPT_RESULTS
from tests.panels import entries

SPARSITY = ("ratio", "sparsity")


def move(panel: PruningGranularity, sparsity: float) -> None:
    panel.controls["prune"].by_path[SPARSITY].value = sparsity


def settle(panel: PruningGranularity) -> None:
    assert panel.worker.wait(60)
    assert "is-error" not in panel.status.widget.value, panel.status.widget.value


def ask(panel: PruningGranularity, what: str, n: int) -> None:
    """Press a button of the row with the number `n`, oldest first."""
    table = panel.findings.table
    table._handle_custom_msg({"do": what, "key": table.rows[n]["key"]}, [])


@pytest.fixture
def two(panel):
    settle(panel)
    move(panel, 0.8)
    settle(panel)
    return panel


def test_a_settled_setting_is_a_row_with_its_figures(two):
    rows = two.findings.table.rows
    assert [each["cells"][0][0] for each in rows] == ["as the lab opens", "sparsity 80%"]
    assert all(len(each["cells"]) == len(two.findings.table.columns) == 7 for each in rows)
    assert rows[1]["cells"][3][1] == two.measured.size == len(two.bench.file(two.measured.compressed))
    assert rows[1]["cells"][5][1] == two.measured.timing.latency.median_ms
    assert two.findings.table.chosen == rows[1]["key"] == two.recipe.digest
    assert two.findings.table.caption.startswith("2 settings")


def test_a_row_names_its_network_only_where_there_are_several(two):
    (first, _) = two.findings.history
    assert row(first, SHEET.table, with_place=True)["cells"][0] == ["digits-small: as the lab opens", "as the lab opens"]


def test_going_back_shows_that_setting_and_adds_no_row(two):
    ask(two, "go", 0)
    assert two.state.sparsity == 0.5
    settle(two)
    assert len(two.findings.history) == 2
    assert two.findings.table.chosen == two.findings.table.rows[0]["key"]


def test_a_click_on_a_dot_goes_back_too(two):
    keys = list(two.plane.past.data["key"])
    two.plane.past.selected.indices = [keys.index(two.findings.table.rows[0]["key"])]
    assert two.state.sparsity == 0.5


def test_pins_are_lettered_in_table_and_plane_and_compared(two):
    ask(two, "pin", 1)
    ask(two, "pin", 0)
    keys = [each["key"] for each in two.findings.table.rows]
    assert two.findings.table.letters == {keys[1]: "A", keys[0]: "B"}
    assert sorted(two.plane.pinned.data["text"]) == ["A", "B"]
    assert len(two.findings.comparison._body.children) == 2
    ask(two, "pin", 1)
    assert two.findings.table.letters == {keys[0]: "A"}
    assert two.findings.comparison._body.children == ()


def test_a_row_that_is_not_there_and_a_message_that_means_nothing_change_nothing(two):
    before = two.state
    for message in ({"do": "go", "key": "0" * 12}, {"do": "pin", "key": "0" * 12}, {"do": "explode"}, {}):
        two.findings.table._handle_custom_msg(message, [])
    assert two.state == before
    assert two.findings.history.pins == ()


def test_the_present_row_is_marked_before_it_is_measured_again_and_no_row_if_there_is_none(two):
    first = two.findings.table.rows[0]["key"]
    before = two.findings.table.version
    two.findings.choose(first)
    assert (two.findings.table.chosen, two.findings.table.version) == (first, before + 1)
    two.findings.choose(first)
    assert two.findings.table.version == before + 1, "nothing new is sent"
    two.findings.choose("0" * 12)
    assert two.findings.table.chosen not in [row["key"] for row in two.findings.table.rows]


def test_nobody_goes_back_while_a_job_runs(two):
    two.enable(False)
    assert two.findings.table.enabled is False
    ask(two, "go", 0)
    assert two.state.sparsity == 0.8
    assert "A job is running" in two.status.widget.value
    two.enable(True)
    ask(two, "go", 0)
    assert two.state.sparsity == 0.5


def test_a_tuned_network_that_is_no_longer_kept_is_not_trained_in_secret(two):
    two.job.bar.start.click()
    settle(two)
    assert two.findings.table.rows[2]["cells"][0][0] == "sparsity 80%, tuned"
    move(two, 0.5)
    settle(two)
    ask(two, "go", 2)
    settle(two)
    assert two.state.is_tuned
    move(two, 0.5)
    settle(two)
    for n in range(KEPT_RESULTS):
        two.bench.keep(entries.state(n / 100).recipe("digits"), two.bench.dense)
    ask(two, "go", 2)
    assert not two.state.is_tuned
    assert "not kept any more" in two.status.widget.value


def test_what_is_taken_home_is_what_is_on_show(two):
    taken = two.taken()
    assert taken.recipe == two.recipe
    assert len(two.bench.file(taken.compressed)) == two.measured.size
    assert taken.name == "digits-small-weight-80"


def test_a_drag_sends_nothing_to_table_plane_comparison_and_code(two):
    two.findings.takeaway.code_button.value = True
    ask(two, "pin", 0)
    ask(two, "pin", 1)
    sent: list[str] = []
    two.worker.close()  # nothing comes to rest
    findings = two.findings
    for widget in (findings.table, findings.plane_view._summary, findings.comparison._tables, findings.comparison.pictures):
        widget.observe(lambda change: sent.append(change["name"]))
    findings.takeaway._code.observe(lambda change: sent.append(change["name"]))
    findings.plane.widget._send_patch = lambda events: sent.append("plane")
    for n in range(20):
        move(two, 0.3 + n / 100)
    assert sent == []


def test_the_plane_can_be_drawn_against_another_cost(two):
    two.findings.axis.value = "share of zeros"
    assert sorted(two.plane.past.data["x"]) == sorted(entry.zeros for entry in two.findings.history)
    assert two.plane.now.data["x"] == [two.measured.sketch.zeros]
    assert "zeros" in two.plane_view._summary.value


def test_an_empty_history_says_how_it_fills(panel):
    assert panel.findings.table.caption.startswith("Every setting")
    assert (
        "Every setting that settles leaves a dot here. Ring: the present setting with its 95 % interval." in panel.plane_view._summary.value
    )
    assert panel.findings.csv_button.disabled
