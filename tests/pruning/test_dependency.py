"""Which channels go together, against cases small enough to list and against torch-pruning."""

import gc
import subprocess
import sys
import warnings
from collections.abc import Callable

import pytest
import torch
from torch import nn

from labkit.core.errors import ConfigError, ModelError
from labkit.pruning import dependency
from labkit.pruning.dependency import DependencyGroups, dependency_groups
from tests.pruning.networks import zoo


def sides(groups: DependencyGroups, name: str) -> list[tuple[str, str]]:
    return [(member.side, member.layer) for member in groups[name].members]


def test_a_chain_has_one_group_per_layer_and_the_logits_are_fixed() -> None:
    model = nn.Sequential(nn.Conv2d(1, 3, 3), nn.BatchNorm2d(3), nn.ReLU(), nn.Flatten(), nn.Linear(12, 5), nn.ReLU(), nn.Linear(5, 2))
    groups = dependency_groups(model, torch.zeros(1, 1, 4, 4))
    assert [(group.name, group.channels, group.fixed) for group in groups] == [("0", 3, ""), ("4", 5, ""), ("6", 2, "logits")]
    assert sides(groups, "0") == [("out", "0"), ("scale", "1"), ("in", "4")]
    assert groups["0"].members[2].index.tolist() == [0] * 4 + [1] * 4 + [2] * 4  # channel c is columns 4c … 4c + 3
    assert groups["0"].norms == {"0": "1"}
    assert groups["4"].norms == {}


def test_a_residual_sum_joins_all_that_flows_into_it() -> None:
    groups = dependency_groups(*zoo("resnet-small"))
    assert list(groups["block1.conv2"].producers) == ["block1.conv2", "block1.shortcut.conv", "block2.conv2"]
    assert len(groups["block1.conv2"].joins) == 2


def test_depthwise_filters_go_with_the_channel_that_they_read() -> None:
    groups = dependency_groups(*zoo("mobilenet-small"))
    assert sides(groups, "block1.expand") == [
        ("out", "block1.expand"),
        ("scale", "block1.bn1"),
        ("depthwise", "block1.depthwise"),
        ("scale", "block1.bn2"),
        ("in", "block1.project"),
    ]
    assert groups["block1.expand"].norms == {"block1.expand": "block1.bn1", "block1.depthwise": "block1.bn2"}


def test_the_print_names_each_link_with_its_reason() -> None:
    text = str(dependency_groups(*zoo("resnet-small")))
    assert "block1.conv2: 24 channels" in text
    assert "batch norm has one scale" in text
    assert "add takes block1.bn2 and block1.shortcut.bn channel by channel" in text
    assert "fc: 10 channels, fixed (logits)" in text


class Forward(nn.Module):
    """A convolution, whatever `between` does, and a convolution."""

    def __init__(self, between: Callable[[torch.Tensor], torch.Tensor], c: int = 8) -> None:
        super().__init__()
        self.first, self.last, self.between = nn.Conv2d(3, 8, 3, padding=1), nn.Conv2d(c, 4, 1), between

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.last(self.between(self.first(x)))


def fork(x: torch.Tensor) -> torch.Tensor:
    return torch.cat([x, 2 * x], 1)


def test_a_concatenation_offsets_and_repeats() -> None:
    groups = dependency_groups(Forward(fork, 16), torch.zeros(1, 3, 5, 5))
    assert groups["first"].members[1].index.tolist() == [*range(8), *range(8)]


def test_branches_of_a_concatenation_stay_separate_groups() -> None:
    class Two(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a, self.b, self.c = nn.Conv2d(1, 2, 1), nn.Conv2d(1, 3, 1), nn.Conv2d(5, 2, 1)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.c(torch.cat((self.a(x), self.b(x)), dim=1))

    groups = dependency_groups(Two(), torch.zeros(1, 1, 2, 2))
    assert [group.name for group in groups] == ["a", "b", "c"]
    assert groups["a"].members[-1].index.tolist() == [0, 1, -1, -1, -1]
    assert groups["b"].members[-1].index.tolist() == [-1, -1, 0, 1, 2]


def test_what_meets_the_input_cannot_shrink() -> None:
    class Skip(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a, self.b = nn.Conv2d(3, 3, 1), nn.Conv2d(3, 2, 1)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.b(x + self.a(x))

    assert dependency_groups(Skip(), torch.zeros(1, 3, 2, 2))["a"].fixed == "network input"


def test_a_layer_used_twice_ties_both_uses() -> None:
    shared = nn.Conv2d(4, 4, 1)
    model = nn.Sequential(nn.Conv2d(1, 4, 1), shared, nn.ReLU(), shared, nn.Conv2d(4, 2, 1))
    groups = dependency_groups(model, torch.zeros(1, 1, 2, 2))
    assert list(groups["0"].producers) == ["0", "1"]
    assert groups.macs() == 4 * (1 * 4 + 2 * 16 + 4 * 2)


@pytest.mark.parametrize(
    ("between", "c", "named"),
    [
        (lambda x: x.permute(0, 1, 3, 2), 8, "permute"),
        (lambda x: torch.cat([x, x], 2), 8, "cat"),
        (lambda x: x.view(-1, 8, 5, 5), 8, "view"),
        (lambda x: x * torch.ones(8, 1, 1), 8, "mul"),
        (lambda x: torch.softmax(x, 1), 8, "softmax"),
        (lambda x: x.chunk(2, 1)[0], 4, "chunk"),
    ],
)
def test_an_operation_that_is_not_known_is_refused_by_name(between: Callable[[torch.Tensor], torch.Tensor], c: int, named: str) -> None:
    with pytest.raises(ModelError, match=named):
        dependency_groups(Forward(between, c), torch.zeros(1, 3, 5, 5))


@pytest.mark.parametrize("module", [nn.GroupNorm(2, 8), nn.LocalResponseNorm(2), nn.ConvTranspose2d(8, 8, 1), nn.Softmax2d()])
def test_a_module_that_is_not_known_is_refused_by_name(module: nn.Module) -> None:
    with pytest.raises(ModelError, match=type(module).__name__):
        dependency_groups(nn.Sequential(nn.Conv2d(3, 8, 1), module, nn.Conv2d(8, 2, 1)), torch.zeros(1, 3, 5, 5))


@pytest.mark.parametrize("sizes", [(-1, 200), ((-1, 200),)])
def test_a_view_of_fixed_size_would_not_fit_the_smaller_network(sizes: tuple[object, ...]) -> None:
    class Fixed(Forward):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.head(self.first(x).view(*sizes))

    model = Fixed(fork)
    model.head = nn.Linear(200, 2)
    with pytest.raises(ModelError, match="view"):
        dependency_groups(model, torch.zeros(1, 3, 5, 5))


def test_tied_weights_and_value_dependent_code_are_refused(capfd: pytest.CaptureFixture[str]) -> None:
    tied = nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 4))
    tied[1].weight = tied[0].weight
    with pytest.raises(ModelError, match=r"'0\.weight' and '1\.weight' are one parameter"):
        dependency_groups(tied, torch.zeros(1, 4))
    with pytest.raises(ModelError, match="cannot be traced"):
        dependency_groups(Forward(lambda x: x if x.sum() > 0 else -x), torch.zeros(1, 3, 5, 5))
    with pytest.raises(ModelError, match="cannot be traced"):
        dependency_groups(Forward(torch.relu), torch.zeros(1, 2, 5, 5))
    assert capfd.readouterr() == ("", "")


def test_the_trace_is_made_once_leaves_the_model_alone_and_does_not_keep_it_alive(monkeypatch: pytest.MonkeyPatch) -> None:
    model, x = zoo("vgg-small-bn")
    model.train()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    groups = dependency_groups(model, x)
    assert model.training
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())
    assert dependency_groups(model) is groups
    assert dependency_groups(model, torch.zeros(9, 1, 28, 28)) is groups
    assert dependency_groups(model, torch.zeros(1, 1, 32, 32)) is not groups
    model[0].weight = nn.Parameter(torch.zeros(16, 1, 5, 5))
    with pytest.raises(ConfigError, match="needs an example input"):
        dependency_groups(model)
    kept = len(dependency._traced)
    del model
    gc.collect()
    assert len(dependency._traced) == kept - 1


@pytest.mark.parametrize("name", ["lenet-300-100", "lenet-5", "vgg-small-bn", "resnet-small", "mobilenet-small"])
def test_torch_pruning_finds_the_same_layers_for_each_group(name: str) -> None:
    """An independent oracle: which modules shrink along which axis when one channel of the first producer goes."""
    import torch_pruning as tp

    model, x = zoo(name)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        graph = tp.DependencyGraph().build_dependency(model, example_inputs=x)
    names = {id(module): name for name, module in model.named_modules()}
    for group in dependency_groups(model, x):
        if group.fixed:
            continue
        first = model.get_submodule(group.name)
        prune = tp.prune_conv_out_channels if isinstance(first, nn.Conv2d) else tp.prune_linear_out_channels
        theirs = set()
        for dep, indices in graph.get_pruning_group(first, prune, idxs=[1]):
            module = dep.target.module
            if not isinstance(module, nn.Conv2d | nn.Linear | nn.BatchNorm2d):
                continue
            side = "scale" if isinstance(module, nn.BatchNorm2d) else "in" if "in_channels" in dep.handler.__name__ else "out"
            if isinstance(module, nn.Conv2d) and module.groups > 1:
                side = "depthwise"
            theirs.add((side, names[id(module)], tuple(indices)))
        ours = {(m.side, m.layer, tuple((m.index == 1).nonzero().flatten().tolist())) for m in group.members}
        assert ours == theirs, group.name


def test_tracing_does_not_import_torchs_compiler() -> None:
    code = (
        "import sys, torch\n"
        "from labkit import models\n"
        "from labkit.pruning.dependency import dependency_groups\n"
        "dependency_groups(models.load('digits-small'), torch.zeros(1, 1, 8, 8))\n"
        "dependency_groups(models.load('mobilenet-small'), torch.zeros(1, 1, 28, 28))\n"
        "print('torch._dynamo' in sys.modules, 'sympy' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "False False\n"
