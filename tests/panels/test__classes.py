"""Classes side by side: counted by hand, and bars that stay where they belong."""

import re
from dataclasses import replace

import pytest

from labkit.panels._classes import class_rows, classes_html, signed
from labkit.workbench import Workbench
from tests.panels import entries


@pytest.fixture(scope="module")
def bench() -> Workbench:
    return Workbench("digits-small")


@pytest.fixture(scope="module")
def pair(bench):
    return tuple(entries.measured(bench, entries.state(sparsity)) for sparsity in (0.5, 0.8))


def test_a_class_is_counted_on_its_own_images_only(pair, bench):
    labels = bench.splits.test.labels
    truth = labels[:40].tolist()
    all_right = entries.with_predictions(pair[0], truth, labels)
    zeros_lost = entries.with_predictions(pair[1], [label or 9 for label in truth], labels)
    rows = class_rows(all_right, zeros_lost, bench)
    zero = next(row for row in rows if row.name == bench.splits.classes[0])
    assert (zero.first.share, zero.second.share, zero.difference.share) == (1.0, 0.0, -1.0)
    assert (zero.difference.lost, zero.difference.n) == (truth.count(0), truth.count(0))
    assert all(row.difference.share == 0 for row in rows if row is not zero)


def test_bars_stay_within_their_cells(pair, bench):
    for left, width in re.findall(r"left:(-?[\d.]+)%;width:(-?[\d.]+)%", classes_html(class_rows(*pair, bench))):
        assert 0 <= float(left) <= 100.05
        assert 0 <= float(width) <= 100.05 - float(left)


def test_a_bar_of_a_loss_ends_in_the_middle_and_one_of_a_gain_begins_there(pair, bench):
    rows = class_rows(*pair, bench)
    lost, won = (replace(rows[0], difference=replace(rows[0].difference, share=s, low=-0.2, high=0.2)) for s in (-0.1, 0.1))
    assert 'is-down" style="left:25.0%;width:25.0%"' in classes_html([lost])
    assert 'is-up" style="left:50.0%;width:25.0%"' in classes_html([won])


def test_points_have_a_sign():
    assert [signed(share) for share in (0.012, -0.3, 0.0001)] == ["+1.2", "−30.0", "±0.0"]
