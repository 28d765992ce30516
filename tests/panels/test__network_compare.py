"""Two pinned settings: classes and flips against a count by hand, and a page that is not there."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from labkit.core.records import Difference
from labkit.measure.accuracy import difference
from labkit.panels._classes import class_rows, classes_html
from labkit.panels._history import History
from labkit.panels._network_compare import HINT, KINDS, PICTURES, NetworkComparison, figures_html, flips, in_words
from labkit.panels._network_entry import NetworkEntry
from labkit.workbench import Workbench
from tests.panels import entries


@pytest.fixture(scope="module")
def bench() -> Workbench:
    return Workbench("digits-small")


@pytest.fixture(scope="module")
def pair(bench: Workbench) -> tuple[NetworkEntry, NetworkEntry]:
    history = History()
    for n, sparsity in enumerate((0.5, 0.8)):
        history.add(entries.measured(bench, entries.state(sparsity), f"<b>{n}</b>"))
    first, second = history
    return first, second


def test_flips_are_sorted_into_their_kinds(pair, bench):
    truth = bench.splits.test.labels[:6].tolist()
    other = [(label + 1) % 10 for label in truth]
    third = [(label + 2) % 10 for label in truth]
    one = [truth[0], truth[1], other[2], other[3], other[4], -1]
    two = [truth[0], other[1], truth[2], third[3], other[4], other[5]]
    first, second = (entries.with_predictions(pair[0], each, bench.splits.test.labels) for each in (one, two))
    lost, won, moved = flips(first, second, bench.splits.test.labels.numpy())
    assert lost.index.tolist() == [1]
    assert won.index.tolist() == [2]
    assert moved.index.tolist() == [3, 5]
    assert moved.first.tolist() == [other[3], -1]
    assert moved.second.tolist() == [third[3], other[5]]


def test_flips_and_classes_add_up_to_the_difference_of_the_whole(pair, bench):
    labels = bench.splits.test.labels
    whole = difference(pair[0].accuracy, pair[1].accuracy, labels)
    lost, won, _ = flips(*pair, labels.numpy())
    assert (len(won.index), len(lost.index)) == (whole.gained, whole.lost)
    rows = class_rows(*pair, bench)
    assert [row.name for row in rows] == list(bench.splits.classes)
    assert sum(row.difference.gained for row in rows) == whole.gained
    assert sum(row.first.correct for row in rows) == pair[0].accuracy.correct
    for n, row in enumerate(rows):
        assert row.difference.n == int((labels == n).sum())
        assert row.difference.share == pytest.approx(row.second.share - row.first.share)
        assert row.difference.low <= row.difference.share <= row.difference.high


def test_the_tables_hold_the_figures_and_escape_what_people_named(pair, bench):
    text = figures_html(*pair) + classes_html(class_rows(*pair, bench))
    assert "<b>0</b>" not in text
    assert "&lt;b&gt;0&lt;/b&gt;" in text
    assert f"{pair[0].accuracy.share:.2%}" in text
    assert text.count('<th scope="row">') >= 10


def test_words_tell_chance_from_a_difference():
    found = tuple(flips_of(n) for n in (2, 1, 0))
    sure = in_words(Difference(0.02, 0.01, 0.03, 1, 2, 500), found)
    assert "+2.0 points (95 % interval +1.0 to +3.0), which is more than chance" in sure
    assert "2 right → wrong, 1 wrong → right, 0 wrong → other wrong" in sure
    assert "cannot tell from none" in in_words(Difference(-0.001, -0.01, 0.008, 1, 2, 500), found)


def flips_of(n: int):
    from labkit.panels._network_compare import Flips

    return Flips(np.arange(n), np.zeros(n, int), np.ones(n, int))


def test_nothing_is_built_before_two_are_pinned(pair, bench):
    card = NetworkComparison(lambda callback: callback, lambda _: bench)
    assert card.pictures is None
    assert HINT[:40] in card.view._summary.value
    card.show(pair[:1])
    assert card.pictures is None
    assert "Pin another row" in card.view._summary.value
    card.show(pair)
    assert card.pictures is not None
    assert len(card._body.children) == 2
    card.show(())
    assert card._body.children == ()


def test_pictures_are_those_of_the_test_set_page_by_page(pair, bench):
    card = NetworkComparison(lambda callback: callback, lambda _: bench)
    card.show(pair)
    shown, found = card.pictures, flips(*pair, bench.splits.test.labels.numpy())
    assert [count for _, count in shown.kinds] == [len(each.index) for each in found]
    assert [name for name, _ in shown.kinds] == list(KINDS)
    shown.turn(0, 0)
    pixels = np.frombuffer(shown.pixels, np.uint8).reshape(-1, shown.high, shown.wide)
    assert len(pixels) == len(shown.words) == min(PICTURES, len(found[0].index))
    assert np.array_equal(pixels[0], bench.splits.test.pixels[found[0].index[0], 0].numpy())
    truth, was, now = shown.words[0]
    assert truth == was == bench.splits.classes[int(bench.splits.test.labels[found[0].index[0]])]
    assert now == bench.splits.classes[found[0].second[0]] != truth
    shown.turn(99, 99)
    assert (shown.kind, shown.page) == (2, max(0, shown.pages - 1))
    shown.turn(-1, -5)
    assert (shown.kind, shown.page) == (0, 0)


def test_a_latency_that_arrives_does_not_turn_the_page_back(pair, bench):
    card = NetworkComparison(lambda callback: callback, lambda _: bench)
    card.show(pair)
    card._turned(None, {"kind": 0, "page": 1}, [])
    page = card.pictures.page
    assert page == 1
    card.show((replace(pair[0], timing=entries.timing()), pair[1]))
    assert card.pictures.page == page
    assert "2.00 ms" in card._tables.value


def test_networks_of_two_data_sets_have_no_images_in_common(pair, bench):
    class Other:
        card = replace(bench.card, data="fashion-mnist")

    second = replace(pair[1], recipe=replace(pair[1].recipe, network="other"))
    card = NetworkComparison(lambda callback: callback, lambda network: Other() if network == "other" else bench)
    card.show((pair[0], second))
    assert "different data sets" in card.view._summary.value
    assert card.pictures is None


def test_an_entry_of_nan_predictions_has_a_name_for_them(pair, bench):
    labels = bench.splits.test.labels
    first = entries.with_predictions(pair[0], labels[:3].tolist(), labels)
    second = entries.with_predictions(pair[1], [-1, -1, int(labels[2])], labels)
    card = NetworkComparison(lambda callback: callback, lambda _: bench)
    card.show((first, second))
    assert [words[2] for words in card.pictures.words] == ["nothing", "nothing"]
    assert torch.equal(second.accuracy.predictions[:2].long(), torch.tensor([-1, -1]))
