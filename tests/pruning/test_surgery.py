"""Surgery computes what masking computes, is as small as the closed form says, and touches nothing else."""

import copy
import statistics
import time
from collections.abc import Iterator

import pytest
import torch
import torchvision
from torch import nn

from labkit.core.errors import ModelError
from labkit.pruning.apply import zero
from labkit.pruning.dependency import DependencyGroups, dependency_groups
from labkit.pruning.surgery import shrink, shrink_masks
from tests.pruning.networks import ZOO, masks_of, random_choice, randomised, zoo


def errors(model: nn.Module, x: torch.Tensor, share: float = 0.4) -> tuple[float, float]:
    """Return the largest difference of surgery from masking, and from the dense network."""
    groups = dependency_groups(model, x)
    choice = random_choice(groups, share)
    smaller, masked = shrink(model, groups, choice), copy.deepcopy(model)
    zero(masked, masks_of(model, groups, choice))
    with torch.inference_mode():
        y = smaller(x)
        return float((y - masked(x)).abs().max()), float((y - model(x)).abs().max())


@pytest.mark.parametrize("name", ZOO)
def test_surgery_equals_masking_on_the_zoo(name: str) -> None:
    to_masked, to_dense = errors(*zoo(name))
    assert to_masked < 1e-5
    assert to_dense > 1e-2


class Gate(nn.Module):
    """Squeeze and excitation: a sigmoid gate, whose value at 0 is not 0, multiplies every channel."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.norm = nn.Conv2d(3, 12, 3, padding=1), nn.BatchNorm2d(12)
        self.down, self.up = nn.Conv2d(12, 4, 1), nn.Conv2d(4, 12, 1)
        self.act, self.head = nn.PReLU(12), nn.Linear(12 * 9, 5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.act(self.norm(self.stem(x)))
        gate = torch.sigmoid(self.up(torch.relu(self.down(x.mean([2, 3], keepdim=True)))))
        x = nn.functional.max_pool2d(x * gate, 2)
        return self.head(x.view(x.size(0), -1))


class Concat(nn.Module):
    """Two branches side by side, then batch norm and a grouped convolution over both, then a sum with a third branch."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b, self.c = nn.Conv2d(3, 8, 3, padding=1), nn.Conv2d(3, 4, 1), nn.Conv2d(3, 12, 1)
        self.norm, self.grouped = nn.BatchNorm2d(12), nn.Conv2d(12, 12, 3, padding=1, groups=3)
        self.wide, self.head = nn.Conv2d(12, 24, 3, padding=1, groups=12), nn.Conv2d(24, 5, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = torch.relu(self.norm(torch.cat([self.a(x), self.b(x)], 1)))
        y = self.wide(torch.relu(self.grouped(y)) - self.c(x))
        return torch.flatten(self.head(torch.nn.functional.hardswish(y)).mean((2, 3)), 1)


@pytest.mark.parametrize("make", [Gate, Concat])
def test_surgery_equals_masking_where_branches_meet(make: type[nn.Module]) -> None:
    torch.manual_seed(0)
    to_masked, to_dense = errors(randomised(make()), torch.randn(2, 3, 7, 7))
    assert to_masked < 1e-5
    assert to_dense > 1e-2


LONG = [pytest.param(name, marks=pytest.mark.long) for name in ("mobilenet_v3_small", "squeezenet1_1", "densenet121", "resnext50_32x4d")]


@pytest.mark.parametrize("name", ["resnet18", "mobilenet_v2", *LONG])
def test_surgery_equals_masking_on_torchvision(name: str) -> None:
    torch.manual_seed(0)
    to_masked, to_dense = errors(randomised(getattr(torchvision.models, name)(weights=None)), torch.randn(2, 3, 64, 64))
    assert to_masked < 1e-5
    assert to_dense > 1e-2


def test_the_worked_example_only_full_masking_is_surgery() -> None:
    torch.manual_seed(0)
    model = randomised(nn.Sequential(nn.Conv2d(3, 6, 3), nn.BatchNorm2d(6), nn.ReLU(), nn.Conv2d(6, 4, 3)))
    model[1].bias.data.abs_().add_(0.5)  # so that the dead channels do emit something
    x = torch.randn(2, 3, 8, 8)
    groups = dependency_groups(model, x)
    keep = torch.tensor([True, True, False, True, False, True])
    masks = groups["0"].masks(model, keep)
    assert set(masks) == {"0.weight", "0.bias", "1.weight", "1.bias", "3.weight"}
    with torch.inference_mode():
        want = shrink(model, groups, {"0": keep})(x)

        def error(*names: str) -> float:
            masked = copy.deepcopy(model)
            zero(masked, {name: masks[name] for name in names})
            return float((masked(x) - want).abs().max())

        assert error("0.weight", "0.bias") > 1e-2
        assert error("1.weight") > 1e-2
        assert error("1.weight", "1.bias") < 1e-6
        assert error("3.weight") < 1e-6


def test_a_dead_filter_before_batch_norm_still_emits_a_constant() -> None:
    model = nn.Sequential(nn.Conv2d(1, 1, 1, bias=False), nn.BatchNorm2d(1, eps=0), nn.ReLU()).eval()
    nn.init.zeros_(model[0].weight)
    model[1].bias.data.fill_(0.5)
    model[1].running_mean.fill_(0.3)
    assert model(torch.ones(1, 1, 1, 1)).item() == pytest.approx(0.2)


@pytest.mark.parametrize("name", ["vgg-small-bn", "mobilenet-small"])
def test_dropping_nothing_gives_the_same_outputs_bit_for_bit(name: str) -> None:
    model, x = zoo(name)
    groups = dependency_groups(model, x)
    everything = {group.name: torch.ones(group.channels, dtype=torch.bool) for group in groups}
    with torch.inference_mode():
        assert torch.equal(shrink(model, groups, everything)(x), model(x))


def counted(model: nn.Module, x: torch.Tensor) -> int:
    """Count the MACs of one image by running the model, as an oracle."""
    total = 0

    def count(module: nn.Module, _: object, y: torch.Tensor) -> None:
        nonlocal total
        total += module.weight[0].numel() * y[0].numel()

    hooks = [m.register_forward_hook(count) for m in model.modules() if isinstance(m, nn.Conv2d | nn.Linear)]
    with torch.inference_mode():
        model(x)
    for hook in hooks:
        hook.remove()
    return total


@pytest.mark.parametrize("name", ZOO)
def test_macs_and_parameters_are_those_of_the_closed_form(name: str) -> None:
    model, x = zoo(name)
    groups = dependency_groups(model, x)
    choice = random_choice(groups, 0.5)
    smaller = shrink(model, groups, choice)
    assert groups.macs() == counted(model, x)
    kept = {name: int(keep.sum()) for name, keep in choice.items()}
    assert groups.macs(kept) == pytest.approx(counted(smaller, x), rel=1e-12)
    masks = masks_of(model, groups, choice)
    left = sum(int(masks[name].sum()) if name in masks else p.numel() for name, p in model.named_parameters())
    assert sum(p.numel() for p in smaller.parameters()) == left


def test_the_closed_form_counts_the_parts_of_a_concatenation() -> None:
    model, x = randomised(Concat()), torch.randn(1, 3, 7, 7)
    groups = dependency_groups(model, x)
    choice = random_choice(groups, 0.5)
    kept = {name: int(keep.sum()) for name, keep in choice.items()}
    assert groups.macs(kept) == pytest.approx(counted(shrink(model, groups, choice), x), rel=1e-12)


def test_what_comes_out_is_an_ordinary_module_in_the_same_layout() -> None:
    model, x = zoo("mobilenet-small")
    before = copy.deepcopy(model.state_dict())
    groups = dependency_groups(model, x)
    smaller = shrink(model, groups, random_choice(groups, 0.5))
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())
    assert [type(m) for m in smaller.modules()] == [type(m) for m in model.modules()]
    for module in smaller.modules():
        if isinstance(module, nn.Conv2d):
            assert module.weight.shape == (module.out_channels, module.in_channels // module.groups, *module.kernel_size)
            assert module.weight.is_contiguous(memory_format=torch.channels_last)
        elif isinstance(module, nn.BatchNorm2d):
            assert module.num_features == len(module.weight) == len(module.running_var)
        elif isinstance(module, nn.Linear):
            assert module.weight.shape == (module.out_features, module.in_features)
    again = dependency_groups(smaller, x)
    smaller.train()(x).sum().backward()
    assert again.macs() < groups.macs()


def test_masks_in_force_shrink_with_their_weights() -> None:
    model, x = zoo("resnet-small")
    groups = dependency_groups(model, x)
    choice = random_choice(groups, 0.5)
    masks = {name: p.detach() > 0 for name, p in model.named_parameters() if p.ndim > 1}
    smaller = dict(shrink(model, groups, choice).named_parameters())
    for name, mask in shrink_masks(masks, groups, choice).items():
        assert torch.equal(mask, smaller[name] > 0), name


def cases(groups: DependencyGroups) -> Iterator[tuple[dict[str, torch.Tensor], str]]:
    last = list(groups)[-1]
    yield {"nowhere": torch.ones(3, dtype=torch.bool)}, "there is no dependency group 'nowhere'"
    yield {last.name: torch.arange(last.channels) > 0}, r"is fixed \(logits\)"
    yield {"conv1": torch.zeros(8, dtype=torch.bool)}, "must keep at least one channel"
    yield {"conv1": torch.ones(5, dtype=torch.bool)}, r"must be bool \(8,\), got torch.bool \(5,\)"


def test_a_choice_that_does_not_fit_is_refused() -> None:
    model, x = zoo("digits-small")
    groups = dependency_groups(model, x)
    for choice, message in cases(groups):
        with pytest.raises(ModelError, match=message):
            shrink(model, groups, choice)


@pytest.mark.serial
def test_surgery_takes_less_than_15_ms() -> None:
    model, x = zoo("vgg-small-bn")
    groups = dependency_groups(model, x)
    choice = random_choice(groups, 0.5)
    seconds = []
    for _ in range(21):
        begin = time.process_time()
        shrink(model, groups, choice)
        seconds.append(time.process_time() - begin)
    assert statistics.median(seconds) < 0.015
