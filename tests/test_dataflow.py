"""Sparse dataflows: every machine computes the product, and the array takes the cycles that a count by hand gives."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from labkit import dataflow
from labkit.core.errors import ConfigError
from labkit.dataflow import Cycle, Product, array_cycles, busy_share, csr_products, example, n_m_products, slots, two_of_four

WHOLE = st.integers(-3, 3)
MATRICES = arrays.arrays(np.int64, st.tuples(st.integers(1, 6), st.sampled_from((4, 8))), elements=WHOLE)


def sums(products: list[Product], rows: int) -> list[int]:
    """Add the products up by row, whatever their totals say."""
    out = [0] * rows
    for each in products:
        out[each.row] += each.value * each.x
    return out


def last_totals(products: list[Product], rows: int) -> list[int]:
    return [next((each.total for each in reversed(products) if each.row == row), 0) for row in range(rows)]


def worked(cycles: list[Cycle]) -> list[Product]:
    return [product for cycle in cycles for product in cycle.products if product is not None]


@settings(deadline=None)
@given(MATRICES, st.data())
def test_every_machine_computes_the_product(matrix: np.ndarray, data: st.DataObject) -> None:
    x = data.draw(arrays.arrays(np.int64, matrix.shape[1], elements=WHOLE))
    few = two_of_four(matrix)
    pes, depth = data.draw(st.integers(1, 4)), data.draw(st.integers(1, 3))
    runs = ((matrix, csr_products(matrix, x)), (few, n_m_products(few, x)), (matrix, worked(array_cycles(matrix, x, pes, depth))))
    for weights, products in runs:
        assert sums(products, len(weights)) == (weights @ x).tolist()
        assert last_totals(products, len(weights)) == (weights @ x).tolist()
        assert [each.slot for each in products] == list(range(len(products)))


def test_compressed_rows_by_hand() -> None:
    products = csr_products(np.array([[0, 2, 0], [0, 0, 0], [1, 0, 3]]), np.array([5, 6, 7]))
    assert products == [Product(0, 1, 2, 6, 0, 12), Product(2, 0, 1, 5, 1, 5), Product(2, 2, 3, 7, 2, 26)]


def test_two_of_four_by_hand() -> None:
    few = two_of_four(np.array([[1, -9, 3, 5, 2, 2, 2, 0]]))
    assert few.tolist() == [[0, -9, 0, 5, 2, 2, 0, 0]]
    assert slots(few).tolist() == [[1, 3, 4, 5]]
    assert slots(np.array([[0, 0, 0, 7]])).tolist() == [[0, 3]], "a spare slot takes a zero of its own group"
    with pytest.raises(ConfigError, match="at most 2 of each 4"):
        slots(np.array([[1, 1, 1, 0]]))


def test_a_short_queue_holds_the_array_up_and_a_longer_one_does_not() -> None:
    # Two PEs. Column 0 has two values in PE 0; column 1 has two in PE 1. With one place each, column 1 waits for column 0.
    matrix, x = np.array([[1, 0], [0, 1], [1, 0], [0, 1]]), np.array([1, 1])
    short, long = array_cycles(matrix, x, 2, 1), array_cycles(matrix, x, 2, 2)
    assert [cycle.sent for cycle in short] == [0, None, 1, None]
    assert [cycle.is_held for cycle in short] == [False, True, False, False]
    assert [cycle.queues for cycle in long] == [((0,), ()), ((0,), (1,)), ((), (1,))]
    assert (busy_share(short), busy_share(long)) == (4 / 8, 4 / 6)


def test_an_input_of_zero_is_not_sent_and_an_empty_array_is_balanced() -> None:
    assert [cycle.sent for cycle in array_cycles(np.ones((2, 3), np.int64), np.array([1, 0, 1]), 2, 1)] == [0, 2]
    assert array_cycles(np.ones((2, 2), np.int64), np.zeros(2, np.int64)) == []
    assert busy_share([]) == 1.0
    for pes, depth in ((0, 1), (1, 0)):
        with pytest.raises(ConfigError, match="must be at least 1"):
            array_cycles(np.ones((1, 1), np.int64), np.ones(1, np.int64), pes, depth)


def test_the_examples_end_within_the_steps_of_the_slider_and_gain_by_longer_queues() -> None:
    matrix, x = example("eie")
    cycles = [len(array_cycles(matrix, x, depth=depth)) for depth in (1, 2, 3, 4)]
    assert cycles == [23, 17, 15, 15]
    for steps in (*cycles, len(csr_products(*example("csr"))), len(n_m_products(*example("n_m")))):
        assert steps <= dataflow.MOST_STEPS
