"""Top-1 accuracy: the first estimate at once, refined while nobody asks for something newer.

With k of n images right and z = 1.96, Wilson's interval of the share p is

    (k + z²/2 ± z·√(k(n-k)/n + z²/4)) / (n + z²)

There are two questions, and an `Accuracy` answers both:

- *How often is the network right on a fresh image?* `low`, `high`: the interval above, whatever n is. Ten thousand test images
  are themselves a sample, so at 90 % it is still ±0.6 points wide when every one of them was seen.
- *Where will this number settle?* `set_low`, `set_high`: of N images without replacement n carry as much as n(N-1)/(N-n)
  with replacement, so that number takes n's place. The images not yet seen bound it too. At n = N it is a point.

The first is what is drawn. The images are taken in proportion from each class, which makes the estimate less variable than
the formula assumes: the intervals err on the wide side.

Source  Wilson 1927, JASA 22; the paired difference: Bonett and Price 2012, JEBS 37.
"""

import math
from collections.abc import Callable, Iterator
from typing import Any, Protocol, Self

import numpy as np
import torch
from torch import Tensor, nn

from labkit.core.errors import ConfigError, DataError, ModelError
from labkit.core.progress import SILENT, Progress
from labkit.core.records import Accuracy, Difference
from labkit.core.seeds import generator

Z = 1.959963984540054  # 97.5 % of a normal distribution lies below
BATCH = 64  # images a call: few enough to stop soon and for activations to stay in cache, and a multiple of every vector


class LabelledImages(Protocol):
    """What is classified; `labkit.data.images.Images` is one."""

    @property
    def labels(self) -> Tensor:
        """Return int64 (n,)."""

    def __getitem__(self, index: Tensor) -> Self: ...

    def tensor(self) -> Tensor:
        """Return normalised float32 (n, 1, h, w)."""


Predict = Callable[[Tensor], Any]
"""float32 (b, 1, h, w) → logits (b, classes), a torch tensor or a NumPy array."""


def wilson(correct: int, n: int, population: int | None = None) -> Accuracy:
    """Return the accuracy of `correct` among `n` images with its 95 % intervals.

    Args:
        correct: images classified correctly, in [0, n].
        n: images seen, at least 1.
        population: size of the finite test set that they come from; None leaves `set_low` and `set_high` at 0 and 1.

    Returns:
        The share with the interval of the accuracy on fresh images and that of the settled value.

    Raises:
        ConfigError: the counts contradict each other.
    """
    if n < 1 or not 0 <= correct <= n:
        raise ConfigError(f"wilson: correct must be in [0, n] with n at least 1, got {correct} of {n}")
    if population is None:
        return Accuracy(correct, n, *_interval(correct / n, n))
    if population < n:
        raise ConfigError(f"wilson: population must be at least n = {n}, got {population}")
    return Accuracy(correct, n, *_interval(correct / n, n), population, *_settling(correct, n, population))


def _interval(share: float, n: float) -> tuple[float, float]:
    centre = share + Z**2 / (2 * n)
    half = Z * math.sqrt(share * (1 - share) / n + Z**2 / (4 * n**2))
    scale = 1 + Z**2 / n
    low, high = (centre - half) / scale, (centre + half) / scale
    return (0.0 if share == 0 else max(low, 0.0)), (1.0 if share == 1 else min(high, 1.0))


def _settling(correct: int, n: int, population: int) -> tuple[float, float]:
    """Return the interval of the share among all `population` images, `correct` of `n` being known."""
    if n == population:
        return correct / n, correct / n
    low, high = _interval(correct / n, n * (population - 1) / (population - n))
    return max(low, correct / population), min(high, (correct + population - n) / population)


def stratified_order(labels: Tensor, seed: int = 0) -> Tensor:
    """Return an order in which every prefix has nearly the class shares of the whole.

    The j-th image of a class of m, in a shuffled order, takes the place (j + ½)/m; images sharing a place are shuffled. Where
    all classes are of one size, each block of `classes` images has one of each.

    Args:
        labels: int64 (n,).
        seed: decides the shuffling; the same seed gives the same order.

    Returns:
        int64 (n,), a permutation.
    """
    if labels.ndim != 1:
        raise DataError(f"labels must have the shape (n,), got {tuple(labels.shape)}")
    shuffled = torch.randperm(len(labels), generator=generator(seed, "stratified order"))
    _, label = torch.unique(labels[shuffled], return_inverse=True)
    sizes = torch.bincount(label)
    by_class = torch.argsort(label, stable=True)
    rank = torch.empty_like(label)  # position of an image within its class
    rank[by_class] = torch.arange(len(label)) - (sizes.cumsum(0) - sizes).repeat_interleave(sizes)
    return shuffled[torch.argsort((rank.double() + 0.5) / sizes[label], stable=True)]


def stream(
    predict: Predict,
    images: LabelledImages,
    *,
    order: Tensor | None = None,
    first: int = 200,
    chunk: int = 1000,
    progress: Progress = SILENT,
) -> Iterator[Accuracy]:
    """Classify the images piece by piece and yield a better estimate after each piece.

    Args:
        predict: the network; a torch module must be in eval mode.
        images: the test set.
        order: int64, the images to take, in this order; `stratified_order` of all unless given.
        first: images of the first piece, few enough for an answer at once.
        chunk: images of each further piece.
        progress: asked before each call of `predict` whether to go on.

    Yields:
        The accuracy so far, with `index` and `predictions` of every image seen. The last has seen all of `order`.

    Raises:
        Cancelled: between two calls, when `progress` says so.
        ModelError: `predict` is in training mode or gives anything but (b, classes).
        DataError: there are no images.
    """
    if isinstance(predict, nn.Module) and predict.training:
        raise ModelError("the network must be in eval mode to be measured, got one in training mode: call model.eval()")
    if first < 1 or chunk < 1:
        raise ConfigError(f"stream: first and chunk must be at least 1, got {first} and {chunk}")
    order = stratified_order(images.labels) if order is None else order
    if not len(order):
        raise DataError("accuracy needs at least one image, got none")
    predictions = torch.empty(len(order), dtype=torch.int64)
    correct = 0
    for start in (0, *range(first, len(order), chunk)):
        end = min(start + (chunk if start else first), len(order))
        for low in range(start, end, BATCH):
            progress.check()
            piece = slice(low, min(low + BATCH, end))
            batch = images[order[piece]]
            predictions[piece] = classify(predict, batch.tensor())
            correct += int((predictions[piece] == batch.labels).sum())
        seen = wilson(correct, end, len(order))
        yield Accuracy(**{**vars(seen), "index": order[:end], "predictions": predictions[:end]})


def classify(predict: Predict, x: Tensor) -> Tensor:
    """Return the class of each image, int64 (b,): the first of the largest logits, or -1 where one is NaN.

    Args:
        predict: the network.
        x: float32 (b, 1, h, w).

    Raises:
        ModelError: the network gives anything but (b, classes).
    """
    with torch.no_grad():
        given = predict(x)
    logits = given.double().cpu().numpy() if isinstance(given, Tensor) else np.asarray(given)
    if logits.ndim != 2 or len(logits) != len(x) or not logits.shape[1]:
        raise ModelError(f"the network must give logits of the shape ({len(x)}, classes), got {logits.shape}")
    found = np.where(np.isnan(logits).any(1), -1, logits.argmax(1))
    return torch.from_numpy(found.astype(np.int64))


def accuracy(predict: Predict, images: LabelledImages, *, chunk: int = 1000, progress: Progress = SILENT) -> Accuracy:
    """Return the accuracy on all images; see `stream`, whose last value it is. `progress` hears of each piece."""
    for seen in stream(predict, images, first=chunk, chunk=chunk, progress=progress):
        progress.step(seen.n, len(images.labels), accuracy=seen.share)
    return seen


def per_class(seen: Accuracy, labels: Tensor) -> dict[int, Accuracy]:
    """Return the accuracy within each class that was seen.

    Args:
        seen: an accuracy with its predictions.
        labels: int64, of the whole set that `seen.index` points into.
    """
    index, predictions = _details(seen)
    truth = labels[index]
    totals = {int(label): int((labels == label).sum()) for label in truth.unique()}
    return {
        label: wilson(int((predictions[truth == label] == label).sum()), int((truth == label).sum()), total)
        for label, total in totals.items()
    }


def difference(before: Accuracy, after: Accuracy, labels: Tensor) -> Difference:
    """Return how much better `after` is than `before` on the images that both saw.

    With g images gained and l lost among n, p = (g+1)/(n+2) and q = (l+1)/(n+2), the interval is
    p - q ± z·√((p + q - (p-q)²)/(n+2)): the images are the same, so only those that changed count.

    Args:
        before: accuracy with its predictions.
        after: the same of the other network, over the same set in the same order.
        labels: int64, of the whole set.

    Raises:
        DataError: they did not see the same images.
    """
    (index, old), (other, new) = _details(before), _details(after)
    n = min(len(index), len(other))
    if not torch.equal(index[:n], other[:n]):
        raise DataError("two accuracies can be compared only over the same images in the same order: measure both with one order")
    truth = labels[index[:n]]
    was_right, is_right = old[:n] == truth, new[:n] == truth
    gained, lost = int((is_right & ~was_right).sum()), int((was_right & ~is_right).sum())
    p, q = (gained + 1) / (n + 2), (lost + 1) / (n + 2)
    half = Z * math.sqrt((p + q - (p - q) ** 2) / (n + 2))
    return Difference((gained - lost) / n, max(p - q - half, -1.0), min(p - q + half, 1.0), gained, lost, n)


def _details(seen: Accuracy) -> tuple[Tensor, Tensor]:
    if seen.index is None or seen.predictions is None:
        raise DataError("this accuracy was measured without its predictions: take one from `stream` or `accuracy`")
    return seen.index, seen.predictions
