"""Integer stages equal the simulation bit for bit: every operation, every geometry, with and without oneDNN; the fast ones about."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from labkit.core.errors import FileFormatError, LabkitError, ModelError
from labkit.formats.block_int8 import BlockInt8Tensor
from labkit.formats.dense import DenseTensor
from labkit.formats.file import from_bytes, to_bytes
from labkit.formats.linear import LinearTensor
from labkit.runtime import Program, compile, integer_layer  # noqa: A004
from labkit.runtime.integer import lower
from labkit.runtime.kernels import int8_direct_conv, int8_onednn
from labkit.runtime.kernels.dense_int8_linear import OUTPUTS, DenseInt8Linear
from labkit.runtime.kernels.int8_linear import BlockInt8Linear
from labkit.runtime.simulation import simulate
from labkit.runtime.steps import Affine, Step
from tests.models.networks import lively
from tests.runtime.integers import calibrated
from tests.runtime.test_lower import MODELS as NETWORKS


def pictures(count, shape=(3, 9, 8), seed=0):
    return np.random.default_rng(seed).standard_normal((count, *shape)).astype(np.float32)


@pytest.fixture(params=["direct", "oneDNN", "ours"])
def _engine(request, monkeypatch):
    """Run a test with convolutions from bytes to bytes, with the delegate, and once more with both hidden."""
    monkeypatch.setattr(int8_direct_conv, "FASTER", request.param == "direct")
    if request.param == "ours":
        monkeypatch.setattr(int8_onednn, "_OPERATIONS", ("no_such_operation",))
    elif not int8_onednn.is_there():
        pytest.skip("this torch has no oneDNN operations on bytes")


MODELS = NETWORKS | {
    "rounds up": nn.Sequential(
        nn.Conv2d(3, 4, 3), nn.MaxPool2d(3, 2, 1, ceil_mode=True), nn.Conv2d(4, 3, 1), nn.MaxPool2d(2, ceil_mode=True)
    )
}


@pytest.mark.usefixtures("_engine")
@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("count", [1, 5, 65])
def test_every_operation_equals_the_simulation(name, count):
    model = lively(MODELS[name])
    program, x = compile(model, pictures(1), "int8", calibration=pictures(40)), pictures(count, seed=1)
    assert (program(x) == simulate(program.steps, x)).all()
    with torch.no_grad():
        floats = model(torch.from_numpy(x)).numpy()
    assert program(x).shape == floats.shape
    assert np.abs(program(x) - floats).mean() < 0.05 * np.abs(floats).max()


@pytest.mark.usefixtures("_engine")
def test_a_network_of_the_zoo_equals_the_simulation():
    program, test = calibrated("mobilenet-small")
    x = test[:20].tensor().numpy()
    assert (program(x) == simulate(program.steps, x)).all()


def affine(rng):
    return Affine(float(np.float32(rng.uniform(0.01, 0.1))), int(rng.integers(0, 256)))


def layer_program(rng, step, image):
    """Return a program of one layer with random codes around it."""
    first, last = Step("quantize", "input", (0,), codes=affine(rng)), Step("dequantize", "output", (2,))
    return Program([first, replace(step, inputs=(1,), codes=affine(rng)), last], image)


@pytest.mark.usefixtures("_engine")
@pytest.mark.parametrize("granularity", ["tensor", "channel"])
@pytest.mark.parametrize(("signed", "bits"), [(True, 8), (False, 8), (True, 4), (False, 3)])
@pytest.mark.parametrize("groups", [1, 2, 4])
def test_weights_with_zero_points_are_exact(granularity, signed, bits, groups):
    rng = np.random.default_rng(bits + groups)
    low = -(1 << (bits - 1)) if signed else 0
    codes, rows = rng.integers(low, low + (1 << bits), (8, 4 // groups, 3, 3)), 1 if granularity == "tensor" else 8
    points = rng.integers(low, low + (1 << bits), rows)
    weight = LinearTensor.pack(codes, rng.uniform(0.01, 0.02, rows), points, bits=bits, signed=signed)
    bias = rng.integers(-1000, 1000, 8).astype(np.int32)
    step = Step("conv", "conv", (0,), weight, bias, kernel=(3, 3), padding=(1, 1), stride=(1, 2), groups=groups, low=0.0)
    program, x = layer_program(rng, step, (4, 7, 6)), pictures(3, (4, 7, 6))
    assert (program(x) == simulate(program.steps, x)).all()
    fast = [each if each.codes is None else replace(each, codes=replace(each.codes, exact=False)) for each in program.steps]
    assert np.abs(Program(fast, (4, 7, 6))(x) - simulate(program.steps, x)).max() <= 1.01 * step_of(program)


def step_of(program):
    """Return what one code of the layer before the last step stands for."""
    return program.steps[-2].codes.scale


@pytest.mark.usefixtures("_engine")
@given(
    shape=st.sampled_from([(1, 1), (3, 5), (10, 64), (33, 130)]),
    density=st.sampled_from([0.0, 0.3, 1.0]),
    count=st.sampled_from([1, 16, 70]),
    low=st.sampled_from([0.0, -float("inf"), -0.3]),
    high=st.sampled_from([6.0, float("inf"), 0.0]),
    seed=st.integers(0, 99),
)
@settings(max_examples=60, deadline=None)
def test_linear_layers_are_exact(shape, density, count, low, high, seed):
    rng = np.random.default_rng(seed)
    codes = rng.integers(-128, 128, shape) * (rng.random(shape) < density)
    weight = BlockInt8Tensor.pack(codes.astype(np.int8), np.full(shape[0], 0.02)) if seed % 2 else LinearTensor.pack(codes, 0.02)
    step = Step("linear", "fc", (0,), weight, rng.integers(-(2**20), 2**20, shape[0]).astype(np.int32), low=low, high=high)
    program, x = layer_program(rng, step, (shape[1],)), pictures(count, (shape[1],), seed)
    assert (program(x) == simulate(program.steps, x)).all()


@pytest.mark.usefixtures("_engine")
def test_a_batch_in_chunks_keeps_its_order(monkeypatch):
    model = lively(MODELS["strides"])
    program, x = compile(model, pictures(1), "int8", calibration=pictures(40)), pictures(7, seed=1)
    want = program(x)
    monkeypatch.setattr(integer_layer, "CHUNK_BYTES", 4000)
    small = Program(program.steps, program.image)
    assert min(call._some for _, _, call in small._stages[0]._calls if isinstance(call, integer_layer.IntegerLayer)) < len(x)
    assert (small(x) == want).all()


def test_zero_points_count_among_what_a_sum_may_reach():
    weight = LinearTensor.pack(np.ones((1, 70_000), np.int8), 0.01, -128)
    step = Step("linear", "wide", (0,), weight, np.zeros(1, np.int32))
    with pytest.raises(ModelError, match="must stay below 2\\^31"):
        layer_program(np.random.default_rng(0), step, (70_000,))


def test_an_average_of_more_pixels_than_32_bits_can_sum_is_refused():
    step, codes = Step("average_pool", "mean", (0,), codes=Affine(0.5, 0)), Affine(0.5, 0)
    lower(step, [(1, 2048, 4096), (1, 1, 1)], [codes])
    with pytest.raises(ModelError, match="mean cannot average 2049 × 4096 pixels"):
        lower(step, [(1, 2049, 4096), (1, 1, 1)], [codes])


@pytest.mark.parametrize("size", [(4, 1), (1, 4)])
def test_one_channel_in_and_one_row_or_column_out(size):
    rng = np.random.default_rng(0)
    pairs = {"kernel": (3, 2), "stride": (2, 3), "padding": (1, 1), "dilation": (1, 1)}
    pairs = pairs if size[1] == 1 else {name: each[::-1] for name, each in pairs.items()}
    weight = LinearTensor.pack(rng.integers(-127, 128, (2, 1, *pairs["kernel"])), 0.002)
    program = layer_program(rng, Step("conv", "conv", (0,), weight, np.zeros(2, np.int32), **pairs), (1, *size))
    x = pictures(16, (1, *size))
    want = simulate(program.steps, x)
    assert (program(x) == want).all()
    fast = [each if each.codes is None else replace(each, codes=replace(each.codes, exact=False)) for each in program.steps]
    assert np.abs(Program(fast, program.image)(x) - want).max() <= 1.01 * step_of(program)


def test_a_layer_whose_sums_float32_cannot_hold_goes_through_our_kernel():
    weight = LinearTensor.pack(np.full((1, 600), 127), 0.001)
    assert not int8_onednn.is_exact(weight.codes)
    program = layer_program(np.random.default_rng(0), Step("linear", "fc", (0,), weight, np.zeros(1, np.int32)), (600,))
    x = pictures(5, (600,)) + 9
    assert (program(x) == simulate(program.steps, x)).all()


def test_a_program_is_saved_whole_and_names_what_it_is(tmp_path):
    program, test = calibrated("vgg-small-bn", "int8_fast")
    program.save(tmp_path / "net.labkit")
    again, x = Program.load(tmp_path / "net.labkit"), test[:9].tensor().numpy()
    assert (tmp_path / "net.labkit").stat().st_size == program.packed_bytes
    assert (again(x) == program(x)).all()
    assert not again.steps[1].codes.exact
    assert again.layers[1].format == "linear"
    assert again.layers[1].input_bits == 8
    assert again.layers[1].packed_bytes == 16 * 9 + 4 * 16 + 4 * 16, "codes, scales and biases"
    names = [name for name, _ in program.profile(x)]
    assert names[:4] == ["input", "conv1", "conv2+pool2", "conv3"]
    assert names[-1] == "in and out"


@pytest.mark.usefixtures("_engine")
@pytest.mark.parametrize(
    ("image", "shape", "geometry"),
    [
        ((2, 10, 4), (10, 1, 1, 3), {"stride": (1, 3), "padding": (2, 0), "groups": 2}),
        ((3, 7, 3), (6, 1, 1, 3), {"stride": (1, 3), "padding": (0, 1), "groups": 3}),
        ((2, 11, 1), (2, 2, 3, 2), {"stride": (3, 2), "padding": (2, 1), "dilation": (1, 2)}),
    ],
)
def test_an_image_of_a_single_column_is_not_misread(image, shape, geometry):
    rng = np.random.default_rng(0)
    weight = LinearTensor.pack(rng.integers(-127, 128, shape), 0.002)
    step = Step("conv", "conv", (0,), weight, np.zeros(shape[0], np.int32), kernel=shape[2:], **geometry)
    program, x = layer_program(rng, step, image), pictures(9, image)
    assert (program(x) == simulate(program.steps, x)).all()


def test_pooling_that_limits_is_not_done_on_sums():
    model = lively(nn.Sequential(nn.Conv2d(3, 4, 3), nn.MaxPool2d(2), nn.ReLU(), nn.Conv2d(4, 2, 1)))
    program, x = compile(model, pictures(1), "int8", calibration=pictures(40)), pictures(7, seed=3)
    assert (program(x) == simulate(program.steps, x)).all()
    assert "0+1" not in [name for name, _ in program.profile(x)]


def rewritten(change):
    model = lively(nn.Sequential(nn.Conv2d(3, 4, 3), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(4 * 3 * 3, 2)))
    header, tensors = from_bytes(compile(model, pictures(1), "int8", calibration=pictures(8))._file)
    change(header["steps"], tensors)
    return to_bytes(header, tensors)


def floats_from(step, number):
    """Return a plain step that makes floats of a value."""
    return {key: value for key, value in step.items() if key != "codes"} | {"op": "dequantize", "inputs": [number]}


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda steps, _: steps[1].pop("codes"), "must keep what|must not turn|not both|make codes"),
        (lambda steps, _: steps[0].pop("codes"), "quantize"),
        (lambda steps, _: steps[0].update(op="clip"), "must not turn floats into codes"),
        (lambda steps, _: steps[1].update(codes=[0.1, 3]), "a scale, a zero point and whether"),
        (lambda steps, _: steps[1].update(codes=[0.1, 3.0, True]), "a scale, a zero point and whether"),
        (lambda steps, _: steps[1].update(codes=["0.1", 3, True]), "a scale, a zero point and whether"),
        (lambda steps, _: steps[1].update(codes=None), "a scale, a zero point and whether"),
        (lambda steps, _: steps[1].update(codes=[0.1, 3, True]), "a float32 scale"),
        (lambda steps, _: steps[1].update(codes=[0.0, 3, True]), "a float32 scale"),
        (lambda steps, _: steps[1].update(codes=[-0.5, 3, True]), "a float32 scale"),
        (lambda steps, _: steps[1].update(codes=[2.0**99, 3, True]), "a float32 scale"),
        (lambda steps, _: steps[1].update(codes=[0.5, 256, True]), "a zero point in \\[0, 255\\]"),
        (lambda steps, _: steps[1].update(codes=[0.5, -1, True]), "a zero point in \\[0, 255\\]"),
        (lambda steps, _: steps[2].update(codes=[0.5, 3, True]), "must keep what its codes stand for"),
        (lambda steps, _: steps[1].update(codes=[2.0**-60, 0, True]) or steps[2].update(codes=[2.0**-60, 0, True])
         or steps[3].update(codes=[2.0**-60, 0, True]), "cannot be requantized by"),
        (lambda steps, _: steps[4].update(codes=[0.5, 3, True]), "must end with floats"),
        (lambda steps, _: steps[4].update(inputs=[0]), "cannot apply a weight"),
        (lambda steps, _: steps[0].update(low=-1.0), "must not limit"),
        (lambda steps, _: steps.append(floats_from(steps[3], 5)), "must read codes and make floats"),
        (lambda steps, _: steps[4].update(input_bits=8), "must not round its inputs|must have"),
        (lambda _, tensors: tensors.pop("1.bias"), "must have an int32 bias"),
        (lambda _, tensors: tensors.update({"1.bias": DenseTensor.pack(np.zeros(4, np.float32))}), "must have an int32 bias"),
        (lambda _, tensors: tensors.update({"1.bias": DenseTensor.pack(np.full(4, 2**31 - 1, np.int32))}), "must stay below 2\\^31"),
        (lambda _, tensors: tensors.update({"1.bias": DenseTensor.pack(np.full(4, -(2**31), np.int32))}), "must stay below 2\\^31"),
        (lambda _, tensors: tensors.update({"1.weight": DenseTensor.pack(np.zeros((4, 3, 3, 3), np.float32))}), "must have linear weights"),
        (lambda _, tensors: tensors.update({"1.weight": LinearTensor.pack(np.zeros((4, 3, 3, 3)), 1.0, bits=9)}), "at most 8 bits"),
        (lambda _, tensors: tensors.update({"4.weight": LinearTensor.pack(np.zeros((2, 36)), np.ones(6), group=12)}), "without groups"),
    ],
)  # fmt: skip
def test_a_file_whose_codes_do_not_fit_is_refused(change, says):
    with pytest.raises(FileFormatError, match=says):
        Program.from_bytes(rewritten(change))


KEYS = st.sampled_from(["op", "inputs", "codes", "kernel", "groups", "low", "high", "stride", "padding"])
OTHER_OPS = st.sampled_from(["add", "quantize", "dequantize", "clip", "average_pool", "concat", "hardswish"])
PAIRS = st.sampled_from([[0], [1], [2], [1, 1], [0, 1], [2, 2], 0.0, None, 1, 2])
AFFINES = st.sampled_from([[0.5, 0, True], [0.5, 255, False], [2.0**-60, 3, True], [2.0**60, 3, True]])
VALUES = st.one_of(OTHER_OPS, PAIRS, AFFINES)


@given(changes=st.lists(st.tuples(st.integers(0, 4), KEYS, VALUES), min_size=1, max_size=4))
@settings(max_examples=60, deadline=None)
def test_a_hostile_header_is_refused_or_equals_its_simulation(changes):
    def change(steps, _):
        for number, key, value in changes:
            steps[number][key] = value

    try:
        program = Program.from_bytes(rewritten(change))
    except LabkitError:
        return
    x = pictures(2)
    if all(step.codes is None or step.codes.exact for step in program.steps):
        assert (program(x) == simulate(program.steps, x)).all()


def test_scales_that_cannot_be_added_are_refused():
    codes = [Affine(1.0, 0), Affine(2.0**-30, 0)]
    steps = [
        Step("quantize", "a", (0,), codes=codes[0]),
        Step("quantize", "b", (0,), codes=codes[1]),
        Step("add", "sum", (1, 2), codes=codes[1]),
        Step("dequantize", "output", (3,)),
    ]
    with pytest.raises(ModelError, match="sum cannot add codes"):
        Program(steps, (3,))


@pytest.mark.parametrize(("out", "density", "kernel"), [(OUTPUTS, 1.0, DenseInt8Linear), (OUTPUTS, 0.3, BlockInt8Linear)])
def test_linear_sums_are_exact_by_the_kernel_for_what_is_stored(out, density, kernel, monkeypatch):
    monkeypatch.setattr(integer_layer, "VNNI", True)
    rng = np.random.default_rng(0)
    codes = (rng.integers(-128, 128, (out, 300)) * np.repeat(rng.random((out, 75)) < density, 4, axis=1)).astype(np.int8)
    x, call = rng.integers(0, 256, (9, 300), np.uint8), integer_layer.linear_sums(codes, zero=7)
    assert isinstance(call, kernel)
    assert (call(x) == (x.astype(np.int64) - 7) @ codes.astype(np.int64).T).all()
