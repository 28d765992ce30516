"""The execution backend: compile a network into a program of packed layers, NumPy in and NumPy out."""

from labkit.runtime.lower import compile  # noqa: A004  # what it is called everywhere
from labkit.runtime.program import Program

__all__ = ["Program", "compile"]
