"""Integer programs for tests."""

import numpy as np

from labkit.data import sets
from labkit.models import load, zoo
from labkit.runtime import compile  # noqa: A004
from labkit.runtime.simulation import simulate


def calibrated(name, formats="int8"):
    """Return a network of the zoo as an integer program, calibrated on training images, and its test images' pixels."""
    splits = sets.load(zoo.card(name).data)
    return compile(load(name), splits.test[:1].tensor(), formats, calibration=splits.train[:256].tensor()), splits.test


def simulated(program, x, some=40):
    """Return what the simulation makes of a batch, a few images at a time, which fit the cache."""
    return np.concatenate([simulate(program.steps, x[start : start + some]) for start in range(0, len(x), some)])
