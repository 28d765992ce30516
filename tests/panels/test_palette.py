"""The colours of the figures stay apart for readers of every colour vision, and what is pruned stays apart in grey."""

import itertools
import re

import numpy as np
import pytest

from labkit.panels._bokeh import STYLE

# Linear RGB as it looks without one kind of cone: Machado, Oliveira and Fernandes 2009, full severity.
VISIONS = {
    "usual": np.eye(3),
    "protanopia": np.array([[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]]),
    "deuteranopia": np.array([[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]]),
}
TO_XYZ = np.array([[0.4124564, 0.3575761, 0.1804375], [0.2126729, 0.7151522, 0.0721750], [0.0193339, 0.1191920, 0.9503041]])
LEAST = {"usual": 15.0, "protanopia": 9.0, "deuteranopia": 9.0}  # CIELAB distance; 2.3 is just noticeable
SERIES = [f"series-{n}" for n in range(1, 7)]


def tokens(theme: str) -> dict[str, str]:
    """The colours of a theme by the names of their tokens."""
    blocks = re.findall(r"\{([^{}]*--lk-background:[^{}]*)\}", STYLE.read_text(encoding="utf-8"))
    assert len(blocks) == 2
    found = [dict(re.findall(r"--lk-([\w-]+): (#[0-9a-f]{6});", block)) for block in blocks]
    return found[0] if theme == "light" else found[0] | found[1]


def linear(colour: str) -> np.ndarray:
    values = np.array([int(colour[n : n + 2], 16) / 255 for n in (1, 3, 5)])
    return np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4)


def lab(colour: str, vision: str) -> np.ndarray:
    xyz = TO_XYZ @ np.clip(VISIONS[vision] @ linear(colour), 0, 1) / (TO_XYZ @ np.ones(3))
    f = np.where(xyz > (6 / 29) ** 3, np.cbrt(xyz), xyz / (3 * (6 / 29) ** 2) + 4 / 29)
    return np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("vision", VISIONS)
def test_series_stay_apart(theme, vision):
    colours = tokens(theme)
    apart = {
        (one, other): float(np.linalg.norm(lab(colours[one], vision) - lab(colours[other], vision)))
        for one, other in itertools.combinations(SERIES, 2)
    }
    assert {pair: round(distance, 1) for pair, distance in apart.items() if distance < LEAST[vision]} == {}


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_a_mask_can_be_read_in_grey(theme):
    colours = tokens(theme)
    pruned = lab(colours["pruned"], "usual")[0]
    for kept in ("negative", "positive", "zero"):
        assert abs(lab(colours[kept], "usual")[0] - pruned) > 8, kept


def test_the_measure_knows_what_is_confused():
    red, green = "#d62728", "#6b8e23"
    assert np.linalg.norm(lab(red, "usual") - lab(green, "usual")) > 60
    assert np.linalg.norm(lab(red, "deuteranopia") - lab(green, "deuteranopia")) < 35
    assert lab("#ffffff", "protanopia") == pytest.approx([100, 0, 0], abs=0.1)
