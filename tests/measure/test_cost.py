import math
from collections.abc import Callable

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.flop_counter import FlopCounterMode

from labkit.core.errors import ModelError
from labkit.core.records import Cost, LayerCost
from labkit.measure.cost import cost, layers
from labkit.models import zoo


def flops(model: nn.Module, x: Tensor) -> int:
    """What torch itself counts: two for each multiply-accumulate."""
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        model(x)
    return counter.get_total_flops()


def test_a_convolution_by_hand() -> None:
    layer = nn.Conv2d(3, 8, (3, 5), stride=(2, 1), padding=(1, 0), groups=1)
    with torch.no_grad():
        layer.weight[0] = 0
        layer.bias[:2] = 0
    # rows (9 + 2 - 3)//2 + 1 = 5, columns 9 - 5 + 1 = 5; entries 8·3·3·5 = 360, an eighth of them zero
    assert layers(nn.Sequential(layer), torch.zeros(4, 3, 9, 9)) == [
        LayerCost("0", "conv", (8, 3, 3, 5), 368, 315 + 6, 360 * 25, 315 * 25, 8 * 25)
    ]


def test_a_depthwise_convolution_by_hand() -> None:
    (row,) = layers(nn.Conv2d(6, 12, 3, padding=1, groups=6, bias=False), torch.zeros(1, 6, 4, 4))
    assert (row.kind, row.macs, row.output_elements) == ("depthwise", 12 * 9 * 16, 12 * 16)


@pytest.mark.parametrize(
    ("c_in", "c_out", "groups", "kind"), [(1, 8, 1, "conv"), (6, 12, 3, "conv"), (1, 1, 1, "conv"), (4, 4, 4, "depthwise")]
)
def test_one_input_channel_is_not_yet_depthwise(c_in: int, c_out: int, groups: int, kind: str) -> None:
    (row,) = layers(nn.Conv2d(c_in, c_out, 3, groups=groups), torch.zeros(1, c_in, 5, 5))
    assert row.kind == kind


def test_a_linear_layer_by_hand() -> None:
    layer = nn.Linear(4, 3)
    with torch.no_grad():
        layer.weight.copy_(torch.tensor([[1.0, 0, 0, 0], [0, 1, 1, 0], [0, 0, 0, 0]]))
        layer.bias.fill_(1)
    assert layers(layer, torch.zeros(2, 4)) == [LayerCost("", "linear", (3, 4), 15, 6, 12, 3, 3)]


def test_a_linear_layer_over_a_sequence_is_used_at_every_place() -> None:
    (row,) = layers(nn.Linear(4, 3), torch.zeros(2, 7, 4))
    assert (row.macs, row.output_elements) == (7 * 12, 21)


CONVOLUTIONS: list[tuple[Callable[[], nn.Module], tuple[int, ...]]] = [
    (lambda: nn.Conv1d(4, 6, 3, stride=2, padding=2, dilation=2), (4, 17)),
    (lambda: nn.Conv2d(4, 6, 3, groups=2, dilation=2), (4, 11, 13)),
    (lambda: nn.Conv3d(2, 3, (1, 2, 3)), (2, 5, 6, 7)),
    (lambda: nn.ConvTranspose1d(4, 6, 3, stride=2), (4, 9)),
    (lambda: nn.ConvTranspose2d(4, 6, 3, stride=2, padding=1, output_padding=1), (4, 5, 6)),
    (lambda: nn.Conv2d(4, 6, 3, padding="same"), (4, 7, 8)),
    (lambda: nn.Conv2d(4, 6, 3, padding=1, padding_mode="circular"), (4, 7, 8)),
]


@pytest.mark.parametrize(("make", "shape"), CONVOLUTIONS)
def test_every_convolution_agrees_with_torchs_own_count(make: Callable[[], nn.Module], shape: tuple[int, ...]) -> None:
    model, x = make(), torch.zeros(1, *shape)
    assert 2 * cost(model, x).macs == flops(model, x)


@settings(max_examples=40)
@given(st.integers(1, 3), st.integers(1, 3), st.integers(1, 3), st.integers(1, 4), st.integers(1, 3), st.integers(0, 2), st.integers(1, 2))
def test_convolutions_of_all_kinds_agree(groups: int, c_in: int, c_out: int, size: int, stride: int, padding: int, dilation: int) -> None:
    model = nn.Conv2d(groups * c_in, groups * c_out, size, stride, padding, dilation, groups)
    x = torch.zeros(1, groups * c_in, 8, 9)
    assert 2 * cost(model, x).macs == flops(model, x)


@pytest.mark.parametrize("name", zoo.names())
def test_the_zoo_agrees_with_torchs_own_count_and_keeps_its_limits(name: str) -> None:
    model = zoo.build(name).eval()
    x = torch.zeros(1, 1, 8, 8) if name == "digits-small" else torch.zeros(1, 1, 28, 28)
    found, rows = cost(model, x), layers(model, x)
    assert 2 * found.macs == flops(model, x) == 2 * sum(row.macs for row in rows)
    assert found.parameters == sum(p.numel() for p in model.parameters())
    assert found.macs <= (4_000_000 if name == "mobilenet-small" else 8_000_000)
    assert found.parameters <= 700_000
    assert [row.name for row in rows] == [
        n for n, m in model.named_modules() if isinstance(m, nn.Conv2d | nn.Linear)
    ] or name == "resnet-small"
    assert found.activations == tuple(row.output_elements for row in rows)


def test_lenet_300_100_is_what_the_papers_say() -> None:
    found = cost(zoo.build("lenet-300-100"), torch.zeros(1, 1, 28, 28))
    assert (found.parameters, found.macs, found.activations) == (266_610, 266_200, (300, 100, 10))


def test_pruned_weights_leave_the_effective_count_alone() -> None:
    model = zoo.build("lenet-5").eval()
    with torch.no_grad():
        model[3].weight[10:] = 0  # 40 of 50 filters of the second convolution, at 8×8 places
        for p in model.parameters():
            p.nan_to_num_()
    whole, found = cost(zoo.build("lenet-5"), torch.zeros(1, 1, 28, 28)), cost(model, torch.zeros(1, 1, 28, 28))
    assert whole.effective_macs - found.effective_macs == 40 * 20 * 25 * 64
    assert whole.nonzeros - found.nonzeros == 40 * 20 * 25
    assert whole.macs == found.macs


class Shared(nn.Module):
    """One layer that runs twice."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(4, 4, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.layer(self.layer(x))
        return y


def test_a_layer_that_runs_twice_has_its_weights_once_and_its_macs_twice() -> None:
    (row,) = layers(Shared(), torch.zeros(1, 4))
    assert (row.name, row.parameters, row.macs, row.output_elements) == ("layer", 16, 32, 8)
    assert cost(Shared(), torch.zeros(1, 4)) == Cost(16, 16, 32, 32, (4, 4))


class Elastic(nn.Module):
    """A convolution that uses the first channels of its weight, masked, as supernets and soft masks do."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(8, 2, 3, 3))
        self.mask = torch.ones(4, 2, 3, 3)
        self.mask[:, 1] = 0

    def forward(self, x: Tensor) -> Tensor:
        return F.conv2d(x, weight=self.weight[:4] * self.mask)


def test_what_a_module_of_ones_own_really_uses_is_counted() -> None:
    model, x = nn.Sequential(Elastic(), nn.ReLU()), torch.zeros(1, 2, 5, 5)
    assert layers(model, x) == [LayerCost("0", "conv", (4, 2, 3, 3), 72, 36, 72 * 9, 36 * 9, 36)]
    assert (cost(model, x).parameters, 2 * cost(model, x).macs) == (144, flops(model, x))


class TestTheModelIsLeftAsItWas:
    def test_modes_statistics_hooks_and_gradients(self) -> None:
        model = zoo.build("digits-small").train()
        model[1].eval()  # one frozen batch norm: the mode is each module's own
        heard: list[str] = []
        handle = model[0].register_forward_hook(lambda *_: heard.append("own"))
        state = {name: value.clone() for name, value in model.state_dict().items()}
        modes = [module.training for module in model.modules()]
        cost(model, torch.randn(3, 1, 8, 8))
        assert [module.training for module in model.modules()] == modes
        assert all(torch.equal(value, state[name]) for name, value in model.state_dict().items())
        assert [len(m._forward_hooks) + len(m._forward_pre_hooks) for m in model.modules()] == [0, 1] + [0] * (len(modes) - 2)
        assert all(p.grad is None and p.requires_grad for p in model.parameters())
        assert heard == ["own"]
        handle.remove()

    def test_also_after_a_refusal(self) -> None:
        model = zoo.build("digits-small").train()
        with pytest.raises(ModelError):
            cost(model, torch.zeros(1, 3, 8, 8))
        assert all(module.training for module in model.modules())
        assert not any(m._forward_hooks or m._forward_pre_hooks for m in model.modules())

    def test_observers_that_look_on_in_eval_mode_too(self) -> None:
        class Observer(nn.Module):
            def __init__(self) -> None:
                super().__init__()
                self.register_buffer("seen", torch.zeros(()))
                self.register_buffer("most", torch.zeros(()))

            def forward(self, x: Tensor) -> Tensor:
                self.seen += 1  # in place
                self.most = torch.maximum(self.most, x.max())  # by a new tensor
                return x

        model = nn.Sequential(nn.Linear(2, 2), Observer())
        buffers = [id(buffer) for buffer in model.buffers()]
        cost(model, torch.ones(1, 2))
        assert [float(buffer) for buffer in model.buffers()] == [0.0, 0.0]
        assert [id(buffer) for buffer in model.buffers()] == buffers

    def test_nothing_random_is_drawn(self) -> None:
        model = nn.Sequential(nn.Dropout(), nn.Linear(4, 4))
        before = torch.get_rng_state()
        cost(model, torch.zeros(1, 4))
        assert torch.equal(before, torch.get_rng_state())

    def test_the_count_is_the_same_in_every_mode_of_torch(self) -> None:
        model, x = zoo.build("digits-small"), torch.zeros(1, 1, 8, 8)
        plain = cost(model, x)
        with torch.inference_mode():
            assert cost(model, x) == plain
            assert cost(model, torch.zeros(1, 1, 8, 8)) == plain
        with torch.no_grad():
            assert cost(model, x) == plain
        model(x).sum().backward()  # no tensor of the count may stay behind in inference mode


@pytest.mark.parametrize(
    ("model", "example", "words"),
    [
        (zoo.build("digits-small"), torch.zeros(2, 3, 8, 8), r"does not accept an input of the shape \(2, 3, 8, 8\): .*expected input.*1 channels"),
        (zoo.build("lenet-300-100"), torch.zeros(1, 1, 8, 8), r"does not accept an input of the shape \(1, 1, 8, 8\): mat1 and mat2"),
        (zoo.build("digits-small"), torch.zeros(1, 1, 1, 1), "does not accept an input"),
        (nn.Bilinear(2, 2, 2), torch.zeros(1, 2), "does not accept an input of the shape .*: "),
        (nn.Linear(2, 2), torch.zeros(0, 2), r"must be a batch \(b, …\) of at least one image, got shape \(0, 2\)"),
        (nn.Linear(2, 2), torch.zeros(2), "must be a batch"),
        (nn.LazyLinear(2), torch.zeros(1, 2), "lazy modules"),
    ],
)  # fmt: skip
def test_an_example_that_does_not_fit_is_a_sentence(model: nn.Module, example: Tensor, words: str) -> None:
    with pytest.raises(ModelError, match=words) as caught:
        cost(model, example)
    assert "\n" not in str(caught.value)


def test_a_network_without_products_costs_none() -> None:
    assert cost(nn.Sequential(nn.Flatten(), nn.ReLU()), torch.zeros(1, 1, 2, 2)) == Cost(0, 0, 0, 0, ())


def test_the_batch_of_the_example_does_not_matter() -> None:
    model = zoo.build("mobilenet-small")
    assert cost(model, torch.zeros(1, 1, 28, 28)) == cost(model, torch.zeros(5, 1, 28, 28))


def test_nan_is_not_zero() -> None:
    layer = nn.Linear(2, 1, bias=False)
    with torch.no_grad():
        layer.weight.copy_(torch.tensor([[math.nan, 0.0]]))
    assert cost(layer, torch.zeros(1, 2)).nonzeros == 1
