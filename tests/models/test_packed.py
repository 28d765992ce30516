"""A compressed network survives its file, whatever was cut out of it; a damaged or hostile file does not."""

import dataclasses
import time

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from labkit.core.errors import FileFormatError, LabkitError, ModelError, UnknownNameError
from labkit.core.records import Compressed
from labkit.formats import smallest
from labkit.formats.file import from_bytes, to_bytes
from labkit.models.builders import BUILDERS
from labkit.models.fold import fold_batch_norm
from labkit.models.packed import from_file, to_file
from tests.models.networks import images, lively_zoo, prune_at_random


def same_outputs(name, one, other):
    with torch.inference_mode():
        return torch.equal(one(images(name, 3)), other(images(name, 3)))


@pytest.mark.parametrize("folded", [False, True])
@pytest.mark.parametrize("name", BUILDERS)
def test_round_trip_of_the_zoo(name, folded):
    model = fold_batch_norm(lively_zoo(name)) if folded else lively_zoo(name)
    masks = prune_at_random(model, 0.9)
    saved = Compressed(model=model, network=name, masks=masks, activations={"input": (0.5, 3)}, report=("pruned",))
    raw = to_file(saved)
    loaded = from_file(raw)
    assert same_outputs(name, model, loaded.model)
    assert {key: mask.tolist() for key, mask in loaded.masks.items()} == {key: mask.tolist() for key, mask in masks.items()}
    assert (loaded.network, dict(loaded.activations), loaded.report) == (name, {"input": (0.5, 3)}, ("pruned",))
    assert not loaded.model.training
    assert to_file(loaded) == raw


def test_a_kept_zero_and_a_removed_weight_are_told_apart():
    model = lively_zoo("digits-small")
    model.conv1.weight.data.view(-1)[:4] = 0
    keep = torch.ones_like(model.conv1.weight, dtype=torch.bool)
    keep.view(-1)[2:4] = False
    loaded = from_file(to_file(Compressed(model=model, network="digits-small", masks={"conv1.weight": keep})))
    assert torch.equal(loaded.masks["conv1.weight"], keep)
    assert set(loaded.masks) == {"conv1.weight"}


def test_negative_zeros_of_a_mask_cost_nothing():
    model = lively_zoo("digits-small")
    prune_at_random(model, 0.9)
    assert (torch.signbit(model.conv2.weight) & (model.conv2.weight == 0)).any()
    plain = to_file(Compressed(model=model, network="digits-small"))
    for layer in (model.conv1, model.conv2, model.fc):
        layer.weight.data += 0.0
    assert to_file(Compressed(model=model, network="digits-small")) == plain


def test_the_size_follows_the_sparsity():
    sizes = []
    for sparsity in (0.0, 0.5, 0.9, 0.99):
        model = lively_zoo("vgg-small-bn")
        masks = prune_at_random(model, sparsity)
        sizes.append(len(to_file(Compressed(model=model, network="vgg-small-bn", masks=masks))))
    dense = sum(p.numel() for p in model.parameters()) * 4
    assert dense < sizes[0] < 1.1 * dense
    assert sizes[0] > sizes[1] > sizes[2] > sizes[3]
    assert 0.13 * dense < sizes[2] < 0.25 * dense


def cut_vgg():
    """A VGG whose second convolution lost channels 3 and 7, done by hand."""
    model = lively_zoo("vgg-small-bn")
    keep = torch.tensor([n for n in range(16) if n not in (3, 7)])
    conv, norm, after = model.conv2, model.bn2, model.conv3
    conv.weight, conv.out_channels = nn.Parameter(conv.weight.data[keep]), 14
    norm.weight, norm.bias, norm.num_features = nn.Parameter(norm.weight.data[keep]), nn.Parameter(norm.bias.data[keep]), 14
    norm.running_mean, norm.running_var = norm.running_mean[keep], norm.running_var[keep]
    after.weight, after.in_channels = nn.Parameter(after.weight.data[:, keep]), 14
    return model.to(memory_format=torch.channels_last)


def test_a_network_after_surgery_comes_back():
    model = cut_vgg()
    loaded = from_file(to_file(Compressed(model=model, network="vgg-small-bn"))).model
    assert same_outputs("vgg-small-bn", model, loaded)
    assert (loaded.conv2.out_channels, loaded.bn2.num_features, loaded.conv3.in_channels) == (14, 14, 14)


def test_depthwise_surgery_comes_back():
    model = lively_zoo("mobilenet-small")
    block = model.block1
    keep = torch.arange(1, 64)
    for conv, norm in ((block.expand, block.bn1), (block.depthwise, block.bn2)):
        conv.weight, conv.out_channels = nn.Parameter(conv.weight.data[keep]), 63
        norm.weight, norm.bias, norm.num_features = nn.Parameter(norm.weight.data[keep]), nn.Parameter(norm.bias.data[keep]), 63
        norm.running_mean, norm.running_var = norm.running_mean[keep], norm.running_var[keep]
    block.depthwise.groups = block.depthwise.in_channels = 63
    block.project.weight, block.project.in_channels = nn.Parameter(block.project.weight.data[:, keep]), 63
    model = model.to(memory_format=torch.channels_last)
    loaded = from_file(to_file(Compressed(model=model, network="mobilenet-small"))).model
    assert same_outputs("mobilenet-small", model, loaded)
    assert (loaded.block1.depthwise.groups, loaded.block1.depthwise.in_channels) == (63, 63)


def test_values_take_the_place_of_their_parameter():
    model = lively_zoo("digits-small")
    value = smallest(model.conv1.weight.detach().numpy(), ["dense"])
    saved = Compressed(model=model, network="digits-small", values={"conv1.weight": value})
    assert from_bytes(to_file(saved))[1]["conv1.weight"].kind == "dense"
    wrong = dataclasses.replace(saved, values={"conv1.weight": smallest(np.zeros(3, np.float32))})
    with pytest.raises(ModelError, match=r"value of 'conv1\.weight' must have the parameter's shape \(8, 1, 3, 3\), got \(3,\)"):
        to_file(wrong)


def test_what_cannot_be_saved_is_refused():
    model = lively_zoo("digits-small")
    with pytest.raises(UnknownNameError, match="unknown network 'digit-small': did you mean 'digits-small'"):
        to_file(Compressed(model=model, network="digit-small"))
    keep = torch.zeros_like(model.conv1.weight, dtype=torch.bool)
    with pytest.raises(ModelError, match=r"mask of 'conv1\.weight' removes weights that are not zero"):
        to_file(Compressed(model=model, network="digits-small", masks={"conv1.weight": keep}))
    with pytest.raises(ModelError, match=r"mask of 'conv1\.weight' must have the parameter's shape"):
        to_file(Compressed(model=model, network="digits-small", masks={"conv1.weight": keep[0]}))
    with pytest.raises(ModelError, match="a mask for 'no', which the network does not have"):
        to_file(Compressed(model=model, network="digits-small", masks={"no": keep}))
    model.conv2.weight.data[1, 2, 0, 0] = float("nan")
    with pytest.raises(ModelError, match=r"'conv2\.weight' holds NaN"):
        to_file(Compressed(model=model, network="digits-small"))


def rewritten(change):
    header, tensors = from_bytes(to_file(Compressed(model=lively_zoo("digits-small"), network="digits-small")))
    change(header, tensors)
    return to_bytes(header, tensors)


def put(name, array):
    return lambda header, tensors: tensors.update({name: smallest(np.asarray(array, np.float32))})


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda header, tensors: header.update(kind="program"), "must hold a compressed network, got 'program'"),
        (lambda header, tensors: header.update(network=3), "must hold a compressed network"),
        (lambda header, tensors: header.pop("groups"), "header of a compressed network must hold"),
        (lambda header, tensors: header.update(groups={"conv1": 1.5}), "wrong type"),
        (lambda header, tensors: header.update(masked="conv1.weight"), "wrong type"),
        (lambda header, tensors: header.update(report=[3]), "wrong type"),
        (lambda header, tensors: header.update(activations={"a": [1]}), "wrong type"),
        (lambda header, tensors: header.update(masked=["no"]), "'no' is masked but holds no such tensor"),
        (lambda header, tensors: header.update(groups={"conv1": 3}), "in 3 groups"),
        (lambda header, tensors: tensors.pop("fc.bias"), r"'fc\.bias' is missing"),
        (lambda header, tensors: tensors.pop("bn1.weight"), r"'bn1\.weight' is missing"),
        (put("more", [1.0]), "'more' is too much"),
        (put("fc.weight", np.ones((10, 63))), "do not fit each other"),
        (put("fc.weight", np.ones((10, 64, 1))), "2 dimensions"),
        (put("fc.bias", np.ones(9)), "do not fit each other"),
        (put("conv1.weight", np.ones((8, 1, 5, 5))), "cannot have a weight of"),
        (put("conv2.weight", np.ones((16, 9, 3, 3))), "do not fit each other"),
        (put("bn1.running_mean", np.ones(9)), "do not fit each other"),
        (lambda header, tensors: tensors.update({"fc.bias": smallest(np.ones(10, np.int32))}), "torch.float32, got"),
    ],
)
def test_a_file_that_makes_no_network_is_refused(change, says):
    with pytest.raises(FileFormatError, match=says):
        from_file(rewritten(change))


def test_a_network_that_nobody_builds_is_refused():
    with pytest.raises(UnknownNameError, match="unknown network 'os'"):
        from_file(rewritten(lambda header, tensors: header.update(network="os")))


def test_nan_in_a_file_is_refused():
    with pytest.raises(ModelError, match=r"'fc\.bias' holds NaN"):
        from_file(rewritten(put("fc.bias", [np.nan] * 10)))


RAW = to_file(Compressed(model=lively_zoo("digits-small"), network="digits-small"))


@given(place=st.integers(0, len(RAW) * 8 - 1))
@settings(max_examples=100, deadline=None)
def test_any_flipped_bit_is_noticed(place):
    damaged = bytearray(RAW)
    damaged[place // 8] ^= 1 << place % 8
    with pytest.raises(LabkitError):
        from_file(bytes(damaged))


@pytest.mark.serial
def test_the_size_of_a_network_is_known_at_once():
    model = lively_zoo("vgg-small-bn")
    compressed = Compressed(model=model, network="vgg-small-bn", masks=prune_at_random(model, 0.9))
    times = []
    for _ in range(15):
        start = time.perf_counter()
        to_file(compressed)
        times.append(time.perf_counter() - start)
    assert min(times) < 0.015  # of the 50 ms that a slider's step may take; the least: other work on the machine only adds
