"""Linear layers whose format knows what is zero, on float32 inputs."""

from collections.abc import Iterator

import numpy as np

from labkit.bench._case import Case, linear_case, normal, rng, zeros
from labkit.formats.csr import CsrTensor
from labkit.formats.n_m import NMTensor
from labkit.formats.vector_sparse import VectorSparseTensor


def sparse_rows() -> Iterator[Case]:
    """Compressed sparse rows; at half the weights they lose."""
    for share in (0.5, 0.8, 0.9, 0.95):
        weight = normal(1024, 1024) * (rng().random((1024, 1024)) >= share)
        packed = CsrTensor.pack(weight.astype(np.float32) + np.float32(0))
        for batch in (1, 64):
            yield linear_case("csr_linear", packed, batch, zeros(share))


def blocks() -> Iterator[Case]:
    """Blocks of four and eight outputs."""
    for block in (4, 8):
        for share in (0.75, 0.9):
            kept = np.repeat(rng().random((1024 // block, 1024)) >= share, block, axis=0)
            packed = VectorSparseTensor.pack((normal(1024, 1024) * kept).astype(np.float32) + np.float32(0), block=block)
            for batch in (1, 64):
                yield linear_case("vector_linear", packed, batch, zeros(share, f"{share:.0%} in {block}×1"))


def n_of_m() -> Iterator[Case]:
    """N:M along the inputs."""
    for size, n, m in ((1024, 2, 4), (4096, 2, 4), (1024, 1, 4), (1024, 2, 16)):
        groups = normal(size, size).reshape(size, size // m, m)
        np.put_along_axis(groups, np.argsort(np.abs(groups), axis=2)[:, :, : m - n], 0, axis=2)
        packed = NMTensor.pack(groups.reshape(size, size), m=m)
        for batch in (1, 64):
            yield linear_case("n_m_linear", packed, batch, zeros(1 - n / m, f"{n}:{m}"))


CASES = (sparse_rows, blocks, n_of_m)
