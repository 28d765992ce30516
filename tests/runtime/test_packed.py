"""Linear layers on packed weights give what their reference gives, in every format, for one sample and for many."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from labkit.formats.csr import CsrTensor
from labkit.formats.n_m import NMTensor
from labkit.formats.vector_sparse import VectorSparseTensor
from labkit.runtime import packed
from labkit.runtime._layer import FEW
from labkit.runtime.kernels import reference
from labkit.runtime.kernels._simd import LANES
from labkit.runtime.program import Program
from labkit.runtime.steps import Step
from tests.formats import coded
from tests.formats.test_n_m import n_m_weight

INF = float("inf")
WIDTHS = [(1, 1), (3, 5), (17, 64), (33, 257), (8, 700), (1, 300)]
COUNTS = [1, FEW, FEW + 1, 4 * LANES, 5 * LANES + 3, 257]
LIMITS = st.sampled_from([(-INF, INF), (0.0, INF), (0.0, 6.0)])


def check(weight, count, limits=(-INF, INF), seed=0, with_bias=True, input_bits=32):
    """A program of one linear layer agrees with the reference to 1e-5 of its largest sum, and so does its reload."""
    rng = np.random.default_rng(seed)
    bias = rng.standard_normal(weight.shape[0]).astype(np.float32) if with_bias else None
    step = Step("linear", "layer", (0,), weight, bias, low=limits[0], high=limits[1], input_bits=input_bits)
    x = rng.standard_normal((count, weight.shape[1])).astype(np.float32)
    program, want = Program([step], (weight.shape[1],)), reference.interpret([step], x)
    got = program(x)
    free = reference.interpret([replace(step, low=-INF, high=INF)], x)
    np.testing.assert_allclose(got, want, rtol=1e-5, atol=1e-5 * max(1.0, float(np.abs(free).max(initial=0))))
    assert np.array_equal(Program.from_bytes(program._file)(x), got)


def block_weight(shape, block, density, seed):
    rng = np.random.default_rng(seed)
    kept = np.repeat(rng.random((-(-shape[0] // block), shape[1])) < density, block, axis=0)[: shape[0]]
    return VectorSparseTensor.pack((rng.standard_normal(shape) * kept).astype(np.float32) + np.float32(0), block=block)


def csr(rng, shape, density):
    return CsrTensor.pack((rng.standard_normal(shape) * (rng.random(shape) < density)).astype(np.float32) + np.float32(0))


@given(
    shape=st.sampled_from(WIDTHS),
    block=st.sampled_from([4, 8]),
    density=st.sampled_from([0.0, 0.1, 1.0]),
    count=st.sampled_from(COUNTS),
    limits=LIMITS,
    seed=st.integers(0, 99),
)
@settings(max_examples=80, deadline=None)
def test_vector_linear(shape, block, density, count, limits, seed):
    check(block_weight(shape, block, density, seed), count, limits, seed, with_bias=seed % 2 == 0)


@given(
    shape=st.sampled_from(WIDTHS),
    pair=st.sampled_from([(2, 4), (1, 4), (1, 2), (3, 8), (2, 16), (16, 16)]),
    count=st.sampled_from(COUNTS),
    limits=LIMITS,
    seed=st.integers(0, 99),
)
@settings(max_examples=80, deadline=None)
def test_n_m_linear(shape, pair, count, limits, seed):
    weight = n_m_weight(shape, *pair, seed)
    check(NMTensor.pack(weight, weight != 0, m=pair[1]), count, limits, seed, with_bias=seed % 2 == 0)


@pytest.mark.parametrize("make", [csr, coded.csr_int8, coded.csr_codebook])
@given(
    shape=st.sampled_from(WIDTHS),
    density=st.sampled_from([0.0, 0.1, 1.0]),
    count=st.sampled_from([*COUNTS, packed.FEW_ROWS + 1]),
    limits=LIMITS,
    seed=st.integers(0, 99),
)
@settings(max_examples=60, deadline=None)
def test_csr_linear(make, shape, density, count, limits, seed):
    check(make(np.random.default_rng(seed), shape, density), count, limits, seed, with_bias=seed % 2 == 0)


LOOKUPS = {
    "codebook 1": lambda rng, shape: coded.codebook(rng, shape, bits=1),
    "codebook 2": lambda rng, shape: coded.codebook(rng, shape, bits=2),
    "codebook 3": lambda rng, shape: coded.codebook(rng, shape, bits=3),
    "codebook 4": lambda rng, shape: coded.codebook(rng, shape, bits=4),
    "binary": coded.binary,
    "ternary": coded.ternary,
    "ternary, one scale": lambda rng, shape: coded.ternary(rng, shape, by_row=False),
    "ternary, a scale for each sign": lambda rng, shape: coded.ternary(rng, shape, by_row=False, two_scales=True),
    "int4 rows": lambda rng, shape: coded.linear(rng, shape, bits=4),
    "int4 unsigned": lambda rng, shape: coded.linear(rng, shape, bits=4, signed=False, with_zero=True, by_row=False),
    "int2 groups": lambda rng, shape: coded.linear(rng, shape, bits=2, group=4 * LANES),
    "int3 one group in a register": lambda rng, shape: coded.linear(rng, shape, bits=3, group=LANES),
    "int4 groups": lambda rng, shape: coded.linear(rng, shape, bits=4, group=8 * LANES),
    "int4 large groups": lambda rng, shape: coded.linear(rng, shape, bits=4, group=32 * LANES),
}


@pytest.mark.parametrize("case", LOOKUPS)
@given(shape=st.sampled_from(WIDTHS), count=st.sampled_from([1, 3, FEW + 1]), limits=LIMITS, seed=st.integers(0, 99))
@settings(max_examples=20, deadline=None)
def test_lookup_linear(case, shape, count, limits, seed):
    weight = LOOKUPS[case](np.random.default_rng(seed), shape)
    assert packed.can_run(weight)
    check(weight, count, limits, seed)


UNPACKED = {
    "codebook 5": lambda rng, shape: coded.codebook(rng, shape, bits=5),
    "int8": coded.linear,
    "int4 in groups of 3": lambda rng, shape: coded.linear(rng, shape, bits=4, group=3),
    "zero points by row": lambda rng, shape: coded.linear(rng, shape, bits=4, with_zero=True),
    "ternary, scales by row and sign": lambda rng, shape: coded.ternary(rng, shape, two_scales=True),
    "blocks of bytes": coded.block_int8,
}


@pytest.mark.parametrize("case", UNPACKED)
@pytest.mark.parametrize("count", [1, 20])
def test_what_has_no_kernel_runs_unpacked(case, count):
    weight = UNPACKED[case](np.random.default_rng(3), (17, 130))
    assert not packed.can_run(weight)
    check(weight, count)


@pytest.mark.parametrize("make", [coded.csr_int8, coded.csr_codebook, coded.codebook, coded.linear, coded.ternary, coded.block_int8])
def test_convolutions_run_in_every_format(make):
    weight = make(np.random.default_rng(1), (6, 4, 3, 3))
    step = Step("conv", "conv", (0,), weight, kernel=(3, 3), padding=(1, 1), low=0.0)
    x = np.random.default_rng(2).standard_normal((5, 4, 9, 8)).astype(np.float32)
    program = Program([step], (4, 9, 8))
    np.testing.assert_allclose(program(x), reference.interpret([step], x), rtol=1e-5, atol=1e-5)
    assert program.layers[0].packed_bytes == weight.packed_bytes
    assert program.layers[0].density == weight.stored / 216


def test_layers_of_several_formats_follow_each_other():
    rng = np.random.default_rng(0)
    weights = [coded.codebook(rng, (40, 30)), block_weight((24, 40), 4, 0.5, 0), coded.csr_int8(rng, (16, 24)), coded.linear(rng, (3, 16))]
    steps = [Step("linear", str(n), (n,), weight, low=0.0) for n, weight in enumerate(weights)]
    program, x = Program(steps, (30,)), rng.standard_normal((11, 30)).astype(np.float32)
    np.testing.assert_allclose(program(x), reference.interpret(steps, x), rtol=1e-4, atol=1e-5)
    assert [name for name, _ in program.profile(x)] == ["0", "1", "2", "in and out", "3", "in and out"]


def test_a_group_wider_than_the_row_is_a_scale_a_row():
    packed = coded.linear(np.random.default_rng(0), (5, 40), bits=4, group=40)
    wide = type(packed).from_arrays((5, 40), packed.arrays(), dict(packed.settings) | {"group": 1 << 28})
    check(wide, 3)
