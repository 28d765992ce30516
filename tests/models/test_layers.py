import pytest
from torch import nn

from labkit.core.errors import ConfigError
from labkit.models.layers import matching, weight_layers
from labkit.models.zoo import build


def test_layers_come_in_the_order_of_their_definition():
    assert list(weight_layers(build("digits-small"))) == ["0", "4", "9"]
    assert [type(layer) for layer in weight_layers(build("digits-small")).values()] == [nn.Conv2d, nn.Conv2d, nn.Linear]
    names = list(weight_layers(build("resnet-small")))
    assert names[:4] == ["0.0", "2.body.0", "2.body.3", "2.shortcut.0"]
    assert len(names) == 1 + 4 * 2 + 2 + 1


def test_a_model_that_is_one_layer():
    assert list(weight_layers(nn.Linear(2, 3))) == [""]


def test_matching():
    names = ["2.body.0", "2.body.3", "2.shortcut.0", "9"]
    assert matching(names, "*") == names
    assert matching(iter(names), "2.body.*") == names[:2]
    assert matching(names, "?") == ["9"]
    with pytest.raises(ConfigError, match=r"got 'head': its layers are 2\.body\.0, 2\.body\.3, 2\.shortcut\.0, 9"):
        matching(names, "head")
    with pytest.raises(ConfigError, match="its layers are none"):
        matching([], "*")
