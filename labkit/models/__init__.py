"""The zoo: builders, checkpoints, and what in a model can be compressed."""

from labkit.models.zoo import load, names

__all__ = ["load", "names"]
