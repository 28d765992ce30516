"""What else can do the job here: name → call. A peer that is not installed is left out."""

import warnings
from collections.abc import Callable
from importlib.util import find_spec
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from labkit.bench import _onnx
from labkit.core.errors import ModelError
from labkit.runtime import Program

Call = Callable[[], Any]
PACKAGES = ("onnx", "onnxruntime", "scipy")
"""What peers need beyond labkit itself: the extra `bench`."""


def missing() -> list[str]:
    """Return the packages that are not installed, so that their peers are left out of the rows."""
    return [name for name in PACKAGES if find_spec(name) is None]


def csr(dense: Tensor, inputs: Tensor) -> dict[str, Call]:
    """Return what else multiplies by compressed sparse rows.

    Args:
        dense: weight (c_out, c_in).
        inputs: (n, c_in).
    """
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Sparse CSR tensor support is in beta")
        rows, columns = dense.to_sparse_csr(), inputs.t().contiguous()
    peers: dict[str, Call] = {"torch CSR": lambda: rows @ columns}
    try:
        from scipy import sparse
    except ImportError:
        return peers
    matrix, array = sparse.csr_matrix(dense.numpy()), columns.numpy()
    return peers | {"SciPy CSR": lambda: matrix @ array}


def torch_int8(x: Tensor, codes: Tensor) -> dict[str, Call]:
    """Return torch's int8 layer with float32 outputs, where this torch has one.

    Args:
        x: uint8 (n, c_in).
        codes: int8 (c_out, c_in).
    """
    if not hasattr(torch.ops.onednn, "qlinear_pointwise") or not torch.backends.mkldnn.is_available():
        return {}
    out = len(codes)
    packed, ones, zeros = torch.ops.onednn.qlinear_prepack(codes, list(x.shape)), torch.ones(out), torch.zeros(out, dtype=torch.int64)
    last: Any = (1.0, 0, torch.float32, "none", [], "")
    return {"torch int8": lambda: torch.ops.onednn.qlinear_pointwise(x, 1.0, 0, packed, ones, zeros, None, *last)}


def onnx_network(program: Program, x: NDArray[np.float32]) -> dict[str, Call]:
    """Return ONNX Runtime on the same network with dense float32 weights, if it can run it.

    Args:
        program: the network.
        x: a batch, (n, c, h, w) or (n, features).
    """
    try:
        return {"ONNX Runtime": onnx_call(_onnx.to_onnx(program, len(x)), x)}
    except (ImportError, ModelError):
        return {}


def onnx_int8_network(program: Program, x: NDArray[np.float32], calibration: NDArray[np.float32]) -> dict[str, Call]:
    """Return ONNX Runtime on the same network in integers, if it can run it; see `_onnx.as_int8`.

    Args:
        program: the network with float32 weights.
        x: a batch, (n, c, h, w) or (n, features).
        calibration: images that the ranges of values are taken from.
    """
    try:
        return {"ONNX Runtime int8": onnx_call(_onnx.as_int8(_onnx.to_onnx(program, len(x)), len(x), calibration), x)}
    except (ImportError, ModelError):
        return {}


def onnx_int8(x: NDArray[np.uint8], codes: NDArray[np.int8]) -> dict[str, Call]:
    """Return ONNX Runtime's int8 product with float32 outputs.

    Args:
        x: uint8 (n, c_in).
        codes: int8 (c_out, c_in).
    """
    try:
        return {"ONNX Runtime int8": onnx_call(_onnx.int_product(codes, len(x)), x)}
    except ImportError:
        return {}


def onnx_call(model: bytes, x: NDArray[Any]) -> Call:
    """Return the call of an ONNX model on a batch: one thread, sequential, everything optimized.

    Raises:
        ImportError: ONNX Runtime is not installed.
    """
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    feed = {session.get_inputs()[0].name: x}
    return lambda: session.run(None, feed)[0]
