"""Layers on int8 weights and uint8 inputs."""

from collections.abc import Iterator
from functools import partial

import numpy as np
import torch
from torch.nn import functional as F

from labkit.bench import _peers
from labkit.bench._case import Case, difference, rng, zeros
from labkit.runtime.integer_layer import linear_sums


def bytes_in_blocks() -> Iterator[Case]:
    """Int8, dense and in blocks of four inputs, against float32, torch's int8 and ONNX Runtime's."""
    x = rng().integers(0, 256, (64, 1024), np.uint8)
    floats = torch.from_numpy(x.astype(np.float32))
    for share in (0.0, 0.75, 0.9):
        kept = np.repeat(rng().random((1024, 256)) >= share, 4, axis=1)
        codes = (rng().integers(-127, 128, (1024, 1024)) * kept).astype(np.int8)
        layer, dense = linear_sums(codes), torch.from_numpy(codes.astype(np.float32))
        error = difference(layer(x), x.astype(np.int64) @ codes.astype(np.int64).T)
        peers = _peers.torch_int8(torch.from_numpy(x), torch.from_numpy(codes)) | _peers.onnx_int8(x, codes)
        calls = partial(layer, x), partial(F.linear, floats, dense)
        format_ = "block_int8" if share else "linear"
        macs = codes.size * 64, int(kept.sum()) * 64
        yield Case("int8_linear", format_, codes.shape, 64, zeros(share), *calls, error, peers, *macs)


CASES = (bytes_in_blocks,)
