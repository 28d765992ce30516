"""Compile all kernels ahead, so that nobody waits for it in a lab."""

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from labkit.core.progress import SILENT, Progress
from labkit.formats.binary import BinaryTensor
from labkit.formats.block_int8 import BlockInt8Tensor
from labkit.formats.codebook import CodebookTensor
from labkit.formats.csr import CsrTensor
from labkit.formats.linear import LinearTensor
from labkit.formats.n_m import SIZES, NMTensor
from labkit.formats.vector_sparse import VectorSparseTensor
from labkit.runtime import packed
from labkit.runtime.kernels import byte_lookup_linear, lookup_linear
from labkit.runtime.kernels._bytes import BYTES, VNNI
from labkit.runtime.kernels._cache import folder
from labkit.runtime.kernels._simd import LANES, aligned
from labkit.runtime.kernels.dense_int8_linear import OUTPUTS, ROWS, DenseInt8Linear
from labkit.runtime.kernels.interpret import COLUMNS, interpret, interpret_one
from labkit.runtime.kernels.lanes import AT_ONCE, BY_IMAGE, gather, scatter
from labkit.runtime.kernels.xnor_linear import XnorLinear
from labkit.runtime.plan import KINDS
from labkit.runtime.program import Program
from labkit.runtime.steps import Affine, Step


def warm(progress: Progress = SILENT) -> Path | None:
    """Compile every kernel, or load it from the cache.

    Args:
        progress: told of each kernel.

    Returns:
        The folder where the compiled kernels are kept; None where there is none, so that each process compiles again.
    """
    progress.begin("compiling kernels")
    arena, outside, geometry = aligned(16), np.zeros(1, np.float32), np.zeros(9, np.int64)
    geometry[[BY_IMAGE, AT_ONCE]] = 1  # no channels, so nothing is copied
    weights = [np.zeros(1, kind) for kind in KINDS]
    table, limits = np.zeros((0, COLUMNS), np.int64), np.zeros((0, 2), np.float32)
    calls: tuple[Callable[[], Any], ...] = (
        lambda: gather(outside, arena, geometry, 0, False),
        lambda: scatter(arena, outside, geometry, 0),
        *(partial(_run, step) for step in _steps()),
        _run_signs,
        *(partial(_run_integers, count) for count in (1, 5 * LANES)),
        *(partial(_run_dense, count) for count in (1, ROWS) if VNNI),
        lambda: interpret(arena, table, limits, *weights),
        lambda: interpret_one(arena, table, limits, *weights),
    )
    for n, call in enumerate(calls):
        progress.step(n, len(calls))
        call()
    progress.step(len(calls), len(calls))
    return folder()


def _steps() -> Iterator[Step]:
    """Yield a small linear layer for each kernel of linear layers."""
    ones: NDArray[np.float32] = np.eye(8, dtype=np.float32)
    codes, scales = np.zeros((8, 8), np.int8), np.ones(8, np.float32)
    sparse = [CsrTensor.pack(ones), *(VectorSparseTensor.pack(ones, block=n) for n in (4, 8)), *(NMTensor.pack(ones, m=m) for m in SIZES)]
    rows = [CodebookTensor.pack(codes.view(np.uint8), np.array([0, 2]), bits) for bits in (2, 4)]
    rising = [LinearTensor.pack(codes, scales, bits=bits) for bits in (2, 4)]
    groups = [_grouped(bits, LANES * n) for bits, n in lookup_linear.GROUPS]
    of_bytes = [_grouped(bits, BYTES * 8 // bits) for bits in byte_lookup_linear.GROUPS]
    of_bytes += [_grouped(bits, BYTES * n) for bits, n in byte_lookup_linear.PARTS]
    for weight in (*sparse, *rows, *groups):
        yield Step("linear", weight.kind, (0,), weight)
    for weight in (*rows, *rising, *of_bytes):
        yield Step("linear", weight.kind, (0,), weight, input_bits=8)


def _grouped(bits: int, group: int) -> LinearTensor:
    """Return a weight of two groups a row: one alone would be a row with a single scale."""
    return LinearTensor.pack(np.zeros((8, 2 * group), np.int8), np.ones(16, np.float32), bits=bits, group=group)


def _run_integers(count: int) -> None:
    """Run a small program of integers on so many images.

    The convolutions of scale 1/4 go from bytes to bytes where that is faster, those of scale 1 by sums.
    """
    codes, bias = Affine(1.0, 0), np.zeros(8, np.int32)
    halves: dict[str, Any] = {"kernel": (2, 2), "stride": (2, 2)}
    first, whole = LinearTensor.pack(np.ones((8, 1, 1, 1)), 0.25), LinearTensor.pack(np.ones((8, 8, 1, 1)), 1.0)
    quarter, single = LinearTensor.pack(np.ones((8, 8, 1, 1)), 0.25), LinearTensor.pack(np.ones((8, 1, 1, 1)), 0.25)
    steps = [
        Step("quantize", "input", (0,), codes=codes),
        Step("conv", "pools", (1,), first, bias, codes=codes),
        Step("max_pool", "in registers", (2,), **halves, codes=codes),
        Step("conv", "plain", (3,), quarter, bias, codes=codes),
        Step("conv", "depthwise", (4,), single, bias, groups=8, codes=codes),
        Step("conv", "sums", (5,), whole, bias, codes=codes),
        Step("max_pool", "on sums", (6,), **halves, codes=codes),
        Step("add", "add", (7, 7), codes=codes),
        Step("max_pool", "on codes", (8,), **halves, codes=codes),
        Step("average_pool", "mean", (9,), codes=codes),
        Step("flatten", "flatten", (10,), codes=codes),
        Step("linear", "fc", (11,), BlockInt8Tensor.pack(np.zeros((8, 8), np.int8), 1.0), bias),
    ]
    Program(steps, (1, 8, 8))(np.zeros((count, 1, 8, 8), np.float32))


def _run(step: Step) -> None:
    """Run a linear layer on one sample, and on so many that every width of its kernel is used."""
    layer = packed.layer_of(step)
    for count in (1, 5 * LANES):
        layer(np.zeros((count, step.weight.shape[1] if step.weight else 0), np.float32))


def _run_signs() -> None:
    XnorLinear(BinaryTensor.pack(np.ones((8, 8), bool), 1.0))(np.zeros((1, 8), np.float32))


def _run_dense(count: int) -> None:
    DenseInt8Linear(np.ones((OUTPUTS, 4), np.int8), np.zeros(OUTPUTS, np.int32))(np.zeros((count, 4), np.uint8))
