"""A program: a packed network that runs on NumPy arrays.

Its steps are cut into stages: image stages and vector stages of sparse kernels, dense stages that torch runs, and integer
stages. Between stages values are ordinary arrays; within a stage they stay in its own layout.
A few images run one by one in a single plan of all steps, where the program is small and every step has a kernel there; codes do so
as whole numbers in float32, where that is exact (see `whole`).
"""

import math
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from itertools import groupby
from pathlib import Path
from typing import Any, Protocol, Self

import numpy as np
from numpy.typing import NDArray

from labkit.core.errors import ConfigError, FileFormatError, ModelError
from labkit.core.files import write_atomic
from labkit.formats import Format
from labkit.formats.dense import DenseTensor
from labkit.formats.file import from_bytes, read, to_bytes
from labkit.runtime.affine import value_codes
from labkit.runtime.steps import MOST_VALUES, Shape, Step, from_plain, to_plain, value_shapes
from labkit.runtime.winograd import pays

_KIND = "program"
_PARTS = ("weight", "bias")
_MOST_STEPS = 10_000
_FLOAT32 = np.dtype(np.float32)
_SMALL_LINEAR = 1 << 13  # weights of a linear layer that take less time one by one than torch takes to be called


@dataclass(frozen=True)
class Layer:
    """What a program says of one of its steps.

    Attributes:
        name: of the layer in the model.
        op: what it does.
        format: of its weight; "" without one.
        density: share of the weight's entries that are stored; 1 without a weight.
        packed_bytes: of weight and bias.
        shape: of what it makes, without the batch.
        input_bits: 8 where its inputs are bytes or rounded to bytes, else 32.
        algorithm: of a convolution on groups of images, "winograd" or "direct"; else "".
    """

    name: str
    op: str
    format: str
    density: float
    packed_bytes: int
    shape: Shape
    input_bits: int = 32
    algorithm: str = ""


class Stage(Protocol):
    """A stretch of steps; see `SparseStage` and `DenseStage`."""

    names: list[str]

    def run(self, values: dict[int, NDArray[np.float32]], spent: list[float] | None = None) -> None: ...


class Program:
    """A network in execution order, ready to run. `labkit.runtime.compile` makes one.

    Args:
        steps: in execution order; the last one makes the output.
        image: (c, h, w) of the input, or (features,).
        note: plain facts kept in its file, such as the network's name.

    Raises:
        FileFormatError: the steps do not fit each other.
        ModelError: an integer step has sums or a multiplier that are out of range.
    """

    def __init__(self, steps: Sequence[Step], image: Shape, note: dict[str, Any] | None = None) -> None:
        self.steps, self.image, self.note = tuple(steps), tuple(image), dict(note or {})
        self._shapes = value_shapes(self.steps, self.image)
        self._stages = _stages(self.steps, self._shapes)
        self._lock = threading.Lock()  # a stage has one arena

    def __call__(self, x: NDArray[np.float32]) -> NDArray[np.float32]:
        """Compute the output of a batch.

        Args:
            x: float32 (n, c, h, w), or (n, features); any n.

        Returns:
            Float32 (n, …), the output of the last step.

        Raises:
            ConfigError: `x` has another shape or type.
        """
        return self._run(x, None)

    def profile(self, x: NDArray[np.float32]) -> list[tuple[str, float]]:
        """Run a batch once and return (name, milliseconds) of each step, and of getting in and out of each stage.

        Steps that are fused share a line. The sum is somewhat more than the time of a plain call.
        """
        stages = self._stages_for(len(x))
        spent = [[0.0] * (len(stage.names) + 1) for stage in stages]
        self._run(x, spent)
        rows = []
        for stage, seconds in zip(stages, spent, strict=True):
            rows += [(name, 1e3 * each) for name, each in zip([*stage.names, "in and out"], seconds, strict=True)]
        return rows

    @property
    def layers(self) -> tuple[Layer, ...]:
        """What each step is, in execution order."""
        places = _places(self.steps, self._shapes)
        return tuple(_layer(*each) for each in zip(self.steps, self._shapes[1:], places, strict=True))

    @property
    def packed_bytes(self) -> int:
        """Bytes of the file that `save` writes."""
        return len(self._file)

    def save(self, path: Path) -> None:
        """Write the program to a file, whole or not at all."""
        write_atomic(path, self._file)

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read a program from a file.

        Raises:
            FileFormatError: the file is damaged or hostile, or holds no program.
        """
        return cls._from(*read(path))

    @classmethod
    def from_bytes(cls, raw: bytes) -> Self:
        """Make a program from the bytes of its file; see `load`."""
        return cls._from(*from_bytes(raw))

    @cached_property
    def _file(self) -> bytes:
        header = {"kind": _KIND, "image": list(self.image), "note": self.note, "steps": [to_plain(step) for step in self.steps]}
        tensors: dict[str, Format] = {f"{n}.weight": step.weight for n, step in enumerate(self.steps) if step.weight is not None}
        return to_bytes(
            header, tensors | {f"{n}.bias": DenseTensor.pack(step.bias) for n, step in enumerate(self.steps) if step.bias is not None}
        )

    @classmethod
    def _from(cls, header: dict[str, Any], tensors: dict[str, Format]) -> Self:
        if header.get("kind") != _KIND or set(header) != {"kind", "image", "note", "steps"}:
            raise FileFormatError(f"the file must hold a program, got {str(header.get('kind'))[:40]!r}")
        image, plain = header["image"], header["steps"]
        if not isinstance(image, list) or len(image) not in (1, 3) or not all(type(n) is int and 0 < n <= MOST_VALUES for n in image):
            raise FileFormatError("a program's image must be 1 or 3 sizes")
        if not isinstance(plain, list) or not 0 < len(plain) <= _MOST_STEPS or not isinstance(header["note"], dict):
            raise FileFormatError(f"a program must have 1 to {_MOST_STEPS} steps")
        if not set(tensors) <= {f"{n}.{part}" for n in range(len(plain)) for part in _PARTS}:
            raise FileFormatError("a program's file must hold nothing but its steps' weights and biases")
        try:
            return cls([_step(n, each, tensors) for n, each in enumerate(plain)], tuple(image), header["note"])
        except ModelError as error:
            raise FileFormatError(str(error)) from error

    def _run(self, x: NDArray[np.float32], spent: list[list[float]] | None) -> NDArray[np.float32]:
        if not isinstance(x, np.ndarray) or x.dtype != _FLOAT32 or x.shape[1:] != self.image:
            got = f"{x.dtype} {x.shape}" if isinstance(x, np.ndarray) else type(x).__name__
            raise ConfigError(f"the input of this program must be a float32 array (n, {', '.join(map(str, self.image))}), got {got}")
        if not len(x):
            return np.zeros((0, *self._shapes[-1]), np.float32)
        values = {0: x}
        with self._lock:
            for n, stage in enumerate(self._stages_for(len(x))):
                stage.run(values, spent[n] if spent else None)
        return values[len(self.steps)]

    def _stages_for(self, images: int) -> Sequence[Stage]:
        """Return what runs a batch: for a few images one plan of all steps, where there is one."""
        return self._alone if images <= self._few_alone and self._alone else self._stages

    @cached_property
    def _few_alone(self) -> int:
        from labkit.runtime.one import few_alone
        from labkit.runtime.sparse import SparseStage

        is_alone = len(self._stages) == 1 and isinstance(self._stages[0], SparseStage)
        return 0 if is_alone else few_alone(self.steps, self._shapes)

    @cached_property
    def _alone(self) -> Sequence[Stage]:
        from labkit.runtime.one import OnePlan
        from labkit.runtime.sparse import stretch_of
        from labkit.runtime.whole import in_whole_numbers

        rewritten = in_whole_numbers(self.steps, self._shapes)
        return () if rewritten is None else (OnePlan(stretch_of(*rewritten, {len(self.steps)})),)


def _layer(step: Step, shape: Shape, place: str) -> Layer:
    if step.weight is None:
        return Layer(step.name, step.op, "", 1.0, 0, shape)
    size = step.weight.packed_bytes + (step.bias.nbytes if step.bias is not None else 0)
    stored = step.weight.stored / max(1, int(np.prod(step.weight.shape)))
    reads_codes = step.bias is not None and step.bias.dtype == np.int32
    algorithm = "" if step.op != "conv" or place != "images" else "winograd" if pays(step, shape[1:]) else "direct"
    return Layer(step.name, step.op, step.weight.kind, stored, size, shape, 8 if reads_codes else step.input_bits, algorithm)


def _step(number: int, plain: Any, tensors: dict[str, Format]) -> Step:
    bias = tensors.get(f"{number}.bias")
    return from_plain(plain, tensors.get(f"{number}.weight"), None if bias is None else bias.unpack())


def _stages(steps: Sequence[Step], shapes: Sequence[Shape]) -> list[Stage]:
    """Cut steps into stages: neighbours that run in the same place belong together."""
    from labkit.runtime.integer import IntegerStage
    from labkit.runtime.kernels.dense import DenseStage
    from labkit.runtime.packed import PackedStage
    from labkit.runtime.sparse import SparseStage

    codes = value_codes(steps)
    places = _places(steps, shapes)
    stages: list[Stage] = []
    for place, run in groupby(range(len(steps)), key=lambda k: places[k]):
        numbers = list(run)
        later = {n for k in range(numbers[-1] + 1, len(steps)) for n in steps[k].inputs} | {len(steps)}
        numbered = [(k + 1, steps[k]) for k in numbers]
        integer = partial(IntegerStage, codes=codes)
        kind: Any = {"dense": DenseStage, "packed": PackedStage, "integer": integer}.get(place, SparseStage)
        stages.append(kind(numbered, shapes, later))
    return stages


def _places(steps: Sequence[Step], shapes: Sequence[Shape]) -> list[str]:
    """Return where each step runs: "dense", "images", "packed" or "integer".

    A convolution whose format knows what is zero, or that asks for it, runs on groups of images, a linear layer by the kernel of
    its format; what has no kernel runs dense on unpacked weights. A step without a weight, and a linear layer that costs less than the way
    out, run where their first input was made.
    """
    places: list[str] = []
    made_codes = [False]
    for step in steps:
        is_integer = step.codes is not None or made_codes[step.inputs[0]]
        made_codes.append(step.codes is not None)
        if is_integer:
            places.append("integer")
            continue
        source = step.inputs[0]
        beside_images = source > 0 and places[source - 1] == "images" and _has_lanes(step)
        places.append("images" if beside_images else "dense" if step.weight is None else _place_of(step, step.weight))
    return places


def _has_lanes(step: Step) -> bool:
    """Tell whether a step can run on groups of images because its input is there."""
    from labkit.runtime.rows import ROWS

    if step.op == "linear" and step.weight is not None:
        return step.input_bits == 32 and (step.weight.kind in ROWS or math.prod(step.weight.shape) <= _SMALL_LINEAR)
    return step.op not in ("conv", "concat", "hardswish") and (step.op != "average_pool" or step.kernel == (1, 1))


def _place_of(step: Step, weight: Format) -> str:
    """Return where a step with this weight runs."""
    from labkit.runtime.packed import can_run
    from labkit.runtime.rows import SPARSE

    if step.op == "linear":
        return "packed" if step.input_bits == 8 or can_run(weight) else "dense"
    return "images" if weight.kind in SPARSE or step.images_innermost else "dense"
