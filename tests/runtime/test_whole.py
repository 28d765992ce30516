"""Integer programs in the plan of one image equal the simulation bit for bit, and run there only where that is proven."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from labkit.formats import smallest
from labkit.formats.block_int8 import BlockInt8Tensor
from labkit.formats.linear import LinearTensor
from labkit.models import zoo
from labkit.runtime import one
from labkit.runtime.affine import KEEP
from labkit.runtime.kernels._simd import LANES
from labkit.runtime.one import FEW_ALONE, OnePlan
from labkit.runtime.program import Program
from labkit.runtime.simulation import simulate
from labkit.runtime.steps import Affine, Step
from tests.runtime import networks as nets
from tests.runtime.integers import calibrated, simulated
from tests.runtime.test_random_networks import INTEGERS, batch_of, integers_of, program_of

BYTES = Affine(1.0, 0)


@pytest.fixture(scope="module", autouse=True)
def alone_whether_or_not_it_pays():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(one, "PRODUCTS_A_STEP", 1 << 40)
        yield


def is_alone(program):
    """Tell whether a lone image runs in one plan, which it then must do for few images as well."""
    (first, *_) = program._stages_for(1)
    assert program._stages_for(FEW_ALONE + 1) is program._stages
    assert program._stages_for(FEW_ALONE)[0] is first
    return isinstance(first, OnePlan)


@pytest.mark.parametrize("formats", ["int8", "int8_fast"])
@pytest.mark.parametrize("name", zoo.names())
def test_a_network_of_the_zoo_equals_its_simulation_at_every_small_batch(name, formats):
    program, test = calibrated(name, formats)
    x = test[:40].tensor().numpy()
    want = simulated(program, x)
    assert is_alone(program)
    for count in range(1, FEW_ALONE + 1):
        assert (np.concatenate([program(x[n : n + count]) for n in range(0, len(x), count)]) == want).all()
    five = np.concatenate([program(x[n : n + 5]) for n in range(0, len(x), 5)])
    assert (five == want).all() if formats == "int8" else np.abs(five - want).max() < 0.1 * np.ptp(want)


def with_zeros(steps, seed):
    """Return integer steps with other zero points, those at the ends of a byte among them."""
    rng, out = np.random.default_rng(seed), []
    for step in steps:
        if step.codes is not None:
            zero = int(rng.choice([0, 255, 128, step.codes.zero]))
            step = replace(step, codes=out[step.inputs[0] - 1].codes if step.op in KEEP else replace(step.codes, zero=zero))
        out.append(step)
    return out


MAKERS = (nets.conv, nets.conv, nets.conv, nets.max_pool, nets.average_pool, nets.clip, nets.add)


def check_alone(network, count, seed):
    steps, image = integers_of(network)
    program, x = program_of(with_zeros(steps, seed), image), batch_of(count, image, seed=2)
    assert is_alone(program) == all(step.op != "average_pool" or step.kernel == (1, 1) for step in steps)
    np.testing.assert_array_equal(program(x), simulate(program.steps, x))


@given(network=nets.networks(INTEGERS, MAKERS), count=st.integers(1, FEW_ALONE), seed=st.integers(0, 99))
@settings(max_examples=150, deadline=None)
def test_random_networks_equal_their_simulation(network, count, seed):
    check_alone(network, count, seed)


@pytest.mark.long
@given(network=nets.networks(INTEGERS, MAKERS), count=st.integers(1, FEW_ALONE), seed=st.integers(0, 999))
@settings(max_examples=400, deadline=None)
def test_thousands_of_random_networks_equal_their_simulation(network, count, seed):
    check_alone(network, count, seed)


def quantized(step, image, reads=BYTES):
    """Return the program of one step on codes, which ends with the floats that its sums stand for where the step makes no codes."""
    steps = [Step("quantize", "input", (0,), codes=reads), replace(step, inputs=(1,))]
    return Program(steps if step.codes is None else [*steps, Step("dequantize", "output", (2,))], image)


def layer_of(total, op):
    """Return a layer of which each output's weights have magnitudes, less their zero points, that sum to `total`; its input's shape."""
    weight = np.full(-(-total // 125), 125)
    weight[-1] -= len(weight) * 125 - total
    weight[1::3] *= -1
    if op in ("linear", "points"):
        points = 2 if op == "points" else None
        packed = LinearTensor.pack(np.stack([weight, -weight]) + (points or 0), 1, points)
        return Step("linear", "fc", (0,), packed, np.array([-(2**24), 2**24], np.int32)), weight.shape
    side = int(np.ceil(np.sqrt(len(weight)))) if op == "depthwise" else 3
    weight = np.pad(weight, (0, -len(weight) % side**2)).reshape(1, -1, side, side)
    groups = 2 if op == "depthwise" else 1
    packed, bias = LinearTensor.pack(np.concatenate([weight, -weight]), 1), np.array([-(2**24), 2**24], np.int32)
    return Step("conv", "conv", (0,), packed, bias, kernel=(side, side), groups=groups), (weight.shape[1] * groups, side, side)


@pytest.mark.parametrize("op", ["linear", "points", "conv", "depthwise"])
@pytest.mark.parametrize(("zero", "most"), [(0, 65793), (255, 65793), (128, 131071), (100, 108240)])
def test_a_layer_runs_alone_as_long_as_no_sum_can_reach_two_to_the_24(op, zero, most):
    """255 · 65793 = 2^24 - 1, 128 · 131071 = 2^24 - 128 and 155 · 108240 = 2^24 - 16."""
    for total in (most, most + 1):
        step, image = layer_of(total, op)
        program = quantized(step, image, replace(BYTES, zero=zero))
        assert is_alone(program) == (total == most)
        signs = np.sign(step.weight.unpack()[0]).reshape(-1)
        signs = np.resize(signs, np.prod(image)).reshape(image)
        rng = np.random.default_rng(total)
        x = np.stack([signs * 1e9, signs * -1e9, np.full(image, 1e9), np.full(image, -1e9), rng.integers(-300, 300, image)])
        x = x.astype(np.float32)
        assert np.abs(simulate(program.steps, x)).max() > 2**24
        for each in np.split(x, len(x)):
            assert (program(each) == simulate(program.steps, each)).all()


@pytest.mark.parametrize(("side", "fits"), [(256, True), (257, False)])
def test_a_mean_runs_alone_as_long_as_its_sum_is_exact(side, fits):
    program = quantized(Step("average_pool", "mean", (0,), codes=BYTES), (1, side, side))
    assert is_alone(program) == fits
    for x in (np.full((1, 1, side, side), 255), np.random.default_rng(0).integers(0, 256, (1, 1, side, side))):
        assert (program(x.astype(np.float32)) == simulate(program.steps, x.astype(np.float32))).all()


@pytest.mark.parametrize("sign", [1, -1])
def test_a_bias_of_31_bits_is_added_to_the_sum_as_a_whole_number(sign):
    weight = LinearTensor.pack(np.array([[127] * 9, [1] * 9]), 2.0**-22)
    step = Step("linear", "fc", (0,), weight, np.array([sign * 2**30, sign * (2**30 + 1)], np.int32), codes=Affine(2.0, 128))
    program, x = quantized(step, (9,)), np.random.default_rng(0).integers(0, 256, (4, 9)).astype(np.float32)
    assert is_alone(program)
    assert (program(x) == simulate(program.steps, x)).all()


SPECIAL = [np.nan, np.inf, -np.inf, 3e38, -3e38, 1e-45, -0.0, 0.5, 1.5, 2.5, 254.5, 255.5, -0.5, 127.5, 2.0**24, -(2.0**31), 2.0**31]


@pytest.mark.parametrize(
    "codes", [Affine(1.0, 0), Affine(1.0, 255), Affine(float(np.float32(0.1)), 128), Affine(2.0**-60, 3), Affine(2.0**60, 3)]
)
@pytest.mark.parametrize("count", [1, 5])
def test_any_float_becomes_the_code_that_the_simulation_gives(codes, count):
    steps = [Step("quantize", "input", (0,), codes=codes), Step("dequantize", "output", (1,))]
    rng = np.random.default_rng(0)
    x = np.concatenate([SPECIAL, np.arange(-300, 300) * codes.scale / 2, rng.standard_normal(99)]).astype(np.float32)
    x = np.stack([np.roll(x, n) for n in range(count)]).reshape(count, -1, 1, 4)
    program = Program(steps, x.shape[1:])
    with np.errstate(over="ignore", invalid="ignore"):
        want = simulate(steps, x)
    assert is_alone(program)
    assert (program(x) == want).all()


@pytest.mark.parametrize("shape", [(3, 1, 1), (2 * LANES + 3, 1, 1), (3, 4, LANES + 2), (2, 3, LANES)])
def test_requantization_and_addition_equal_int64_numpy(shape):
    """Biases up to 2^30, shifts of 31 to 61, additions with factors up to 2^49; in lines shorter and longer than a vector."""
    rng, channels = np.random.default_rng(0), shape[0]
    for zero, of_sum in ((0, 0.7), (255, 3.1), (77, 2.0**-19)):
        scales = (2.0 ** rng.uniform(-30, -1, channels)).astype(np.float32)
        bias = np.clip(rng.uniform(-200, 200, channels) / scales, -(2**30), 2**30).astype(np.int32)
        weight, geometry = LinearTensor.pack(rng.integers(-127, 128, (channels, 1, 1, 1)), scales), {"groups": channels}
        steps = [
            Step("quantize", "input", (0,), codes=Affine(1.0, 7)),
            Step("conv", "conv", (1,), weight, bias, codes=Affine(1.0, zero), low=float(rng.choice([-np.inf, 0.0])), **geometry),
            Step("quantize", "other", (0,), codes=Affine(2.0, 255 - zero)),
            Step("add", "add", (2, 3), codes=Affine(float(np.float32(of_sum)), zero)),
            Step("add", "again", (4, 3), codes=Affine(5.0, 100), high=300.0),
            Step("dequantize", "output", (5,)),
        ]
        program, x = Program(steps, shape), rng.integers(-300, 300, (40, *shape)).astype(np.float32)
        got = np.concatenate([program(each) for each in np.split(x, len(x))])
        assert is_alone(program)
        assert (got == simulate(steps, x)).all()
        assert len(np.unique(got)) > 20


@pytest.mark.parametrize("image", [(5, 1, 1), (1, 1, 5)])
def test_halves_go_up_as_the_card_says(image):
    weight = LinearTensor.pack(np.ones((image[0], 1, 1, 1)), 0.5)
    step = Step("conv", "conv", (0,), weight, np.zeros(image[0], np.int32), groups=image[0], codes=Affine(1.0, 100))
    program = quantized(step, image, Affine(1.0, 128))
    assert program(np.array([1, -1, 3, -3, 4], np.float32).reshape(1, *image)).reshape(-1).tolist() == [1, 0, 2, -1, 2]


def pooling(**settings):
    return Step("max_pool", "pool", (2,), kernel=(2, 2), stride=(2, 2), codes=Affine(0.5, 9), **settings)


@pytest.mark.parametrize(
    ("pool", "read_twice", "rows"),
    [
        (pooling(), False, ["conv + pool", "conv + codes"]),
        (pooling(rounds_up=True), False, ["conv", "pool", "conv + codes"]),
        (pooling(high=1.0), False, ["conv", "conv + codes", "pool"]),
        (pooling(), True, ["conv", "conv + codes", "pool"]),
    ],
)
def test_maxima_are_taken_of_sums_where_nothing_else_reads_the_codes(pool, read_twice, rows):
    rng = np.random.default_rng(0)
    weight = LinearTensor.pack(rng.integers(-127, 128, (3, 2, 3, 3)), 0.001)
    steps = [
        Step("quantize", "input", (0,), codes=Affine(0.1, 100)),
        Step("conv", "conv", (1,), weight, rng.integers(-99, 99, 3).astype(np.int32), kernel=(3, 3), codes=pool.codes, low=0.0),
        pool,
        Step("average_pool", "mean", (2 if read_twice else 3,), codes=Affine(0.25, 3)),
        Step("dequantize", "output", (4,)),
    ]
    steps = [replace(step, codes=replace(step.codes, scale=float(np.float32(step.codes.scale)))) if step.codes else step for step in steps]
    program, x = Program(steps, (2, 9, 7)), rng.standard_normal((3, 2, 9, 7)).astype(np.float32)
    assert [name for name, _ in program.profile(x[:1])] == ["input", *rows, "mean", "mean + codes", "output + floats", "in and out"]
    assert (program(x) == simulate(steps, x)).all()


def test_sparse_codes_are_summed_without_their_zeros():
    rng = np.random.default_rng(0)
    codes = (rng.integers(1, 127, (40, 300)) * (rng.random((40, 300)) < 0.1)).astype(np.int8)
    program = quantized(Step("linear", "fc", (0,), BlockInt8Tensor.pack(codes, 0.5), np.zeros(40, np.int32)), (300,))
    x = rng.integers(0, 256, (3, 300)).astype(np.float32)
    (plan,) = program._stages_for(1)
    assert plan.weights[4].size < codes.size
    assert (program(x) == simulate(program.steps, x)).all()


def test_a_network_of_floats_and_codes_runs_alone_and_gives_what_its_stages_give():
    rng = np.random.default_rng(0)
    floats = [smallest(rng.integers(-3, 4, shape).astype(np.float32), ["dense"]) for shape in ((4, 2, 3, 3), (5, 12))]
    whole = LinearTensor.pack(rng.integers(-127, 128, (3, 4, 3, 3)), 0.01)
    steps = [
        Step("conv", "first", (0,), floats[0], np.ones(4, np.float32), kernel=(3, 3), padding=(1, 1), low=0.0),
        Step("quantize", "codes", (1,), codes=Affine(0.5, 5)),
        Step("conv", "second", (2,), whole, np.ones(3, np.int32), kernel=(3, 3), stride=(2, 2), padding=(1, 1), codes=Affine(0.25, 99)),
        Step("dequantize", "floats", (3,)),
        Step("flatten", "flat", (4,)),
        Step("clip", "limited", (5,), low=-8.0, high=8.0),
        Step("linear", "last", (6,), floats[1], np.ones(5, np.float32)),
    ]
    program, x = Program(steps, (2, 4, 4)), rng.integers(-5, 6, (5, 2, 4, 4)).astype(np.float32)
    assert is_alone(program)
    assert np.ptp(program(x)) > 0
    for n in range(5):
        assert (program(x[n : n + 1]) == program(x)[n : n + 1]).all()


@pytest.mark.parametrize("odd", ["hardswish", "concat", "average_pool"])
def test_what_has_no_kernel_here_runs_in_stages(odd):
    settings = {"inputs": (1, 1) if odd == "concat" else (1,), "kernel": (2, 2) if odd == "average_pool" else (1, 1)}
    steps = [
        Step("quantize", "input", (0,), codes=Affine(0.0625, 128)),
        Step(odd, odd, codes=Affine(0.125, 100), **settings),
        Step("dequantize", "output", (2,)),
    ]
    program, x = Program(steps, (2, 5, 5)), np.random.default_rng(0).standard_normal((2, 2, 5, 5)).astype(np.float32)
    assert not is_alone(program)
    assert (program(x) == simulate(steps, x)).all()


@pytest.mark.parametrize("groups", [1, 2])
def test_more_products_run_alone_with_fewer_images(groups, monkeypatch):
    weight = LinearTensor.pack(np.ones((6, 4 // groups, 3, 3)), 0.01)
    program = quantized(Step("conv", "conv", (0,), weight, np.zeros(6, np.int32), kernel=(3, 3), groups=groups), (4, 7, 6))
    products = 6 * (4 // groups) * 3 * 3 * 5 * 4 * (1 if groups == 1 else one.GROUPED)
    for images, least in ((FEW_ALONE, FEW_ALONE), (2, 2), (0, 1)):
        monkeypatch.setattr(one, "PRODUCTS_A_STEP", least * products // 2 - (images == 0))  # of two steps
        again = Program(program.steps, program.image)
        assert all(isinstance(again._stages_for(n)[0], OnePlan) == (n <= images) for n in range(1, FEW_ALONE + 2))
