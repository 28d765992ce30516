"""Data sets as tensors, with the one split that every method and lab shares."""

from labkit.data.sets import load, names

__all__ = ["load", "names"]
