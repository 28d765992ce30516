"""The training loop: its schedule, its augmentation, and that it goes on from anywhere as if it had never stopped."""

import copy
import subprocess
import sys

import pytest
import torch
from torch import Tensor, nn

from labkit.core.errors import Cancelled, ConfigError, DataError, ModelError
from labkit.core.progress import Progress, Tick
from labkit.core.seeds import generator
from labkit.data import load as load_data
from labkit.data.images import Images
from labkit.models import load, zoo
from labkit.train import (
    FitConfig,
    FitState,
    NoHooks,
    augment,
    evaluate,
    fit,
    learning_rate,
    recalibrate_batch_norm,
    start,
    without_compiler,
)

IMAGES = load_data("digits").train[:70]
CONFIG = FitConfig(epochs=3, batch=32, lr=0.05, shift=1, flip=True)


def fresh(config: FitConfig = CONFIG) -> FitState:
    return start(zoo.build("digits-small", 1), config, generator(0, "test"))


def bits(state: FitState) -> dict[str, bytes]:
    return {name: value.contiguous().numpy().tobytes() for name, value in state.model.state_dict().items()}


def test_the_rate_warms_up_and_ends_at_zero() -> None:
    config = FitConfig(lr=2.0)
    assert learning_rate(config, 0.0) == pytest.approx(0.2)
    assert learning_rate(config, 0.025) == pytest.approx(1.1)
    assert learning_rate(config, 0.05) == pytest.approx(2.0)
    assert learning_rate(config, 0.525) == pytest.approx(1.0), "half-way down the cosine"
    assert learning_rate(config, 1.0) == pytest.approx(0.0, abs=1e-12)
    falling = [learning_rate(config, 0.05 + 0.95 * n / 50) for n in range(51)]
    assert falling == sorted(falling, reverse=True)


def test_the_rates_of_a_run_cover_the_whole_schedule() -> None:
    rates: list[float] = []

    class Watch(NoHooks):
        def before_step(self, model: nn.Module, optimizer: torch.optim.Optimizer) -> None:
            rates.append(optimizer.param_groups[0]["lr"])

    fit(fresh(), IMAGES, CONFIG, hooks=Watch())
    assert rates == [learning_rate(CONFIG, n / 9) for n in range(9)], "3 epochs of ⌈70/32⌉ = 3 steps"


def test_a_shift_moves_and_fills_with_the_darkest() -> None:
    x = torch.arange(9.0).view(1, 1, 3, 3) - 4
    seen = {tuple(augment(x, 1, False, generator(n)).flatten().tolist()) for n in range(200)}

    def moved(down: int, right: int) -> tuple[float, ...]:
        place = [(row - down, column - right) for row in range(3) for column in range(3)]
        return tuple(float(x[0, 0, r, c]) if 0 <= r < 3 and 0 <= c < 3 else -4.0 for r, c in place)

    assert seen == {moved(down, right) for down in (-1, 0, 1) for right in (-1, 0, 1)}


def test_each_image_is_shifted_and_mirrored_by_itself() -> None:
    x = torch.arange(4.0).view(1, 1, 2, 2).expand(400, 1, 2, 2)
    mirrored = augment(x, 0, True, generator(0))
    share = float((mirrored[:, 0, 0, 0] == 1).float().mean())
    assert 0.4 < share < 0.6
    assert {tuple(each.flatten().tolist()) for each in mirrored} == {(0, 1, 2, 3), (1, 0, 3, 2)}
    assert torch.equal(augment(x, 0, False, generator(0)), x)


def test_a_shift_as_large_as_the_image_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"FitConfig\.shift must be below the image's side 8, got 8"):
        fit(fresh(), IMAGES, CONFIG.replace(shift=8))


class Keep(NoHooks):
    """Keeps a copy of the state after one epoch."""

    kept: FitState

    def after_epoch(self, state: FitState, figures: dict[str, float]) -> None:
        if state.epoch == 1:
            other = fresh()
            other.model.load_state_dict(copy.deepcopy(state.model.state_dict()))
            other.optimizer.load_state_dict(copy.deepcopy(state.optimizer.state_dict()))
            other.generator.set_state(state.generator.get_state())
            other.epoch = state.epoch
            self.kept = other


def test_a_run_that_goes_on_ends_like_one_that_never_stopped() -> None:
    keep = Keep()
    whole = fit(fresh(), IMAGES, CONFIG, hooks=keep)
    assert bits(keep.kept) != bits(whole)
    assert bits(fit(keep.kept, IMAGES, CONFIG)) == bits(whole)


def test_nothing_global_decides_a_run() -> None:
    torch.manual_seed(1)
    one = bits(fit(fresh(), IMAGES, CONFIG))
    torch.manual_seed(2)
    assert bits(fit(fresh(), IMAGES, CONFIG)) == one


def test_a_run_is_cancelled_between_two_steps() -> None:
    ticks: list[Tick] = []
    progress = Progress(lambda tick: (ticks.append(tick), progress.cancel() if tick.done == 4 else None)[1])
    state = fresh()
    with pytest.raises(Cancelled, match="training: cancelled"):
        fit(state, IMAGES, CONFIG, progress=progress)
    assert [(tick.done, tick.total) for tick in ticks] == [(n, 9) for n in (1, 2, 3, 4)]
    assert state.epoch == 1


def test_a_loss_that_is_not_finite_is_refused_before_the_weights_change() -> None:
    state, calls = fresh(), 0

    def loss(model: nn.Module, x: Tensor, y: Tensor) -> Tensor:
        nonlocal calls
        calls += 1
        return model(x).sum() * (float("nan") if calls == 2 else 0.0)

    with pytest.raises(ModelError, match=r"loss became nan in epoch 1, step 2: lower the learning rate \(0.05\)"):
        fit(state, IMAGES, CONFIG, loss=loss)
    assert all(torch.isfinite(value).all() for value in state.model.state_dict().values())


def test_biases_and_batch_norm_do_not_decay() -> None:
    decayed, plain = fresh().optimizer.param_groups
    assert decayed["weight_decay"] == CONFIG.weight_decay
    assert plain["weight_decay"] == 0
    assert {p.ndim for p in plain["params"]} == {1}
    assert min(p.ndim for p in decayed["params"]) > 1


def test_evaluate_is_a_plain_count() -> None:
    model, images = load("digits-small").train(), load_data("digits").test
    right = 0
    with torch.inference_mode():
        for n in range(len(images)):
            right += int(model.eval()(images[n : n + 1].tensor()).argmax() == images.labels[n])
    for batch in (1, 77, 500, 1000):
        assert evaluate(model.train(), images, batch=batch) == right / 500
    assert not model.training


def test_no_images_are_refused() -> None:
    none = Images(IMAGES.pixels[:0], IMAGES.labels[:0], IMAGES.mean, IMAGES.std)
    with pytest.raises(DataError, match="at least one image"):
        fit(fresh(), none, CONFIG)
    with pytest.raises(DataError, match="at least one image"):
        evaluate(load("digits-small"), none)


# ------------------------------------------------------------------ batch norm, recalibrated

PIXELS = torch.tensor([0, 255, 0, 0, 255, 255, 0, 255], dtype=torch.uint8).view(4, 1, 1, 2)  # four images of two pixels
FOUR = Images(PIXELS, torch.zeros(4, dtype=torch.int64), 0.0, 1.0)


def test_means_and_variances_average_over_the_batches_by_hand() -> None:
    norm = nn.BatchNorm2d(1, momentum=0.3)
    norm.running_mean.fill_(9.0)
    model = nn.Sequential(norm, nn.Flatten())
    recalibrate_batch_norm(model, FOUR, batches=2, batch=2)  # batches (0 1 0 0) and (1 1 0 1)
    assert norm.running_mean.tolist() == pytest.approx([(0.25 + 0.75) / 2])
    assert norm.running_var.tolist() == pytest.approx([0.25])  # each batch: 3/16 · 4/3
    assert norm.momentum == 0.3
    assert not norm.training
    recalibrate_batch_norm(model, FOUR, batches=1, batch=2)
    assert norm.running_mean.tolist() == pytest.approx([0.25])
    assert int(norm.num_batches_tracked) == 1


def test_with_one_batch_eval_mode_gives_what_training_mode_gives() -> None:
    model, images = load("digits-small"), load_data("digits").train
    x = images[:1000].tensor()
    recalibrate_batch_norm(model, images, batches=1, batch=1000)
    wanted = copy.deepcopy(model)
    for norm in (m for m in wanted.modules() if isinstance(m, nn.BatchNorm2d)):
        norm.track_running_stats = False
        norm.running_mean = norm.running_var = None
    with torch.inference_mode():
        assert float((model(x) - wanted(x)).abs().max()) < 1e-2  # the unbiased variance differs by 1/n


def test_it_repairs_statistics_that_do_not_fit() -> None:
    model, data = load("digits-small"), load_data("digits")
    before = evaluate(model, data.held_out)
    weights = {name: p.detach().clone() for name, p in model.named_parameters()}
    model.bn1.running_mean.add_(1.0)
    model.bn2.running_var.mul_(0.1)
    broken = evaluate(model, data.held_out)
    recalibrate_batch_norm(model, data.train)
    assert broken < before - 0.1
    assert evaluate(model, data.held_out) > before - 0.02
    assert all(torch.equal(weights[name], p) and p.grad is None for name, p in model.named_parameters())


@pytest.mark.parametrize("batches", [0, 3])
def test_without_batches_or_without_batch_norm_nothing_happens(batches: int) -> None:
    norm, images = nn.BatchNorm2d(1), load_data("digits").train
    norm.running_mean.fill_(9.0)
    model = nn.Sequential(norm) if batches == 0 else nn.Sequential(nn.Dropout(), nn.Conv2d(1, 1, 1)).train()
    recalibrate_batch_norm(model, images, batches)
    assert not model.training
    assert norm.running_mean.item() == 9.0


def test_dropout_stays_off_and_cancelling_leaves_a_usable_model() -> None:
    model = nn.Sequential(nn.Dropout(0.9), nn.BatchNorm2d(1, momentum=0.2))
    recalibrate_batch_norm(model, FOUR, batches=1, batch=4)
    assert model[1].running_mean.tolist() == pytest.approx([0.5])
    progress = Progress(lambda tick: progress.cancel())
    with pytest.raises(Cancelled):
        recalibrate_batch_norm(model, FOUR, 2, 2, progress)
    assert model[1].momentum == 0.2
    assert not model.training
    assert not model[1].training
    assert model[1].running_mean.tolist() == pytest.approx([0.25])


@pytest.mark.parametrize("threads", [1, 3])
def test_the_threads_of_the_process_decide_nothing(threads: int) -> None:
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(threads)
        state = fit(fresh(), IMAGES, CONFIG)
        recalibrate_batch_norm(state.model, IMAGES, 2)
        assert torch.get_num_threads() == threads
        torch.set_num_threads(2)
        other = fit(fresh(), IMAGES, CONFIG)
        recalibrate_batch_norm(other.model, IMAGES, 2)
    finally:
        torch.set_num_threads(before)
    assert bits(state) == bits(other)


@pytest.mark.parametrize("kind", [torch.optim.SGD, torch.optim.Adam])
def test_an_optimizer_without_the_compiler_takes_the_same_steps(kind: type[torch.optim.Optimizer]) -> None:
    def trained(kind: type[torch.optim.Optimizer]) -> list[Tensor]:
        draw = generator(3)
        tensors = [torch.randn(5, 4, generator=draw, requires_grad=True), torch.randn(5, generator=draw, requires_grad=True)]
        options = {"momentum": 0.9, "nesterov": True} if kind.__name__ == "SGD" else {}
        groups = [{"params": tensors[:1], "weight_decay": 0.1}, {"params": tensors[1:]}]
        optimizer = kind(groups, lr=0.05, **options)  # type: ignore[arg-type]
        for n in range(6):
            optimizer.zero_grad()
            (tensors[0] @ torch.randn(4, generator=draw) - tensors[1]).square().sum().backward()
            optimizer.step()
            if n == 3:
                optimizer.load_state_dict(copy.deepcopy(optimizer.state_dict()))
        return tensors

    for ours, torchs in zip(trained(without_compiler(kind)), trained(kind), strict=True):
        assert torch.equal(ours, torchs)


def test_training_does_not_import_torchs_compiler() -> None:
    code = (
        "import sys\n"
        "from labkit.core.seeds import generator\n"
        "from labkit.data import load\n"
        "from labkit.models import zoo\n"
        "from labkit.train import FitConfig, fit, start\n"
        "config = FitConfig(epochs=1)\n"
        "state = fit(start(zoo.build('digits-small', 1), config, generator(0)), load('digits').train[:256], config)\n"
        "state.optimizer.load_state_dict(state.optimizer.state_dict())\n"
        "print('torch._dynamo' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "False\n"
