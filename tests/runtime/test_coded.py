"""Layers whose inputs are rounded to bytes give what their reference gives; how far that is from the exact product is bounded."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from torch import nn

from labkit.core.errors import ConfigError, FileFormatError
from labkit.core.records import Compressed
from labkit.formats.codebook import CodebookTensor
from labkit.formats.csr import CsrTensor
from labkit.formats.ternary import TernaryTensor
from labkit.runtime import Program, coded, compile, packed  # noqa: A004
from labkit.runtime._layer import FEW
from labkit.runtime.codes import SPAN, Codes, codes_of
from labkit.runtime.kernels import reference
from labkit.runtime.kernels._bytes import BYTES
from labkit.runtime.kernels._simd import LANES
from labkit.runtime.steps import Step, from_plain, to_plain
from tests.formats import coded as made
from tests.runtime.test_packed import LIMITS, LOOKUPS, UNPACKED, WIDTHS, check

BYTE_LOOKUPS = LOOKUPS | {
    "int2 rows": lambda rng, shape: made.linear(rng, shape, bits=2),
    "int4 groups of a register": lambda rng, shape: made.linear(rng, shape, bits=4, group=BYTES),
    "int4 groups of several registers": lambda rng, shape: made.linear(rng, shape, bits=4, group=4 * BYTES),
    "int2 groups of a register": lambda rng, shape: made.linear(rng, shape, bits=2, group=BYTES),
    "int2 groups of two registers": lambda rng, shape: made.linear(rng, shape, bits=2, group=2 * BYTES),
    "int2 groups of eight registers": lambda rng, shape: made.linear(rng, shape, bits=2, group=8 * BYTES),
    "unsigned groups with a zero point": lambda rng, shape: made.linear(rng, shape, bits=4, signed=False, group=2 * BYTES),
}
RUN_ON_BYTES = sorted(set(BYTE_LOOKUPS) - {"int3 one group in a register"})


@pytest.mark.parametrize("case", BYTE_LOOKUPS)
@given(shape=st.sampled_from(WIDTHS), count=st.sampled_from([1, 3, FEW + 1, 257]), limits=LIMITS, seed=st.integers(0, 99))
@settings(max_examples=20, deadline=None)
def test_byte_lookup_linear(case, shape, count, limits, seed):
    check(BYTE_LOOKUPS[case](np.random.default_rng(seed), shape), count, limits, seed, with_bias=seed % 2 == 0, input_bits=8)


@pytest.mark.long
@pytest.mark.parametrize("case", BYTE_LOOKUPS)
@given(shape=st.tuples(st.integers(1, 70), st.integers(1, 700)), count=st.integers(1, 257), limits=LIMITS, seed=st.integers(0, 1 << 30))
@settings(max_examples=500, deadline=None)
def test_hundreds_of_rounded_layers_of_every_kind(case, shape, count, limits, seed):
    check(BYTE_LOOKUPS[case](np.random.default_rng(seed), shape), count, limits, seed, with_bias=seed % 2 == 0, input_bits=8)


@pytest.mark.parametrize("layer", [coded.PairLookup, coded.Lookup])
@pytest.mark.parametrize("case", ["codebook 1", "codebook 2", "binary", "ternary", "ternary, a scale for each sign", "int2 rows"])
@pytest.mark.parametrize("shape", [(1, 1), (3, 15), (LANES + 1, 257), (2 * LANES, 64)])
def test_both_kernels_of_two_bits(layer, case, shape):
    """Whichever is the faster one on this machine."""
    rng = np.random.default_rng(0)
    weight = BYTE_LOOKUPS[case](rng, shape)
    step = Step("linear", "layer", (0,), weight, rng.standard_normal(shape[0]).astype(np.float32), low=0.0)
    x = rng.standard_normal((3, shape[1])).astype(np.float32)
    want = reference.interpret([step], x)
    np.testing.assert_allclose(layer(codes_of(weight), step)(x), want, rtol=1e-5, atol=1e-5 * float(np.abs(want).max(initial=1)))


@pytest.mark.parametrize("case", RUN_ON_BYTES)
def test_sums_are_exact(case):
    codes = codes_of(BYTE_LOOKUPS[case](np.random.default_rng(0), (9, 700))).whole()
    codes.scales = np.ones_like(codes.scales)
    layer = coded.on_bytes(codes, Step("linear", "layer", (0,), made.binary(np.random.default_rng(0), (9, 700))))
    assert isinstance(layer, coded.ByteLookup)
    x = np.random.default_rng(1).integers(-127, 128, (5, 700))
    x[3], x[4] = 127, -127
    want = x @ codes.table.astype(np.int64)[codes.indices].T
    assert (layer(x.astype(np.float32)) == want).all()


@pytest.mark.parametrize("case", UNPACKED)
@pytest.mark.parametrize("count", [1, 20])
def test_weights_that_are_no_short_codes_take_rounded_inputs_too(case, count):
    check(UNPACKED[case](np.random.default_rng(3), (17, 130)), count, input_bits=8)


def test_sparse_weights_take_rounded_inputs_too():
    check(CsrTensor.pack(np.eye(40, dtype=np.float32)), 3, input_bits=8)


@given(
    case=st.sampled_from(sorted(BYTE_LOOKUPS)),
    shape=st.sampled_from(WIDTHS),
    exponent=st.integers(-25, 15),
    offset=st.sampled_from([0, 1, -30]),
    seed=st.integers(0, 999),
)
@settings(max_examples=200, deadline=None)
def test_the_error_is_bounded(case, shape, exponent, offset, seed):
    """Half a step of the inputs for each weight, and of the table for each input."""
    rng = np.random.default_rng(seed)
    weight = BYTE_LOOKUPS[case](rng, shape)
    x = ((rng.standard_normal((2, shape[1])) + offset) * 10.0**exponent).astype(np.float32)
    whole = codes_of(weight).whole().unpack().astype(np.float64)
    exact = weight.unpack().astype(np.float64)
    got = Program([Step("linear", "layer", (0,), weight, input_bits=8)], (shape[1],))(x)
    peak = np.abs(x).max(axis=1, keepdims=True).astype(np.float64)
    bound = peak / 254 * np.abs(whole).sum(axis=1) + np.abs(x).astype(np.float64) @ np.abs(whole - exact).T
    slack = 1e-5 * peak * np.abs(exact).sum(axis=1)
    assert (np.abs(got - x.astype(np.float64) @ exact.T) <= bound + slack).all()
    table = codes_of(weight).table
    assert np.abs(whole - exact).max() <= float(np.ptp(table)) / 252 * np.abs(codes_of(weight).scales).max() * (1 + 1e-5)


@given(
    table=st.lists(st.floats(-(2.0**100), 2.0**100, width=32), min_size=1, max_size=16),
    scale=st.floats(0.125, 8, width=32),
)
@example(table=[0.0, 3.256617631090875e-42], scale=1.0)
def test_whole_tables(table, scale):
    codes = Codes(np.arange(len(table))[None], np.array(table), np.array([scale], np.float32), 4)
    whole = codes.whole()
    assert (whole.table == np.rint(whole.table)).all()
    size = np.ptp(np.array(table, np.float64)) / SPAN * scale
    near = 1e-6 * np.abs(codes.unpack()) + (np.abs(whole.table) + 2) * 2.0**-149  # the scale itself may be below the normal floats
    assert (np.abs(whole.unpack().astype(np.float64) - codes.unpack()) <= size * 0.5 + near).all()
    assert (whole.unpack()[codes.unpack() == 0] == 0).all()


def test_rounding():
    whole, scales = coded.rounded(np.array([[-254, 127, 3, 1], [0, 0, 0, 0]], np.float32))
    assert whole.tolist() == [[-127, 64, 2, 0], [0, 0, 0, 0]]  # halves to even
    assert scales[0, 0] == 2
    assert scales[1, 0] > 0


@pytest.mark.parametrize("bad", [np.nan, np.inf])
@pytest.mark.parametrize("case", ["codebook 4", "int4 groups", "ternary"])
@pytest.mark.parametrize("count", [1, FEW + 1])
def test_a_sample_with_nan_or_infinity_is_not_a_number_and_no_other(bad, case, count):
    weight = BYTE_LOOKUPS[case](np.random.default_rng(0), (4, 300))
    x = np.ones((count, 300), np.float32)
    x[-1, 7] = bad
    y = Program([Step("linear", "layer", (0,), weight, input_bits=8)], (300,))(x)
    assert np.isnan(y[-1]).all()
    assert np.isfinite(y[:-1]).all()


def test_many_samples_and_few_are_rounded_alike():
    weight = made.codebook(np.random.default_rng(0), (30, 600), bits=4)
    program = Program([Step("linear", "layer", (0,), weight, input_bits=8)], (600,))
    x = np.random.default_rng(1).standard_normal((FEW + 1, 600)).astype(np.float32)
    np.testing.assert_allclose(program(x), np.concatenate([program(x[:FEW]), program(x[FEW:])]), rtol=1e-5, atol=1e-4)


def test_more_inputs_than_32_bits_can_sum_run_on_floats():
    weight = TernaryTensor.pack(np.ones((1, 140_000), np.int8), 1.0)
    layer = packed.layer_of(Step("linear", "layer", (0,), weight, input_bits=8))
    assert not isinstance(layer._inner, coded.ByteLookup)
    assert layer(np.full((1, 140_000), 127, np.float32))[0, 0] == 127 * 140_000


def test_compile_rounds_inputs_of_coded_layers_only_when_asked():
    model = nn.Sequential(nn.Linear(20, 30), nn.ReLU(), nn.Linear(30, 4))
    value = CodebookTensor.pack(np.arange(600).reshape(30, 20) % 5, np.linspace(-1, 2, 5))
    with torch.no_grad():
        model[0].weight.copy_(torch.from_numpy(value.unpack()))
    compressed = Compressed(model=model, network="two layers", values={"0.weight": value})
    x = np.random.default_rng(0).standard_normal((3, 20)).astype(np.float32)
    plain, rounded = compile(compressed, x), compile(compressed, x, inputs="int8")
    assert [step.input_bits for step in plain.steps] == [32, 32]
    assert [step.input_bits for step in rounded.steps] == [layer.input_bits for layer in rounded.layers] == [8, 32]
    assert 0 < np.abs(rounded(x) - plain(x)).max() < 0.2
    again = Program.from_bytes(rounded._file)
    assert np.array_equal(again(x), rounded(x))
    assert [step.input_bits for step in again.steps] == [8, 32]
    with pytest.raises(ConfigError, match=r"compile\.inputs must be one of float32, int8, got 'int4'"):
        compile(model, x, inputs="int4")


def test_steps_as_plain_values():
    step = Step("linear", "layer", (0,), made.binary(np.random.default_rng(0), (2, 3)), input_bits=8)
    plain = to_plain(step)
    assert from_plain(plain, step.weight, None).input_bits == 8
    assert "input_bits" not in to_plain(replace(step, input_bits=32))  # so that a file without it means the same as ever
    assert from_plain(to_plain(replace(step, input_bits=32)), step.weight, None).input_bits == 32
    for bad in ("8", 8.0, True, None):
        with pytest.raises(FileFormatError, match="wrong type"):
            from_plain(plain | {"input_bits": bad}, step.weight, None)
    with pytest.raises(FileFormatError, match="must have exactly"):
        from_plain(plain | {"output_bits": 8}, step.weight, None)
    for wrong in (replace(step, input_bits=16), Step("clip", "clip", (0,), input_bits=8)):
        with pytest.raises(FileFormatError, match="inputs of 32 bits, or of 8 if it is linear"):
            Program([wrong], (3,))


def test_the_reference_rounds_as_by_hand():
    weight = CodebookTensor.pack(np.array([[0, 1]]), np.array([-1.0, 0.255]))
    step = Step("linear", "layer", (0,), weight, input_bits=8)
    # steps of 1.255 / 126: the table is -100 and 26 of them; the inputs are -127 and 64 of 2 / 127
    want = (100 * 127 + 26 * 64) * (1.255 / 126) * (2 / 127)
    assert reference.interpret([step], np.array([[-2.0, 1.0]], np.float32))[0, 0] == pytest.approx(want, rel=1e-6)
