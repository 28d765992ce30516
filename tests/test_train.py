"""Batch norm recalibrated: plain averages over batches, by hand and against training mode."""

import copy

import pytest
import torch
from torch import nn

from labkit.core.errors import Cancelled
from labkit.core.progress import Progress
from labkit.data import load as load_data
from labkit.data.images import Images
from labkit.models import load
from labkit.train import evaluate, recalibrate_batch_norm

PIXELS = torch.tensor([0, 255, 0, 0, 255, 255, 0, 255], dtype=torch.uint8).view(4, 1, 1, 2)  # four images of two pixels
IMAGES = Images(PIXELS, torch.zeros(4, dtype=torch.int64), 0.0, 1.0)


def test_means_and_variances_average_over_the_batches_by_hand() -> None:
    norm = nn.BatchNorm2d(1, momentum=0.3)
    norm.running_mean.fill_(9.0)
    model = nn.Sequential(norm, nn.Flatten())
    recalibrate_batch_norm(model, IMAGES, batches=2, batch=2)  # batches (0 1 0 0) and (1 1 0 1)
    assert norm.running_mean.tolist() == pytest.approx([(0.25 + 0.75) / 2])
    assert norm.running_var.tolist() == pytest.approx([0.25])  # each batch: 3/16 · 4/3
    assert norm.momentum == 0.3
    assert not norm.training
    recalibrate_batch_norm(model, IMAGES, batches=1, batch=2)
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
    recalibrate_batch_norm(model, IMAGES, batches=1, batch=4)
    assert model[1].running_mean.tolist() == pytest.approx([0.5])
    progress = Progress(lambda tick: progress.cancel())
    with pytest.raises(Cancelled):
        recalibrate_batch_norm(model, IMAGES, 2, 2, progress)
    assert model[1].momentum == 0.2
    assert not model.training
    assert not model[1].training
    assert model[1].running_mean.tolist() == pytest.approx([0.25])
