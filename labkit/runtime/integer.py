"""Integer stages: every value between input and output is bytes, images (n, h, w, c).

A few images of most programs run elsewhere: see `whole`. What each step computes is said once more, plainly, in `simulation`.
"""

from collections.abc import Callable, Sequence
from functools import partial
from time import perf_counter
from typing import Any

from labkit.runtime.integer_layer import IntegerLayer
from labkit.runtime.integer_ops import MAKERS, known, quantize
from labkit.runtime.steps import Affine, Shape, Step

Call = Callable[..., Any]


class IntegerStage:
    """A stretch of integer steps; the counterpart of `DenseStage`.

    Args:
        steps: (number of the value it makes, step), in execution order.
        shapes: of all values of the program.
        outside: numbers of the values that are read after the stage.
        codes: what the codes of every value stand for; see `value_codes`.

    Attributes:
        names: of the steps; a max pooling that is done on the sums before it shares their line.

    Raises:
        ModelError: a multiplier or a sum is out of range.
    """

    def __init__(
        self, steps: Sequence[tuple[int, Step]], shapes: Sequence[Shape], outside: set[int], codes: Sequence[Affine | None]
    ) -> None:
        self.names: list[str] = []
        self._calls: list[tuple[int, tuple[int, ...], Call]] = []
        self._outside = outside
        readers = [n for _, step in steps for n in step.inputs]
        left = list(steps)
        while left:
            number, step = left.pop(0)
            name, source = step.name, [codes[n] for n in step.inputs]
            alone = step.op == "conv" and step.codes is not None and readers.count(number) == 1 and number not in outside
            pool = left[0][1] if alone and left and _pools(left[0][1], number) else None
            made = (number,) if pool is None else (number, left[0][0])
            call = lower(step, [shapes[n] for n in (*step.inputs, *made)], source, pool)
            if pool is not None:
                number, name = left.pop(0)[0], f"{name}+{pool.name}"
            self.names.append(name)
            self._calls.append((number, step.inputs, call))
        last_use = {n: row for row, (_, inputs, _) in enumerate(self._calls) for n in inputs}
        self._spent_after = [[n for n, row in last_use.items() if row == k and n not in outside] for k in range(len(self._calls))]

    def run(self, values: dict[int, Any], spent: list[float] | None = None) -> None:
        """Read the stage's inputs from `values` and add what it makes that others read.

        Args:
            values: by number, float32 (n, c, h, w) or (n, features), codes uint8 (n, h, w, c) or (n, features); changed.
            spent: seconds of each line of `names` and, last, of nothing else; added to, when given.
        """
        made = dict(values)
        for row, (number, inputs, call) in enumerate(self._calls):
            before = perf_counter()
            made[number] = call(*(made[n] for n in inputs))
            for n in self._spent_after[row]:
                made.pop(n, None)
            if spent is not None:
                spent[row] += perf_counter() - before
        values.update({number: made[number] for number, _, _ in self._calls if number in self._outside})


def lower(step: Step, shapes: Sequence[Shape], read: Sequence[Affine | None], pool: Step | None = None) -> Call:
    """Return the call that does a step on arrays.

    Args:
        step: what to do.
        shapes: of its inputs, of what it makes and of what the pooling makes, without the batch.
        read: what its inputs' codes stand for.
        pool: a max pooling that follows a convolution and is to be done with it.
    """
    if step.op == "quantize":
        return partial(quantize, step)
    if step.weight is not None:
        return IntegerLayer(step, shapes, known(read[0]), pool)
    return MAKERS[step.op](step, shapes, [known(each) for each in read])


def _pools(step: Step, number: int) -> bool:
    """Tell whether a step does nothing but take maxima of this value, which may as well be taken of the sums before."""
    return step.op == "max_pool" and step.inputs == (number,) and not step.clips
