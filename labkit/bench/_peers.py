"""What else can do the job here: name → call. A peer that is not installed is left out."""

import warnings
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

Call = Callable[[], Any]


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
