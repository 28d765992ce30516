"""The plane: its front by law and by hand, its ranges, and what a click chooses."""

import math
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from labkit.panels._figures import DARK, LIGHT
from labkit.panels._network_entry import ACCURACY, AXES, INTERVAL
from labkit.panels._plane import Axis, Dot, Plane, front, stairs, ticks

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
    plane = Plane(chosen.append, AXES, ACCURACY, INTERVAL, "dense")
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
    plane = Plane(print, AXES, ACCURACY, INTERVAL, "dense")
    plane.show_past([], DENSE, {})
    assert plane.dense.data["text"] == ["dense"]
    assert plane.on_front == []


def told(count: int, shown: int, axis: str = "size on disk") -> str:
    """What is said of `count` settings, of which `shown` rise along the front and the others have no such cost."""
    plane = Plane(print, AXES, ACCURACY, INTERVAL, "dense")
    plane.choose(axis)
    dots = [dot(str(n), n / 10, 10.0 * n, 0.0) for n in range(1, count + 1)]
    hidden = [Dot(each.key, each.label, each.series, each.y, each.costs | {axis: None}) for each in dots[shown:]]
    plane.show_past([*dots[:shown], *hidden], replace(DENSE, label="setting dense"), {})
    return plane.in_words()


def test_the_front_is_told_best_first():
    said = told(7, 4)
    assert said.startswith("7 settings measured.")
    assert "setting 4 (40.0%, 40 kB); setting 3 (30.0%, 30 kB) and 2 more." in said
    assert "both smaller and more accurate" in said
    assert said.endswith("Ring: the present setting, with its 95 % interval. Click a dot to go back to it.")
    assert "both cheaper and more accurate: only setting dense." in told(1, 0, "MACs")


FRUGAL = Axis("energy an image, µJ", lambda value: f"{value:.3g} µJ", True, False, "more frugal")
BUSY = {"products": Axis("products", lambda value: f"{value:.3g} M", True, True, "richer in products")}


def frugal(*points: tuple[str, float, float | None]) -> Plane:
    plane = Plane(print, BUSY, FRUGAL)
    plane.show_past([Dot(key, f"setting {key}", "linear", energy, {"products": cost}) for key, energy, cost in points], None, {"b": "A"})
    return plane


def test_less_can_be_better_upwards_and_more_sideways_on_logarithms():
    plane = frugal(("a", 100.0, 10.0), ("b", 1.0, 1.0), ("c", 100.0, 1.0), ("d", 1.0, 0.1))
    assert [each.key for each in plane.on_front] == ["a", "b"]
    assert plane.past.data["y"] == [2.0, 0.0, 2.0, 0.0]
    assert plane.pinned.data == {"x": [0.0], "y": [0.0], "text": ["A"]}
    assert plane.line.data["x"] == [1.0, 0.0, 0.0, plane.plot.x_range.start]
    assert plane.line.data["y"] == [2.0, 2.0, 0.0, 0.0]
    y = plane.plot.y_range
    assert y.start < 0.0 < 2.0 < y.end
    assert plane.plot.yaxis[0].major_label_overrides[2.0] == "100"


def test_without_an_interval_or_a_whole_neither_is_drawn_nor_told():
    plane = frugal(("a", 5.0, 1.0))
    assert plane.in_words() == (
        "1 setting. On the front, where nothing else is both richer in products and more frugal: setting a (5 µJ, 1 M). "
        "Ring: the present setting. Click a dot to go back to it."
    )
    assert plane.dense.data["x"] == []
    assert plane._bar.visible is False
    assert len(plane.plot.legend[0].items) == 1
    assert len(drawn()[0].plot.legend[0].items) == 2
    assert Plane(print, BUSY, FRUGAL).in_words() == "Every setting that settles leaves a dot here. Ring: the present setting."
    assert "more frugal: nothing yet." in frugal(("a", 5.0, None)).in_words()
