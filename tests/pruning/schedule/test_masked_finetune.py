"""Under masks, dropped weights stay exactly zero for any optimizer, and everything else is plain training."""

import copy
from collections.abc import Callable
from types import MappingProxyType

import pytest
import torch
from torch import nn

from labkit.core.errors import Cancelled, ConfigError, ModelError
from labkit.core.progress import Progress, Tick
from labkit.core.records import Masks, Weights
from labkit.core.registry import Context
from labkit.core.seeds import generator
from labkit.data import load as load_data
from labkit.models import load
from labkit.pruning.schedule.masked_finetune import MaskedFinetuneConfig, MaskHooks, masked_finetune, run
from labkit.train import FitConfig, FitState, fit, start

Parameters = list[nn.Parameter]
OPTIMIZERS: dict[str, Callable[[Parameters], torch.optim.Optimizer]] = {
    "sgd": lambda p: torch.optim.SGD(p, lr=0.1, weight_decay=0.1),
    "momentum": lambda p: torch.optim.SGD(p, lr=0.1, momentum=0.9, weight_decay=0.1),
    "nesterov": lambda p: torch.optim.SGD(p, lr=0.1, momentum=0.9, nesterov=True),
    "adam": lambda p: torch.optim.Adam(p, lr=0.01, amsgrad=True),
    "adamw": lambda p: torch.optim.AdamW(p, lr=0.01, weight_decay=0.1),
    "rmsprop": lambda p: torch.optim.RMSprop(p, lr=0.01, momentum=0.9, centered=True),
    "adafactor": lambda p: torch.optim.Adafactor(p, lr=0.01),
}
TRAIN = load_data("digits").train
CALL = MappingProxyType({"original_lr": lambda: 0.1})


def half(model: nn.Module) -> dict[str, torch.Tensor]:
    """Drop half of each weight, and a whole channel's scale and shift."""
    keep = {name: p.detach().abs() > p.detach().abs().median() for name, p in model.named_parameters() if p.ndim > 1}
    return keep | {name: torch.arange(8) != 3 for name in ("bn1.weight", "bn1.bias")}


class Watched(MaskHooks):
    """Checks after each step that what is masked is zero."""

    steps = 0

    def after_step(self, model: nn.Module, optimizer: torch.optim.Optimizer) -> None:
        super().after_step(model, optimizer)
        self.steps += 1
        for name, mask in self.keep.items():
            assert not model.get_parameter(name)[~mask].any(), name


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_masked_entries_are_zero_after_each_step(name: str) -> None:
    model = load("digits-small")
    state = FitState(model, OPTIMIZERS[name](list(model.parameters())), generator(0))
    fit(state, TRAIN[:256], FitConfig(epochs=2, batch=64, lr=0.01))  # fills the optimizer's buffers
    keep = half(model)
    hooks = Watched(model, keep)
    hooks.keep = keep
    moved = {name: model.get_parameter(name).detach().clone() for name in keep}
    fit(state, TRAIN[:256], FitConfig(epochs=3, batch=64, lr=0.01), hooks=hooks)
    assert hooks.steps == 4
    assert all(not torch.equal(moved[name], model.get_parameter(name)) for name in keep if "bias" not in name)


@pytest.mark.parametrize(("name", "drift"), [("momentum", -0.036), ("adam", -9.0e-4)])
def test_a_stale_buffer_moves_a_dropped_weight_unless_it_is_masked(name: str, drift: float) -> None:
    layer = nn.Linear(1, 1, bias=False)
    nn.init.zeros_(layer.weight)
    make = {"momentum": lambda: torch.optim.SGD([layer.weight], lr=0.1, momentum=0.9), "adam": lambda: torch.optim.Adam([layer.weight])}
    optimizer = make[name]()
    stale = {"momentum": {"momentum_buffer": [[0.4]]}, "adam": {"exp_avg": [[0.1]], "exp_avg_sq": [[0.01]]}}[name]
    for masked in (False, True):
        optimizer.state[layer.weight] = {key: torch.tensor(value) for key, value in stale.items()}
        if name == "adam":
            optimizer.state[layer.weight]["step"] = torch.tensor(1e6)  # no bias correction left
        layer.weight.grad = torch.zeros(1, 1)
        if masked:
            MaskHooks(layer, {"weight": torch.tensor([[False]])}).before_step(layer, optimizer)
        optimizer.step()
        assert layer.weight.item() == (0.0 if masked else pytest.approx(drift, rel=2e-3))
        nn.init.zeros_(layer.weight)


def test_masks_that_keep_everything_are_plain_training_bit_for_bit() -> None:
    settings = FitConfig(epochs=2, lr=0.02, batch=100, shift=1)
    plain = fit(start(load("digits-small"), settings, generator(3)), TRAIN, settings)
    masked = start(load("digits-small"), settings, generator(3))
    masked_finetune(masked, {name: torch.ones_like(p, dtype=torch.bool) for name, p in masked.model.named_parameters()}, TRAIN, settings)
    for name, value in plain.model.state_dict().items():
        assert torch.equal(value, masked.model.state_dict()[name]), name


def test_a_layer_that_is_masked_whole_gives_no_nan() -> None:
    model = load("digits-small")
    keep = {"conv2.weight": torch.zeros(16, 8, 3, 3, dtype=torch.bool)}
    weights = run(model, MaskedFinetuneConfig(), Context(generator(0), load_data("digits"), masks=Masks(keep), call=CALL))
    assert all(torch.isfinite(value).all() for value in weights.state.values())
    layer = nn.Linear(1, 1, bias=False)
    layer.weight.grad = torch.full((1, 1), float("nan"))
    MaskHooks(layer, {"weight": torch.tensor([[False]])}).before_step(layer, torch.optim.SGD([layer.weight]))
    assert layer.weight.grad.item() == 0.0


def test_changing_the_masks_takes_effect_at_once() -> None:
    layer = nn.Linear(2, 1, bias=False)
    nn.init.ones_(layer.weight)
    hooks = MaskHooks(layer, {"weight": torch.tensor([[True, False]])})
    assert layer.weight.tolist() == [[1.0, 0.0]]
    hooks.change(layer, {"weight": torch.tensor([[False, True]])})
    assert layer.weight.tolist() == [[0.0, 0.0]]


def test_run_trains_a_copy_at_the_share_of_the_original_rate_and_wins_accuracy_back() -> None:
    from labkit.train import evaluate

    data, model = load_data("digits"), load("digits-small")
    keep = {
        name: p.detach().abs() > p.detach().abs().flatten().kthvalue(int(0.8 * p.numel())).values
        for name, p in model.named_parameters()
        if p.ndim > 1
    }
    before = {name: value.clone() for name, value in model.state_dict().items()}
    weights = run(model, MaskedFinetuneConfig(epochs=3), Context(generator(0), data, masks=Masks(keep), call=CALL))
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())
    assert weights.notes[0].startswith("trained 3 epochs on 1,000 images at a learning rate of 0.01; the last epoch's loss is 0.")
    assert all(not weights.state[name][~mask].any() for name, mask in keep.items())
    tuned, pruned = copy.deepcopy(model), copy.deepcopy(model)
    tuned.load_state_dict(dict(weights.state))
    MaskHooks(pruned, keep)
    assert evaluate(tuned, data.held_out) > evaluate(pruned, data.held_out) + 0.05


def test_a_cancelled_run_leaves_what_it_reached_to_the_caller() -> None:
    seen: list[Tick] = []

    def listen(tick: Tick) -> None:
        seen.append(tick)
        if tick.done == 11:
            progress.cancel()

    progress, kept = Progress(listen), list[Weights]()
    call = MappingProxyType({**CALL, "keep_partial": kept.append})
    model = load("digits-small")
    masks = Masks({"fc.weight": torch.ones(10, 64) > torch.eye(10, 64)})
    with pytest.raises(Cancelled):
        run(model, MaskedFinetuneConfig(epochs=3), Context(generator(0), load_data("digits"), masks=masks, progress=progress, call=call))
    assert [tick.done for tick in seen] == list(range(1, 12))
    assert seen[-1].total == 24
    assert {"loss", "epoch"} <= seen[-1].figures.keys()
    assert not kept[0].state["fc.weight"][~masks.keep["fc.weight"]].any()
    assert not torch.equal(kept[0].state["fc.weight"], model.get_parameter("fc.weight"))
    assert kept[0].notes == ("fine-tuning was cancelled after 1 whole epoch",)


def test_what_is_missing_is_named() -> None:
    model, config, data = load("digits-small"), MaskedFinetuneConfig(), load_data("digits")
    with pytest.raises(ConfigError, match="needs training images"):
        run(model, config, Context(generator(0), call=CALL))
    with pytest.raises(ConfigError, match="needs the original learning rate"):
        run(model, config, Context(generator(0), data))
    with pytest.raises(ConfigError, match="layers must be"):
        run(model, config, Context(generator(0), data, layers="fc", call=CALL))
    wrong = Masks({"fc.weight": torch.ones(3, 3, dtype=torch.bool)})
    with pytest.raises(ModelError, match=r"'fc\.weight' must fit"):
        run(model, config, Context(generator(0), data, masks=wrong, call=CALL))
