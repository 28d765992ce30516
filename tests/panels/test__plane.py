"""The plane: its front by law and by hand, its ranges, and what a click chooses."""

import math

from hypothesis import given
from hypothesis import strategies as st

from labkit.panels._figures import DARK, LIGHT
from labkit.panels._plane import AXES, Dot, Plane, front, stairs, ticks

POINTS = st.lists(st.tuples(st.integers(0, 9).map(float), st.integers(0, 9).map(lambda n: n / 10)), max_size=12)


def beats(a: tuple[float, float], b: tuple[float, float]) -> bool:
    return a[0] <= b[0] and a[1] >= b[1] and a != b


@given(POINTS)
def test_the_front_is_what_nothing_beats(points):
    on = front(points)
    by_definition = {n for n, one in enumerate(points) if not any(beats(other, one) for other in points)}
    assert set(on) == by_definition
    assert len(on) == len(by_definition)
    assert [points[n][0] for n in on] == sorted(points[n][0] for n in on)


def test_equal_points_are_on_the_front_together():
    assert front([(2.0, 0.5), (1.0, 0.5), (1.0, 0.5), (3.0, 0.9)]) == [1, 2, 3]
    assert front([]) == []


def test_stairs_go_along_and_then_up():
    assert stairs([(1.0, 0.5), (2.0, 0.7)], 4.0) == ([1.0, 2.0, 2.0, 4.0], [0.5, 0.5, 0.7, 0.7])
    assert stairs([], 4.0) == ([], [])


def test_ticks_are_one_two_five():
    assert ticks(9, 110) == [10, 20, 50, 100]


def dot(key: str, accuracy: float, size: float, zeros: float, latency: float | None = None, series: str = "weight") -> Dot:
    return Dot(
        key,
        f"setting {key}",
        series,
        accuracy,
        {"size on disk": size, "MACs": size, "latency here": latency, "speed here": None, "share of zeros": zeros},
    )


DENSE = dot("", 0.93, 1000.0, 0.0, 5.0, "dense")
DOTS = [dot("a", 0.92, 400.0, 0.6, 2.0), dot("b", 0.80, 500.0, 0.5, series="channel"), dot("c", 0.70, 100.0, 0.9, 1.0)]


def drawn() -> tuple[Plane, list[str]]:
    chosen: list[str] = []
    plane = Plane(chosen.append)
    plane.paint(LIGHT)
    plane.show_past(DOTS, DENSE, {"c": "A"})
    return plane, chosen


def test_dots_are_at_the_logarithm_of_their_cost_and_those_on_the_front_are_marked():
    plane, _ = drawn()
    data = plane.past.data
    assert data["x"] == [math.log10(size) for size in (400, 500, 100)]
    assert [edge is not None for edge in data["edge"]] == [True, False, True]
    assert [alpha == 1 for alpha in data["alpha"]] == [True, False, True]
    assert [each.key for each in plane.on_front] == ["c", "a"]
    assert plane.dense.data["x"] == [3.0]
    assert plane.pinned.data == {"x": [2.0], "y": [0.70], "text": ["A"]}
    assert plane.line.data["y"] == [0.70, 0.70, 0.92, 0.92, 0.93, 0.93]
    assert data["marker"][0] != data["marker"][1]


def test_every_dot_lies_within_the_ranges():
    plane, _ = drawn()
    for axis in AXES:
        plane.choose(axis)
        x, y = plane.plot.x_range, plane.plot.y_range
        assert all(x.start <= each <= x.end for each in [*plane.past.data["x"], *plane.dense.data["x"]]), axis
        assert all(y.start <= each <= y.end for each in plane.past.data["y"])
        assert plane.plot.xaxis.axis_label == AXES[axis].label
        assert len(plane.plot.xaxis.major_label_overrides) >= 2


def test_of_zeros_more_is_better():
    plane, _ = drawn()
    plane.choose("share of zeros")
    assert [each.key for each in plane.on_front] == ["c", "a"]
    assert plane.line.data["x"] == [0.9, 0.6, 0.6, 0.0, 0.0, -0.03]


def test_what_has_no_latency_is_left_out_of_that_plane():
    plane, _ = drawn()
    plane.choose("latency here")
    assert plane.past.data["key"] == ["a", "c"]
    plane.show_now(DOTS[1].costs, 0.8, 0.75, 0.85)
    assert plane.now.data["x"] == []
    plane.show_now(DOTS[0].costs, 0.92, 0.9, 0.94)
    assert plane.now.data == {"x": [math.log10(2)], "y": [0.92], "low": [0.9], "high": [0.94]}


def test_a_click_chooses_and_can_be_made_again():
    plane, chosen = drawn()
    for _ in range(2):
        plane.past.selected.indices = [1]
        assert plane.past.selected.indices == []
    assert chosen == ["b", "b"]


def test_a_theme_changes_colours_only():
    plane, _ = drawn()
    before = dict(plane.past.data)
    plane.paint(DARK)
    after = dict(plane.past.data)
    assert {name for name in before if before[name] != after[name]} == {"colour", "edge"}


def test_an_empty_plane_shows_the_dense_network():
    plane = Plane(print)
    plane.show_past([], DENSE, {})
    assert plane.dense.data["text"] == ["dense"]
    assert plane.on_front == []
