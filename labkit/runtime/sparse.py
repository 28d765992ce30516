"""Sparse stages: consecutive steps that run on groups of images by the kernels of `csr_conv` and `lanes`.

A group is `LANES` images, and it runs through all steps before the next group begins. A batch of a few images runs by the
kernels of `csr_conv_one` and `pixels` instead; see `labkit.runtime.one`.
"""

from collections.abc import Sequence
from functools import cached_property

from labkit.runtime.group import GroupPlan, variant_of
from labkit.runtime.kernels._simd import LANES
from labkit.runtime.one import OnePlan
from labkit.runtime.plan import Stretch, Values
from labkit.runtime.steps import Shape, Step

FEW = LANES // 2
"""Batches up to this size run image by image, by the kernels of `csr_conv_one`."""


class SparseStage:
    """A stretch of steps, planned for one shape of input.

    Args:
        steps: (number of the value it makes, step), in execution order.
        shapes: of all values of the program.
        outside: numbers of the values that are read after the stage.

    Attributes:
        names: of the rows of its table: a layer's, or a layer's and the pooling's that is fused into it.
    """

    def __init__(self, steps: Sequence[tuple[int, Step]], shapes: Sequence[Shape], outside: set[int]) -> None:
        self._stretch = stretch_of(steps, shapes, outside)
        self._group = GroupPlan(self._stretch)
        self.names = self._group.names

    def run(self, values: Values, spent: list[float] | None = None) -> None:
        """Read the stage's inputs from `values`, (n, c, h, w) or (n, features), and add its outputs.

        Args:
            values: by number; changed.
            spent: seconds of each row of the table and, last, of getting in and out; added to, when given.
        """
        plan = self._one if len(values[self._stretch.inputs[0]]) <= FEW else self._group
        plan.run(values, spent)

    @cached_property
    def _one(self) -> OnePlan:
        """The stage for a few images; made when the first few come, since many a program sees only large batches."""
        return OnePlan(self._stretch)


def stretch_of(steps: Sequence[tuple[int, Step]], shapes: Sequence[Shape], outside: set[int]) -> Stretch:
    """Return what plans are made for; the arguments are those of `SparseStage`."""
    made = {number for number, _ in steps}
    inputs, outputs = sorted({n for _, step in steps for n in step.inputs} - made), sorted(made & outside)
    return Stretch(steps, shapes, inputs, outputs, _fused_pools(steps, shapes, outputs), _borders(steps))


def _fused_pools(steps: Sequence[tuple[int, Step]], shapes: Sequence[Shape], outputs: Sequence[int]) -> dict[int, int]:
    """Return which poolings happen in the store of the convolution before: number of the convolution → of the pooling."""
    readers: dict[int, list[int]] = {}
    by_number = dict(steps)
    for number, step in steps:
        for n in step.inputs:
            readers.setdefault(n, []).append(number)
    fused = {}
    for number, step in steps:
        alone = number not in outputs and len(readers.get(number, [])) == 1
        fits = step.op == "conv" and variant_of((shapes[number][1], shapes[number][2]), step.stride[1], pooled=True) >= 0
        if alone and fits and _is_small_pool(by_number[readers[number][0]]):
            fused[number] = readers[number][0]
    return fused


def _is_small_pool(step: Step) -> bool:
    plain = step.padding == (0, 0) and not step.clips and not step.rounds_up
    return step.op == "max_pool" and step.kernel == step.stride == (2, 2) and plain


def _borders(steps: Sequence[tuple[int, Step]]) -> dict[int, int]:
    """Return the zeros that each value needs around it: the widest padding of the convolutions that read it."""
    out: dict[int, int] = {}
    for _, step in steps:
        if step.op == "conv":
            out[step.inputs[0]] = max(out.get(step.inputs[0], 0), *step.padding)
    return out
