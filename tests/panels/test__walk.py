"""The machines as pictures and words: what is marked is what is multiplied, and every step says what it did."""

import re

import pytest

from labkit.dataflow import MACHINES, MOST_STEPS, WalkConfig
from labkit.panels._walk import Walk, in_words, seen, walk_html


@pytest.mark.parametrize("machine", MACHINES)
def test_before_the_first_step_nothing_is_marked_and_behind_the_last_nothing_happens(machine: str) -> None:
    first, last = (seen(WalkConfig(machine=machine, step=step)) for step in (0, MOST_STEPS))
    assert "is-now" not in walk_html(machine, first)
    assert (first.done, first.now) == ((), ())
    assert last.is_at_end
    sums = {each.row: each.total for each in last.done}
    assert [sums.get(row, 0) for row in range(len(last.matrix))] == (last.matrix @ last.x).tolist()


def test_a_row_marks_the_value_its_input_its_slot_and_its_row() -> None:
    config = WalkConfig(machine="csr", step=7)
    found = seen(config)
    (now,) = found.now
    assert (now.row, now.column, now.value, now.x) == (1, 1, -5, 2)
    text = walk_html("csr", found)
    assert len(re.findall(r'"is-now"', text)) == 6  # input, cell, value, column, and where the row starts and ends
    assert in_words(config, found) == "Step 7 of 27, row 1: −5 is stored, its column says input 1, −5 · 2 makes the row −6."


def test_two_bits_choose_among_the_four_inputs_that_are_offered() -> None:
    config = WalkConfig(machine="n_m", step=2)
    found = seen(config)
    text = walk_html("n_m", found)
    assert text.count("is-offered") == 3
    assert "its bits 10 choose input 2" in in_words(config, found)


def test_the_array_shows_what_waits_and_says_why_nothing_is_sent() -> None:
    config = WalkConfig(machine="eie", step=2)
    found = seen(config)
    assert found.cycle is not None
    assert found.cycle.is_held
    assert "no input is sent, since a queue is full" in in_words(config, found)
    assert walk_html("eie", found).count("lk-pe ") == 4
    assert f"takes {found.steps} cycles" in in_words(WalkConfig(machine="eie"), seen(WalkConfig(machine="eie")))


def test_the_queue_has_a_control_only_where_there_are_queues() -> None:
    asked: list[object] = []
    walk = Walk(lambda path, value: asked.append((path, value)))
    walk.show(WalkConfig())
    assert ("queue",) not in walk.controls.by_path
    walk.show(WalkConfig(machine="eie"))
    walk.controls.by_path[("queue",)].value = 3
    assert asked == [(("queue",), 3)]
