import pytest
from torch import nn

from labkit.core.errors import UnknownNameError
from labkit.models.layers import compressible
from labkit.models.zoo import build


def test_layers_come_in_the_order_of_their_definition():
    layers = compressible(build("digits-small"))
    assert list(layers) == ["conv1", "conv2", "fc"]
    assert [type(layer) for layer in layers.values()] == [nn.Conv2d, nn.Conv2d, nn.Linear]
    names = list(compressible(build("resnet-small")))
    assert names[:4] == ["stem.conv", "block1.conv1", "block1.conv2", "block1.shortcut.conv"]
    assert len(names) == 1 + 4 * 2 + 2 + 1


def test_a_model_that_is_one_layer():
    assert list(compressible(nn.Linear(2, 3))) == [""]


def test_a_glob_chooses_and_one_that_matches_nothing_is_refused_with_the_names():
    model = build("resnet-small")
    assert list(compressible(model, "block1.*")) == ["block1.conv1", "block1.conv2", "block1.shortcut.conv"]
    assert list(compressible(model, "fc")) == ["fc"]
    with pytest.raises(UnknownNameError, match=r"layer 'head'.*known are .*stem\.conv"):
        compressible(model, "head")
