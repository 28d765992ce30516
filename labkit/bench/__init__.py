"""`labkit bench`: every kernel against dense float32 torch and the best peer that is installed, in one interleaved run.

One file per topic with its cases; a kernel's rows are a generator of cases there, and its name in the file's `CASES`.
"""

from labkit.bench._case import Case, Setting, bits, linear_case, network_case, zeros
from labkit.bench._machine import Machine, machine
from labkit.bench._onnx import to_onnx
from labkit.bench._peers import missing
from labkit.bench._reach import REACH_HEAD, reach_table
from labkit.bench._rows import HEAD, Row, as_plain, from_plain, in_words, measured
from labkit.bench._run import bench, cases

__all__ = [
    "HEAD",
    "REACH_HEAD",
    "Case",
    "Machine",
    "Row",
    "Setting",
    "as_plain",
    "bench",
    "bits",
    "cases",
    "from_plain",
    "in_words",
    "linear_case",
    "machine",
    "measured",
    "missing",
    "network_case",
    "reach_table",
    "to_onnx",
    "zeros",
]
