"""Train and evaluate: one plain loop, resumable, cancellable, with the loss and whatever happens at each step passed in."""

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from inspect import unwrap
from typing import Protocol, TypeVar

import torch
from torch import Generator, Tensor, nn
from torch.nn import functional as F

from labkit.core.errors import ConfigError, DataError, ModelError
from labkit.core.params import Config, param
from labkit.core.progress import SILENT, Progress
from labkit.data.images import Images

Loss = Callable[[nn.Module, Tensor, Tensor], Tensor]
"""(model, images (b, 1, h, w), labels (b,)) → scalar loss; calls the model itself, so that it may look inside."""
_Kind = TypeVar("_Kind", bound=torch.optim.Optimizer)


@dataclass(frozen=True, kw_only=True)
class FitConfig(Config):
    """Stochastic gradient descent with Nesterov momentum under one cosine, warmed up for a twentieth of the steps."""

    epochs: int = param(1, low=1, high=1000, help="passes over the training images")
    lr: float = param(0.1, low=0.0, high=10.0, help="highest learning rate, reached after the warm-up")
    momentum: float = param(0.9, low=0.0, high=0.999, help="momentum of the descent")
    weight_decay: float = param(5e-4, low=0.0, high=1.0, help="L2 penalty on weights; biases and batch norm have none")
    batch: int = param(128, low=1, high=4096, help="images a step")
    label_smoothing: float = param(0.0, low=0.0, high=0.9, help="share of the target that goes to all classes alike")
    shift: int = param(0, low=0, high=8, unit="pixels", help="augmentation: random shift up to this far")
    flip: bool = param(False, help="augmentation: mirror every second image on average")


class Hooks(Protocol):
    """What a caller may do during `fit`; masks, for one, live here (see pruning.schedule.masked_finetune)."""

    def before_step(self, model: nn.Module, optimizer: torch.optim.Optimizer) -> None: ...

    def after_step(self, model: nn.Module, optimizer: torch.optim.Optimizer) -> None: ...

    def after_epoch(self, state: "FitState", figures: dict[str, float]) -> None: ...


class NoHooks:
    """Does nothing at every point."""

    def before_step(self, model: nn.Module, optimizer: torch.optim.Optimizer) -> None:
        """Act between the backward pass and the step."""

    def after_step(self, model: nn.Module, optimizer: torch.optim.Optimizer) -> None:
        """Act after the step."""

    def after_epoch(self, state: "FitState", figures: dict[str, float]) -> None:
        """Act after each epoch with everything that resuming needs, and the epoch's loss."""


THREADS = 2
"""Threads that train, whatever the process uses else: sums are split among them, so that their number decides the last bits."""


@contextmanager
def _fixed_threads() -> Iterator[None]:
    """Train with `THREADS`, so that a recipe gives the same network in a lab, on the command line and when a run goes on."""
    before = torch.get_num_threads()
    torch.set_num_threads(THREADS)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def without_compiler(kind: type[_Kind]) -> type[_Kind]:
    """Return a torch optimizer's class as it is, without what its methods are wrapped in for `torch.compile`.

    The first call of a wrapped method imports the whole compiler: 150 MB and a second, in each process that trains. What the
    methods compute stays the same, to the last bit. In a torch that wraps them otherwise, the import comes back, nothing else.

    Args:
        kind: such as `torch.optim.SGD`; not with `differentiable=True`, since steps are taken without gradients.
    """
    plain = {name: unwrap(getattr(kind, name)) for name in ("add_param_group", "zero_grad", "state_dict", "load_state_dict")}
    return type(kind.__name__, (kind,), {**plain, "step": torch.no_grad()(unwrap(kind.step))})


_SGD = without_compiler(torch.optim.SGD)


@dataclass
class FitState:
    """Where a training run stands: all that is needed to go on as if it had never stopped."""

    model: nn.Module
    optimizer: torch.optim.Optimizer
    generator: Generator
    epoch: int = 0


def start(model: nn.Module, config: FitConfig, generator: Generator) -> FitState:
    """Return the state of a run that has not begun; `fit` trains `model` in place."""
    decayed = [p for p in model.parameters() if p.ndim > 1]
    plain = [p for p in model.parameters() if p.ndim <= 1]
    groups = [{"params": decayed, "weight_decay": config.weight_decay}, {"params": plain, "weight_decay": 0.0}]
    optimizer = _SGD(groups, lr=config.lr, momentum=config.momentum, nesterov=config.momentum > 0)
    return FitState(model, optimizer, generator)


@_fixed_threads()
def fit(
    state: FitState,
    images: Images,
    config: FitConfig,
    *,
    loss: Loss | None = None,
    hooks: Hooks | None = None,
    progress: Progress = SILENT,
) -> FitState:
    """Train until `config.epochs` epochs are done, from where `state` stands.

    Args:
        state: made by `start`, or restored; its model is trained in place.
        images: to train on.
        config: of the whole run; resuming needs the same.
        loss: cross-entropy unless given.
        hooks: called around each step and after each epoch.
        progress: gets the epoch's loss so far, and may cancel.

    Raises:
        DataError: there are no images.
        ModelError: the loss is no longer finite.
        Cancelled: between two steps, when `progress` says so.
    """
    if not len(images):
        raise DataError("training needs at least one image, got none")
    loss = loss or cross_entropy(config.label_smoothing)
    hooks = hooks or NoHooks()
    steps = math.ceil(len(images) / config.batch)
    progress.begin("training")
    while state.epoch < config.epochs:
        figures = _epoch(state, images, config, loss, hooks, progress, steps)
        state.epoch += 1
        hooks.after_epoch(state, figures)
    state.model.eval()
    return state


def _epoch(
    state: FitState, images: Images, config: FitConfig, loss: Loss, hooks: Hooks, progress: Progress, steps: int
) -> dict[str, float]:
    model, optimizer = state.model, state.optimizer
    model.train()
    order = torch.randperm(len(images), generator=state.generator)
    total = seen = 0.0
    for n, index in enumerate(order.split(config.batch)):
        batch = images[index]
        x = augment(batch.tensor(), config.shift, config.flip, state.generator)
        for group in optimizer.param_groups:
            group["lr"] = learning_rate(config, (state.epoch * steps + n) / (config.epochs * steps))
        optimizer.zero_grad(set_to_none=True)
        value = loss(model, x.contiguous(memory_format=torch.channels_last), batch.labels)
        if not torch.isfinite(value):
            raise ModelError(
                f"the loss became {value.item()} in epoch {state.epoch + 1}, step {n + 1}: lower the learning rate ({config.lr:g})"
            )
        value.backward()
        hooks.before_step(model, optimizer)
        optimizer.step()
        hooks.after_step(model, optimizer)
        total, seen = total + value.item() * len(index), seen + len(index)
        progress.step(state.epoch * steps + n + 1, config.epochs * steps, loss=total / seen, epoch=state.epoch + 1)
    return {"loss": total / seen}


def learning_rate(config: FitConfig, fraction: float) -> float:
    """Return the rate after `fraction` in [0, 1] of the run: linear warm-up over the first twentieth, then half a cosine to 0."""
    warm = 0.05
    if fraction < warm:
        return config.lr * (fraction / warm * 0.9 + 0.1)
    return config.lr * 0.5 * (1 + math.cos(math.pi * (fraction - warm) / (1 - warm)))


def cross_entropy(label_smoothing: float = 0.0) -> Loss:
    """Return the usual loss."""
    return lambda model, x, y: F.cross_entropy(model(x), y, label_smoothing=label_smoothing)


def augment(x: Tensor, shift: int, flip: bool, generator: Generator) -> Tensor:
    """Shift each image by up to `shift` pixels and mirror half of them; x (b, 1, h, w) → the same shape."""
    b, _, h, w = x.shape
    if shift:
        if shift >= min(h, w):
            raise ConfigError(f"FitConfig.shift must be below the image's side {min(h, w)}, got {shift}")
        padded = F.pad(x, (shift,) * 4, value=float(x.min()))  # (b, 1, h + 2·shift, w + 2·shift)
        dy, dx = (torch.randint(0, 2 * shift + 1, (b, 1), generator=generator) for _ in range(2))
        rows, cols = dy + torch.arange(h), dx + torch.arange(w)  # (b, h), (b, w)
        x = padded[torch.arange(b)[:, None, None], 0, rows[:, :, None], cols[:, None, :]].unsqueeze(1)
    if flip:
        mirror = torch.rand(b, generator=generator) < 0.5
        x = torch.where(mirror[:, None, None, None], x.flip(3), x)
    return x


@torch.inference_mode()
def evaluate(model: nn.Module, images: Images, batch: int = 500, progress: Progress = SILENT) -> float:
    """Return the share of `images` that `model`, in eval mode, classifies correctly.

    Raises:
        DataError: there are no images.
        Cancelled: between two batches, when `progress` says so.
    """
    if not len(images):
        raise DataError("accuracy needs at least one image, got none")
    model.eval()
    correct = done = 0
    for x, y in images.batches(batch):
        correct += int((model(x.contiguous(memory_format=torch.channels_last)).argmax(1) == y).sum())
        done += len(y)
        progress.step(done, len(images))
    return correct / len(images)


@_fixed_threads()
@torch.no_grad()
def recalibrate_batch_norm(model: nn.Module, images: Images, batches: int = 20, batch: int = 128, progress: Progress = SILENT) -> None:
    """Measure the means and variances of batch norm anew, in place: the plain average over some batches, without any gradient.

    After weights have changed, the statistics that were gathered while training no longer fit. Only batch norm is put into
    training mode meanwhile, so that dropout stays off; afterwards the model is in eval mode.

    Args:
        model: changed; nothing happens where it has no batch norm.
        images: the first `batches` · `batch` of them are used, or all if there are fewer.
        batches: how many; 0 leaves the model alone.
        batch: images each.
        progress: gets the number of batches done, and may cancel.

    Raises:
        Cancelled: between two batches; the statistics are then those of the batches so far.
    """
    norms = [each for each in model.modules() if isinstance(each, nn.modules.batchnorm._BatchNorm) and each.track_running_stats]
    model.eval()
    if not norms or batches == 0:
        return
    before = [norm.momentum for norm in norms]
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # a cumulative average instead of an exponential one
        norm.train()
    progress.begin("recalibrating batch norm")
    used = images[: batches * batch]
    total = math.ceil(len(used) / batch)
    try:
        for n, (x, _) in enumerate(used.batches(batch), start=1):
            model(x.contiguous(memory_format=torch.channels_last))
            progress.step(n, total)
    finally:
        for norm, momentum in zip(norms, before, strict=True):
            norm.momentum = momentum
        model.eval()
