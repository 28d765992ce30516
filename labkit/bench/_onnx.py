"""The same network as an ONNX graph, so that other engines can run it.

Written from a program's steps: dense weights, batch norm folded, ReLU and ReLU6 as nodes of their own, which every engine
fuses again. One operation of ONNX for each of ours.
"""

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from labkit.core.errors import ModelError
from labkit.runtime import Program
from labkit.runtime.steps import Step, bias_of

_OPSET = 17
_IR = 8  # what engines of three years ago still read


def to_onnx(program: Program, batch: int) -> bytes:
    """Return a program as an ONNX model of a fixed batch.

    Args:
        program: its weights are unpacked.
        batch: images of the input; engines plan better for a fixed number.

    Raises:
        ModelError: it pools to parts of different sizes, which ONNX cannot say.
        ImportError: the package `onnx` is not installed.
    """
    from onnx import TensorProto, checker, helper

    nodes: list[Any] = []
    weights: list[Any] = []
    shapes = [program.image, *(layer.shape for layer in program.layers)]
    for k, step in enumerate(program.steps):
        _add(nodes, weights, step, k, [shapes[n] for n in step.inputs])
    ends = ((0, program.image), (len(program.steps), shapes[-1]))
    first, last = (helper.make_tensor_value_info(f"v{n}", TensorProto.FLOAT, [batch, *shape]) for n, shape in ends)
    graph = helper.make_graph(nodes, "labkit", [first], [last], weights)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", _OPSET)], ir_version=_IR)
    checker.check_model(model, full_check=True)
    raw: bytes = model.SerializeToString()
    return raw


def as_int8(model: bytes, batch: int, calibration: NDArray[np.float32]) -> bytes:
    """Return a network in integers, by ONNX Runtime's static quantization: bytes between layers, int8 weights with a scale an output.

    Ranges are the least and the largest over the images, as ours are (see `labkit.runtime.calibrate`). Values are marked by pairs of
    nodes that quantize and dequantize, the form that ONNX Runtime makes integer layers of.

    Args:
        model: as `to_onnx` returns it.
        batch: images of its input.
        calibration: (n, c, h, w) or (n, features); where `batch` does not divide n, the last batch is filled up with the first images.

    Raises:
        ImportError: ONNX Runtime or the package `onnx` is not installed.
    """
    import onnx
    from onnxruntime.quantization import QuantFormat, QuantType, quantize_static
    from onnxruntime.quantization.shape_inference import quant_pre_process

    rounds_up = -(-len(calibration) // batch) * batch
    batches = np.resize(calibration, (rounds_up, *calibration.shape[1:])).reshape(-1, batch, *calibration.shape[1:])
    with tempfile.TemporaryDirectory() as folder:
        prepared, made = Path(folder) / "prepared.onnx", Path(folder) / "int8.onnx"
        quant_pre_process(onnx.load_from_string(model), prepared, skip_symbolic_shape=True)
        settings = {"quant_format": QuantFormat.QDQ, "per_channel": True}
        types = {"activation_type": QuantType.QUInt8, "weight_type": QuantType.QInt8}
        quantize_static(prepared, made, _Feeds(iter(batches)), **settings, **types)
        return made.read_bytes()


class _Feeds:
    """Batches as ONNX Runtime's calibration asks for them."""

    def __init__(self, batches: Iterator[NDArray[np.float32]]) -> None:
        self._batches = batches

    def get_next(self) -> dict[str, NDArray[np.float32]] | None:
        """Return the next feed, None after the last."""
        batch = next(self._batches, None)
        return None if batch is None else {"v0": batch}


def int_product(codes: np.ndarray[Any, Any], batch: int) -> bytes:
    """Return uint8 inputs (batch, c_in) times int8 `codes` (c_out, c_in), as float32, as an ONNX model."""
    from onnx import TensorProto, helper, numpy_helper

    rows, columns = codes.shape
    nodes = [
        helper.make_node("MatMulInteger", ["v0", "w"], ["sum"]),
        helper.make_node("Cast", ["sum"], ["v1"], to=TensorProto.FLOAT),
    ]
    first = helper.make_tensor_value_info("v0", TensorProto.UINT8, [batch, columns])
    last = helper.make_tensor_value_info("v1", TensorProto.FLOAT, [batch, rows])
    graph = helper.make_graph(nodes, "labkit", [first], [last], [numpy_helper.from_array(np.ascontiguousarray(codes.T), "w")])
    raw: bytes = helper.make_model(graph, opset_imports=[helper.make_opsetid("", _OPSET)], ir_version=_IR).SerializeToString()
    return raw


def _add(nodes: list[Any], weights: list[Any], step: Step, k: int, shapes: list[tuple[int, ...]]) -> None:
    """Add the nodes and weights of step `k`, which makes the value `k + 1`."""
    from onnx import helper, numpy_helper

    made, inputs = f"v{k + 1}", [f"v{n}" for n in step.inputs]
    if step.weight is not None:
        for name, array in ((f"w{k}", step.weight.unpack()), (f"b{k}", bias_of(step))):
            weights.append(numpy_helper.from_array(array, name))
            inputs.append(name)
    before = f"v{k + 1}_before" if step.clips and step.op != "clip" else made
    kind, settings = _operation(step, shapes[0])
    if step.op != "clip":
        nodes.append(helper.make_node(kind, inputs, [before], **settings))
    if step.clips or step.op == "clip":
        nodes.append(_limit(weights, step, k, inputs[0] if step.op == "clip" else before, made))


def _limit(weights: list[Any], step: Step, k: int, source: str, made: str) -> Any:
    from onnx import helper, numpy_helper

    if (step.low, step.high) == (0, np.inf):
        return helper.make_node("Relu", [source], [made])
    limits = [f"low{k}", f"high{k}"]
    weights += [numpy_helper.from_array(np.array(n, np.float32), name) for n, name in zip((step.low, step.high), limits, strict=True)]
    return helper.make_node("Clip", [source, *limits], [made])


def _operation(step: Step, shape: tuple[int, ...]) -> tuple[str, dict[str, Any]]:
    """Return the name and settings of the ONNX operation that does what a step does."""
    windows = {"kernel_shape": list(step.kernel), "strides": list(step.stride), "pads": [*step.padding, *step.padding]}
    if step.op == "conv":
        return "Conv", windows | {"dilations": list(step.dilation), "group": step.groups}
    if step.op == "average_pool":
        return _average_pool(step, shape)
    rules: dict[str, tuple[str, dict[str, Any]]] = {
        "linear": ("Gemm", {"transB": 1}),
        "max_pool": ("MaxPool", windows | {"ceil_mode": int(step.rounds_up)}),
        "add": ("Add", {}),
        "clip": ("Clip", {}),
        "concat": ("Concat", {"axis": 1}),
        "flatten": ("Flatten", {"axis": 1}),
        "hardswish": ("HardSwish", {}),
    }
    return rules[step.op]


def _average_pool(step: Step, shape: tuple[int, ...]) -> tuple[str, dict[str, Any]]:
    if step.kernel == (1, 1):
        return "GlobalAveragePool", {}
    if any(size % parts for size, parts in zip(shape[1:], step.kernel, strict=True)):
        raise ModelError(f"{step.name}: ONNX cannot pool {shape[1:]} to {step.kernel} parts of different sizes")
    window = [size // parts for size, parts in zip(shape[1:], step.kernel, strict=True)]
    return "AveragePool", {"kernel_shape": window, "strides": window}
