"""The score strip: always five cells in one order, honest about what is not settled or no better."""

from labkit.core.records import Accuracy, Cost, Latency
from labkit.panels import _strip
from labkit.panels._strip import Cell, accuracy_cell, bytes_cell, energy_cell, latency_cell, macs_cell, strip_html


def test_text_is_escaped():
    html = strip_html((Cell("<b>", "1 < 2", "a & b", title='"x"'),))
    assert "<b>" not in html
    assert "1 &lt; 2" in html
    assert "&quot;x&quot;" in html


def test_a_figure_that_is_not_settled_looks_different():
    assert "is-refining" in strip_html((Cell("a", "1", is_settled=False),))
    assert "is-refining" not in strip_html((Cell("a", "1"),))


def test_accuracy_says_interval_difference_and_how_many_images():
    first = accuracy_cell(Accuracy(180, 200, 0.85, 0.93), 0.9386, 10_000)
    assert first.value == "90.0% ± 4.0"
    assert "−3.9 points" in first.detail
    assert "200 of 10,000 images" in first.detail
    assert not first.is_settled
    last = accuracy_cell(Accuracy(9_400, 10_000, 0.935, 0.945), 0.9386, 10_000)
    assert last.is_settled
    assert "+0.1 points" in last.detail
    assert not accuracy_cell(None, 0.9, 10).is_settled


def test_accuracy_before_recalibration_is_told():
    cell = accuracy_cell(Accuracy(9_000, 10_000, 0.89, 0.91), 0.93, 10_000, Accuracy(100, 1_000, 0.08, 0.12))
    assert "10% before new batch norm" in cell.detail


def test_bytes_that_are_not_fewer_come_with_the_reason():
    assert bytes_cell(100_000, 500_000, "why").detail == "5.0× smaller than 500.0 kB"
    assert bytes_cell(500_000, 500_000, "why").detail == "why"
    assert bytes_cell(600_000, 500_000, "why").detail == "why"


def test_latency_left_over_from_another_setting_is_not_shown_as_this_ones():
    time = Latency(2.0, 1.9, 2.2, 40, 1, 64)
    assert latency_cell(None, None, "", is_current=False).value == "…"
    stale = latency_cell(time, 3.0, "why", is_current=False)
    assert not stale.is_settled
    assert "faster" not in stale.detail
    assert latency_cell(time, 3.0, "why", is_current=True).detail == "3.0× faster than dense · 64 images"
    assert latency_cell(time, 0.8, "why", is_current=True).detail == "why · 64 images"


def test_macs_name_what_is_computed_and_what_is_dense():
    dense = Cost(10, 10, 8_000_000, 8_000_000)
    assert macs_cell(Cost(10, 5, 8_000_000, 4_000_000), dense).detail == "with a weight that is not zero; 8.00 M dense"
    assert (
        macs_cell(Cost(5, 2, 2_000_000, 1_000_000), dense).detail == "with a weight that is not zero; 2.00 M in what is left, 8.00 M dense"
    )
    assert macs_cell(Cost(5, 5, 2_000_000, 2_000_000), dense).detail == "8.00 M dense"


def test_energy_says_that_it_is_modelled_and_what_dominates():
    cell = energy_cell({"compute": 1.0, "on_chip": 2.0, "dram": 7.0}, 20.0)
    assert cell.value == "10 µJ"
    assert cell.detail == "modelled · 70% DRAM"


def test_drawing_the_same_cells_again_sends_nothing():
    strip, sent = _strip.Strip(), []
    strip.widget.observe(lambda change: sent.append(change["new"]), names="value")
    strip.show((Cell("a", "1"),))
    strip.show((Cell("a", "1"),))
    assert len(sent) == 1
