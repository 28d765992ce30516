"""Fine-tune under masks: train on what pruning left, with every dropped weight held at exactly zero.

At the start w ← w·m and every buffer of the optimizer ← buffer·m; each step g ← g·m before it, w ← w·m after it. Without
the buffers a stale momentum moves a dropped weight although its gradient is zero.
Source     Han et al. 2015, arXiv:1506.02626.
Deviation  The rate follows the schedule of `labkit.train`, from a share of the network's original one; batch norm is
           recalibrated at the end.
"""

import copy
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

import torch
from torch import Tensor, nn

from labkit.core.errors import Cancelled, ConfigError
from labkit.core.params import Config, param
from labkit.core.progress import SILENT, Progress
from labkit.core.records import Masks, Weights
from labkit.core.registry import Context, Method, register
from labkit.core.seeds import generator
from labkit.data import load as load_data
from labkit.data.images import Images
from labkit.models import load
from labkit.models.layers import compressible
from labkit.pruning.apply import zero
from labkit.train import FitConfig, FitState, NoHooks, fit, recalibrate_batch_norm, start


@dataclass(frozen=True, kw_only=True)
class MaskedFinetuneConfig(Config):
    """How long and how gently; `context.call["original_lr"]` tells the rate that the network was first trained with."""

    epochs: int = param(1, low=1, high=1000, help="passes over the training images")
    lr_factor: float = param(0.1, low=0.001, high=1.0, help="share of the network's original learning rate")
    momentum: float = param(0.9, low=0.0, high=0.999, help="momentum of the descent")
    weight_decay: float = param(5e-4, low=0.0, high=1.0, help="L2 penalty on weights; biases and batch norm have none")
    batch: int = param(128, low=1, high=4096, help="images a step")
    shift: int = param(0, low=0, high=8, unit="pixels", help="augmentation: random shift up to this far")
    flip: bool = param(False, help="augmentation: mirror every second image on average")
    recalibrate: int = param(
        20, low=0, high=1000, unit="batches", help="training batches that set batch norm's statistics at the end; 0: none"
    )


def masked_finetune(
    state: FitState, keep: Mapping[str, Tensor], images: Images, settings: FitConfig, *, recalibrate: int = 0, progress: Progress = SILENT
) -> str:
    """Train `state` under masks; with masks that keep everything this is `labkit.train.fit`, bit for bit.

    Args:
        state: made by `labkit.train.start`, with any torch optimizer; its model is trained in place, so that the caller has
            what was reached when the work is cancelled.
        keep: parameter name → bool tensor of its shape, True keeps.
        images: to train on.
        settings: of the run.
        recalibrate: batches of `images` that batch norm's statistics are measured on at the end.
        progress: gets the loss at each step, and may cancel.

    Returns:
        What happened, in a line.

    Raises:
        ModelError: a mask fits no parameter, or the loss is no longer finite.
        Cancelled: between two steps, when `progress` says so.
    """
    hooks = MaskHooks(state.model, keep)
    fit(state, images, settings, hooks=hooks, progress=progress)
    recalibrate_batch_norm(state.model, images, recalibrate, settings.batch, progress)
    return f"trained {_epochs(settings.epochs, 'epoch')} on {len(images):,} images at a learning rate of {settings.lr:g}; the last epoch's loss is {hooks.loss:.4f}"


class MaskHooks(NoHooks):
    """Holds masked entries at exactly zero around every step, whatever the optimizer.

    Args:
        model: the one that is trained; its masked entries become zero at once.
        keep: parameter name → bool tensor of its shape, True keeps.
    """

    def __init__(self, model: nn.Module, keep: Mapping[str, Tensor]) -> None:
        self.loss = float("nan")
        self.change(model, keep)

    def change(self, model: nn.Module, keep: Mapping[str, Tensor]) -> None:
        """Take other masks from here on; what they drop becomes zero at once, the optimizer's buffers before the next step."""
        zero(model, keep)
        self._drop = {model.get_parameter(name): ~mask for name, mask in keep.items() if not bool(mask.all())}

    @torch.no_grad()
    def before_step(self, model: nn.Module, optimizer: torch.optim.Optimizer) -> None:
        """Zero the gradients and every buffer of the optimizer where the masks do; fills, so that NaN · 0 cannot arise."""
        for parameter, drop in self._drop.items():
            buffers = optimizer.state[parameter].values() if parameter in optimizer.state else ()
            for tensor in (parameter.grad, *buffers):
                if isinstance(tensor, Tensor) and tensor.shape == drop.shape:
                    tensor.masked_fill_(drop, 0.0)

    @torch.no_grad()
    def after_step(self, model: nn.Module, optimizer: torch.optim.Optimizer) -> None:
        """Zero the weights once more, for optimizers that move them without a gradient."""
        for parameter, drop in self._drop.items():
            parameter.masked_fill_(drop, 0.0)

    def after_epoch(self, state: FitState, figures: dict[str, float]) -> None:
        self.loss = figures["loss"]


def run(model: nn.Module, config: MaskedFinetuneConfig, context: Context) -> Weights:
    """Fine-tune a copy of `model` under the masks in force, on the training images.

    When cancelled, the weights so far go to `context.call["keep_partial"]`, if there is one, before `Cancelled` is raised.
    """
    if context.data is None:
        raise ConfigError("masked_finetune needs training images: give the context its data")
    if "original_lr" not in context.call:
        raise ConfigError('masked_finetune needs the original learning rate: give the context call={"original_lr": lambda: 0.1}')
    if context.layers != "*":
        raise ConfigError(f"masked_finetune trains the whole network: layers must be '*', got {context.layers!r}")
    lr = config.lr_factor * context.call["original_lr"]()
    settings = FitConfig(
        epochs=config.epochs,
        lr=lr,
        momentum=config.momentum,
        weight_decay=config.weight_decay,
        batch=config.batch,
        shift=config.shift,
        flip=config.flip,
    )
    keep = context.masks.keep if context.masks is not None else MappingProxyType({})
    state = start(copy.deepcopy(model), settings, context.generator)
    try:
        note = masked_finetune(state, keep, context.data.train, settings, recalibrate=config.recalibrate, progress=context.progress)
    except Cancelled:
        if "keep_partial" in context.call:
            context.call["keep_partial"](
                Weights(_state_of(state.model), (f"fine-tuning was cancelled after {_epochs(state.epoch, 'whole epoch')}",))
            )
        raise
    return Weights(_state_of(state.model), (note,))


def _epochs(n: int, noun: str) -> str:
    return f"{n} {noun}" if n == 1 else f"{n} {noun}s"


def _state_of(model: nn.Module) -> dict[str, Tensor]:
    return {name: value.detach().clone() for name, value in model.state_dict().items()}


def _tiny() -> tuple[nn.Module, MaskedFinetuneConfig, Context]:
    model = load("digits-small")
    masks = Masks({f"{name}.weight": layer.weight.detach().abs() > 0.05 for name, layer in compressible(model).items()})
    call = MappingProxyType({"original_lr": lambda: 0.1})
    return model, MaskedFinetuneConfig(recalibrate=4), Context(generator(0), load_data("digits"), masks=masks, call=call)


register(
    Method(
        name="masked_finetune",
        family="pruning.schedule",
        topic="bench",
        config=MaskedFinetuneConfig,
        run=run,
        source="Han et al. 2015, arXiv:1506.02626",
        labs=("05_finetuning_and_iteration",),
        tiny=_tiny,
    )
)
