"""Programs agree with torch on every network of the zoo, and come back from their file as they were."""

import json
import threading
from functools import cache

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from labkit.core.errors import ConfigError, FileFormatError, LabkitError
from labkit.core.records import Compressed
from labkit.formats import smallest
from labkit.formats.file import from_bytes, to_bytes
from labkit.models.builders import BUILDERS
from labkit.runtime import Program, compile  # noqa: A004
from labkit.runtime.kernels import reference
from tests.models.networks import images, lively_zoo, prune_at_random


def logits(model, x):
    with torch.inference_mode():
        return model(x).numpy()


@pytest.mark.parametrize("formats", ["rule", "dense", "csr"])
@pytest.mark.parametrize("sparsity", [0.0, 0.9])
@pytest.mark.parametrize("name", BUILDERS)
def test_a_program_agrees_with_torch(name, sparsity, formats):
    model = lively_zoo(name)
    prune_at_random(model, sparsity)
    program = compile(model, images(name, 1), formats)
    for count in (1, 3, 64):
        x = images(name, count, seed=count)
        np.testing.assert_allclose(program(x.numpy()), logits(model, x), rtol=1e-4, atol=1e-4)
    again = Program.from_bytes(program._file)
    assert np.array_equal(again(x.numpy()), program(x.numpy()))
    assert [layer.format for layer in again.layers] == [layer.format for layer in program.layers]


def test_the_oracle_agrees_too():
    model = lively_zoo("resnet-small")
    prune_at_random(model, 0.9)
    program, x = compile(model, images("resnet-small", 1)), images("resnet-small", 3).numpy()
    np.testing.assert_allclose(program(x), reference.interpret(program.steps, x), rtol=1e-5, atol=1e-5)


def test_the_model_is_left_alone():
    model = lively_zoo("digits-small").train()
    before = {key: value.clone() for key, value in model.state_dict().items()}
    compile(model, images("digits-small", 1))
    assert model.training
    assert all(torch.equal(value, before[key]) for key, value in model.state_dict().items())


def test_the_rule_follows_the_density():
    model = lively_zoo("vgg-small-bn")
    assert {layer.format for layer in compile(model, images("vgg-small-bn", 1), "rule").layers} == {"", "dense"}
    prune_at_random(model, 0.9)
    layers = compile(model, images("vgg-small-bn", 1), "rule").layers
    assert [layer.format for layer in layers if layer.format] == ["csr"] * 8
    assert layers[0].density == pytest.approx(0.1, abs=0.01)
    model[0].weight.data.fill_(0.1)  # full again, but a small part of the whole: it goes along
    assert {layer.format for layer in compile(model, images("vgg-small-bn", 1), "rule").layers if layer.op == "conv"} == {"csr"}
    model[10].weight.data.fill_(0.1)
    program = compile(model, images("vgg-small-bn", 1), "rule")
    kept = [layer for layer in program.layers if layer.op == "conv"]
    assert [layer.format for layer in kept] == ["csr", "csr", "csr", "dense", "csr", "csr", "csr"]
    assert [layer.algorithm for layer in kept] == ["direct", "direct", "direct", "winograd", "direct", "direct", "direct"]
    assert len(program._stages) == 1


def test_a_program_that_mixes_formats_agrees_with_torch():
    model = lively_zoo("vgg-small-bn")
    prune_at_random(model, 0.9)
    model[10].weight.data.normal_(0, 0.1, generator=torch.Generator().manual_seed(0))
    x = images("vgg-small-bn", 20)
    np.testing.assert_allclose(compile(model, x)(x.numpy()), logits(model, x), rtol=1e-4, atol=1e-4)


def test_layers_and_profile_name_what_runs():
    model = lively_zoo("digits-small")
    prune_at_random(model, 0.9)
    program = compile(Compressed(model=model, network="digits-small"), images("digits-small", 1), "csr")
    assert [(layer.name, layer.op, layer.shape) for layer in program.layers] == [
        ("conv1", "conv", (8, 8, 8)),
        ("pool1", "max_pool", (8, 4, 4)),
        ("conv2", "conv", (16, 4, 4)),
        ("pool2", "max_pool", (16, 2, 2)),
        ("flatten", "flatten", (64,)),
        ("fc", "linear", (10,)),
    ]
    assert program.layers[2].packed_bytes == program.steps[2].weight.packed_bytes + 16 * 4
    assert program.note == {"network": "digits-small"}
    rows = program.profile(images("digits-small", 5).numpy())
    assert [name for name, _ in rows] == ["conv1 + pool", "conv2 + pool", "fc", "in and out"]
    assert all(milliseconds > 0 for _, milliseconds in rows)
    dense = compile(model, images("digits-small", 1), "dense").profile(images("digits-small", 5).numpy())
    assert [name for name, _ in dense] == ["conv1", "pool1", "conv2", "pool2", "flatten", "fc", "in and out"]


def test_save_and_load(tmp_path):
    model = lively_zoo("digits-small")
    prune_at_random(model, 0.9)
    program = compile(model, images("digits-small", 1), "csr")
    program.save(tmp_path / "net.labkit")
    assert (tmp_path / "net.labkit").stat().st_size == program.packed_bytes
    loaded = Program.load(tmp_path / "net.labkit")
    x = images("digits-small", 7).numpy()
    assert np.array_equal(loaded(x), program(x))
    loaded.save(tmp_path / "again.labkit")
    assert (tmp_path / "again.labkit").read_bytes() == (tmp_path / "net.labkit").read_bytes()


def test_inputs_of_any_memory_are_taken_and_none_is_changed():
    program = compile(lively_zoo("digits-small"), images("digits-small", 1), "csr")
    x = images("digits-small", 6).numpy()
    want, before = program(x), x.copy()
    frozen = x.copy()
    frozen.flags.writeable = False
    for odd in (
        frozen,
        np.asfortranarray(x),
        np.repeat(x, 2, axis=0)[::2],
        np.frombuffer(b"\0" + x.tobytes(), np.float32, offset=1).reshape(x.shape),
    ):
        assert np.array_equal(program(odd), want)
    assert np.array_equal(x, before)
    assert program(x[:0]).shape == (0, 10)


@pytest.mark.parametrize(
    "x", [np.zeros((1, 1, 8, 9), np.float32), np.zeros((1, 1, 8, 8)), np.zeros((1, 8, 8), np.float32), [[0.0]], torch.zeros(1, 1, 8, 8)]
)
def test_other_inputs_are_refused(x):
    program = compile(lively_zoo("digits-small"), images("digits-small", 1))
    with pytest.raises(ConfigError, match=r"must be a float32 array \(n, 1, 8, 8\), got"):
        program(x)


def test_threads_do_not_disturb_each_other():
    program = compile(lively_zoo("digits-small"), images("digits-small", 1), "csr")
    batches = [images("digits-small", 40, seed=n).numpy() for n in range(6)]
    want, got = [program(x) for x in batches], [None] * 6

    def work(n):
        for _ in range(20):
            got[n] = program(batches[n])

    threads = [threading.Thread(target=work, args=(n,)) for n in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(np.array_equal(one, other) for one, other in zip(want, got, strict=True))


@cache
def packed_digits():
    model = lively_zoo("digits-small")
    prune_at_random(model, 0.9)
    return compile(model, images("digits-small", 1), "csr")._file


def rewritten(change):
    header, tensors = from_bytes(packed_digits())
    change(header, tensors)
    return to_bytes(header, tensors)


def step(number, **changes):
    return lambda header, tensors: header["steps"][number].update(changes)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda header, tensors: header.update(kind="network"), "must hold a program, got 'network'"),
        (lambda header, tensors: header.pop("note"), "must hold a program"),
        (lambda header, tensors: header.update(image=[1, 8]), "1 or 3 sizes"),
        (lambda header, tensors: header.update(image=[1, 8, 0]), "1 or 3 sizes"),
        (lambda header, tensors: header.update(image=[1, 8, True]), "1 or 3 sizes"),
        (lambda header, tensors: header.update(steps=[]), "1 to 10000 steps"),
        (lambda header, tensors: header.update(steps={}), "1 to 10000 steps"),
        (lambda header, tensors: header["steps"].append(3), "a step must have exactly"),
        (step(0, more=1), "a step must have exactly"),
        (step(0, rounds_up=1), "wrong type"),
        (step(0, images_innermost=False), "wrong type"),
        (step(1, images_innermost=True), "only a convolution may"),
        (step(0, op=[]), "wrong type"),
        (step(0, stride=[1]), "wrong type"),
        (step(0, stride=[1, 1.0]), "wrong type"),
        (step(0, groups="1"), "wrong type"),
        (step(0, op="system"), "must be one of add, average_pool"),
        (step(0, inputs=[1]), "read 1 earlier value"),
        (step(0, inputs=[-1]), "read 1 earlier value"),
        (step(0, inputs=[0, 0]), "read 1 earlier value"),
        (step(0, stride=[0, 1]), "out of range"),
        (step(0, padding=[-1, 1]), "out of range"),
        (step(0, padding=[1 << 40, 1]), "out of range"),
        (step(0, kernel=[1, 3]), "cannot apply a weight"),
        (step(0, groups=0), "at least one group"),
        (step(0, groups=2), "cannot apply a weight"),
        (step(0, low=1.0), "range around 0"),
        (step(1, padding=[2, 2]), "at most half its window"),
        (step(1, kernel=[64, 64]), "at most 67108864 values"),
        (step(4, op="add", inputs=[1, 2]), "cannot add"),
        (step(4, op="concat", inputs=[1, 2]), "cannot join"),
        (step(4, op="concat", inputs=[]), "wrong type"),
        (step(3, op="average_pool", kernel=[9, 1]), "at most \\(4, 4\\) parts"),
        (step(5, inputs=[1]), "cannot apply a weight"),
        (lambda header, tensors: tensors.pop("0.weight"), "must have a weight"),
        (lambda header, tensors: tensors.update({"0.bias": smallest(np.zeros(3, np.float32))}), "bias of 8 float32"),
        (lambda header, tensors: tensors.update({"99.bias": smallest(np.zeros(3, np.float32))}), "nothing but its steps"),
    ],
)
def test_a_file_that_makes_no_program_is_refused(change, says):
    with pytest.raises(FileFormatError, match=says):
        Program.from_bytes(rewritten(change))


def test_a_format_without_a_kernel_runs_unpacked():
    weight = np.random.default_rng(0).standard_normal((8, 1, 3, 3)).astype(np.float32)
    program = Program.from_bytes(rewritten(lambda header, tensors: tensors.update({"0.weight": smallest(weight, ["bitmap"])})))
    x = images("digits-small", 3).numpy()
    np.testing.assert_allclose(program(x), reference.interpret(program.steps, x), rtol=1e-5, atol=1e-5)


KEYS = st.sampled_from(["op", "inputs", "kernel", "stride", "padding", "dilation", "groups", "low", "high"])
VALUES = st.sampled_from(
    [0, 1, 2, 3, -1, 10**9, 1.5, None, "add", "flatten", "max_pool", "clip", [0], [1], [3], [0, 1], [2, 2], [3, 3], [1 << 30, 1], []]
)


@given(changes=st.lists(st.tuples(st.integers(0, 5), KEYS, VALUES), min_size=1, max_size=3))
@settings(max_examples=200, deadline=None)
def test_a_hostile_header_is_refused_or_runs(changes):
    def change(header, tensors):
        for number, key, value in changes:
            header["steps"][number][key] = value

    try:
        program = Program.from_bytes(rewritten(change))
        program(np.ones((2, 1, 8, 8), np.float32))
    except LabkitError:
        return


def test_a_header_is_json_only():
    raw = compile(lively_zoo("digits-small"), images("digits-small", 1))._file
    header, _ = from_bytes(raw)
    assert json.loads(json.dumps(header)) == header
