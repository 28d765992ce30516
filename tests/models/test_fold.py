"""Folding: by hand, over the zoo and two larger networks, and where it must not happen."""

import copy

import pytest
import torch
from torch import nn

from labkit.core.errors import ModelError
from labkit.models.builders import BUILDERS
from labkit.models.fold import fold_batch_norm, fold_plan
from tests.models.networks import images, lively, lively_zoo


def test_by_hand():
    model = nn.Sequential(nn.Linear(1, 1), nn.BatchNorm1d(1, eps=0.25)).eval()
    model[0].weight.data.fill_(0.8)
    model[0].bias.data.fill_(0.1)
    model[1].weight.data.fill_(2)
    model[1].bias.data.fill_(0.5)
    model[1].running_mean.fill_(1)
    model[1].running_var.fill_(3.75)
    folded = fold_batch_norm(model)
    assert folded[0].weight.item() == pytest.approx(0.8)
    assert folded[0].bias.item() == pytest.approx(-0.4)


@pytest.mark.parametrize("name", BUILDERS)
def test_the_zoo_keeps_its_outputs(name):
    model = lively_zoo(name)
    before = copy.deepcopy(model.state_dict())
    folded = fold_batch_norm(model)
    with torch.inference_mode():
        x = images(name, 5)
        torch.testing.assert_close(folded(x), model(x), rtol=1e-5, atol=1e-5)
    assert not any(isinstance(module, nn.BatchNorm2d) for module in folded.modules())
    assert all(torch.equal(value, before[key]) for key, value in model.state_dict().items())
    assert all(layer.bias is not None for layer in folded.modules() if isinstance(layer, nn.Conv2d))
    for layer in folded.modules():
        if isinstance(layer, nn.Conv2d):
            assert layer.weight.is_contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize("name", ["resnet18", "mobilenet_v2"])
def test_torchvisions_networks_keep_their_outputs(name):
    import torchvision

    torch.manual_seed(0)
    model = lively(getattr(torchvision.models, name)(num_classes=10))
    folded = fold_batch_norm(model)
    assert not any(isinstance(module, nn.BatchNorm2d) for module in folded.modules())
    x = torch.randn(2, 3, 64, 64)
    with torch.inference_mode():
        want = model(x)
        torch.testing.assert_close(folded(x), want, rtol=1e-5, atol=1e-5 * want.abs().max().item())


def test_a_norm_without_scale_and_shift_folds():
    model = lively(nn.Sequential(nn.Conv2d(2, 3, 3), nn.BatchNorm2d(3, affine=False)))
    x = torch.randn(2, 2, 5, 5)
    torch.testing.assert_close(fold_batch_norm(model)(x), model(x))


class Twice(nn.Module):
    """The convolution feeds the norm and the sum."""

    def __init__(self):
        super().__init__()
        self.conv, self.norm = nn.Conv2d(2, 2, 1), nn.BatchNorm2d(2)

    def forward(self, x):
        y = self.conv(x)
        return y + self.norm(y)


class Shared(nn.Module):
    """One convolution and one norm, used two times."""

    def __init__(self):
        super().__init__()
        self.conv, self.norm = nn.Conv2d(2, 2, 1), nn.BatchNorm2d(2)

    def forward(self, x):
        return self.norm(self.conv(self.norm(self.conv(x))))


@pytest.mark.parametrize(
    ("model", "norm", "why"),
    [
        (nn.Sequential(nn.BatchNorm2d(2), nn.Conv2d(2, 2, 1)), "0", "does not follow a layer"),
        (nn.Sequential(nn.Conv2d(2, 2, 1), nn.ReLU(), nn.BatchNorm2d(2)), "2", "follows a ReLU"),
        (nn.Sequential(nn.Conv2d(2, 2, 1), nn.BatchNorm2d(2, track_running_stats=False)), "1", "no running statistics"),
        (nn.Sequential(nn.ConvTranspose2d(2, 2, 1), nn.BatchNorm2d(2)), "1", "follows a ConvTranspose2d"),
        (Twice(), "norm", "feeds something else"),
        (Shared(), "norm", "used more than once"),
    ],
)
def test_what_cannot_be_folded_stays(model, norm, why):
    model = lively(model) if why != "no running statistics" else model.eval()
    plan = fold_plan(model)
    assert plan.pairs == {}
    assert why in plan.left[norm]
    folded, x = fold_batch_norm(model), torch.randn(3, 2, 4, 4)
    assert isinstance(dict(folded.named_modules())[norm], nn.BatchNorm2d)
    torch.testing.assert_close(folded(x), model(x))


def test_a_training_model_is_folded_as_it_would_evaluate():
    model = lively_zoo("digits-small")
    want = model(images("digits-small", 2))
    folded = fold_batch_norm(model.train())
    assert model.training
    assert not folded.training
    torch.testing.assert_close(folded(images("digits-small", 2)), want)


def test_a_forward_that_looks_at_its_input_is_refused():
    class Looks(nn.Module):
        def forward(self, x):
            return x if x.sum() > 0 else -x

    with pytest.raises(ModelError, match=r"Looks\.forward cannot be traced"):
        fold_batch_norm(Looks())
