"""What a sweep says: where each kind overtakes dense, by batch, and what was not measured."""

from labkit.core.records import Ratio
from labkit.crossover import KINDS, PATTERNS, Point
from labkit.panels._sweep import in_words


def curve(kind: str, batch: int, ratios: list[float], layout: str = "") -> list[Point]:
    return [
        Point(kind, zeros, batch, 1, 1.0, Ratio(ratio, ratio, ratio, 5), layout or kind)
        for zeros, ratio in zip(PATTERNS, ratios, strict=False)
    ]


def test_each_kind_is_told_where_it_overtakes_dense_and_where_not() -> None:
    rising, never, always = [0.5, 0.5, 0.5, 2, 4, 8], [0.5] * 6, [1.5] * 6
    points = [
        point
        for kind, (one, many) in zip(KINDS, ((rising, never), (always, rising), (rising, rising), (never, always)), strict=True)
        for batch, ratios in ((1, one), (64, many))
        for point in curve(kind, batch, ratios)
    ]
    said = in_words(points, "fc")
    assert "single weights 69% (one image); not up to 94% (64 images)" in said
    assert "blocks of outputs 25% or fewer (one image); 69% (64 images)" in said
    assert "Not swept to the end" not in said
    assert "compressed rows" not in said
    assert "single weights 56% (one image)" in in_words(curve("csr", 1, [1.5, 0.5, 2, 2, 2, 2]), "fc"), "an early win that is lost again"


def test_nothing_and_a_part_are_said_as_such() -> None:
    assert in_words([], "fc").startswith("Nothing measured yet of fc.")
    assert in_words(curve("csr", 1, [0.5, 2.0]), "fc").startswith("Not swept to the end. fc, one thread")


def test_kinds_that_run_as_compressed_rows_are_named() -> None:
    points = curve("csr", 1, [1.0] * 6) + curve("vector_sparse", 1, [1.0] * 6, "csr") + curve("n_m", 1, [1.0] * 6, "csr")
    assert "In a convolution blocks of outputs and N:M run as compressed rows" in in_words(points, "conv1")
    assert "Winograd" not in in_words(points, "conv1")


def test_it_is_said_up_to_where_zeros_are_multiplied_by_as_well() -> None:
    shares, layouts = list(PATTERNS), ["winograd", "winograd", *["csr"] * 4]
    points = [Point("csr", zeros, 64, 1, 1.0, Ratio(2, 2, 2, 5), layout) for zeros, layout in zip(shares, layouts, strict=True)]
    assert f"With up to {shares[1]:.0%} zeros a group of images runs by Winograd's algorithm" in in_words(points, "conv1")
