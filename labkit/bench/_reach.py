"""What the backend set out to reach, beside what was measured, at which rate, and what stops it.

A rate is of what is left: 10⁹ products a second where products are the work, 10⁹ bytes of weights a second where one sample
runs through a large matrix. Beside it stands that of dense torch in the same run, which shows what the machine gives.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from labkit.bench._machine import Machine
from labkit.bench._rows import Row

REACH_HEAD = ("work", "reach", "measured", "", "rate, ours", "rate, dense", "what limits it")
LOADS = "the loads: {bound:.2g}× if each product only read its inputs from the first cache"
SECOND_CACHE = "a broadcast for each product of a block, and inputs that do not fit the first cache"
MEMORY = "reading the weights: {most:.3g}× fewer bytes"
DECODING = "reading the weights, {most:.3g}× fewer bytes, and putting them in their places"
POPCOUNT = "counting bits, more than packing the inputs"
DENSE_PEER = "the processor's byte products"
BLOCKS = "the loads, and the transposition of inputs and sums"
UNEVEN = "the first layers keep most of their weights: {left:.0%} of the products are left, {bound:.2g}× by the loads"
FILTERS = "transforms before and after the products"
ONE_CALL = "products: one call for the whole network leaves little else"


@dataclass(frozen=True)
class Aim:
    """One line of the table.

    Attributes:
        kernel, format, batch, setting: of the row; an empty format is any.
        avx512, avx2: times as fast as dense, to be reached.
        limit: what limits it; "{most}" (times fewer bytes), "{left}" (share of the products) and "{bound}" (times as fast as dense,
            by the products that are left and the machine's rate) are filled in.
    """

    kernel: str
    format: str
    batch: int
    setting: str
    avx512: float
    avx2: float
    limit: str


AIMS = (
    Aim("csr_linear", "csr", 64, "90%", 4.5, 4.0, LOADS),
    Aim("vector_linear", "vector_sparse", 64, "75% in 4×1", 4.0, 2.5, SECOND_CACHE),
    Aim("vector_linear", "vector_sparse", 64, "90% in 4×1", 8.0, 5.0, SECOND_CACHE),
    Aim("lookup_linear", "codebook", 1, "4 bits", 4.5, 3.0, MEMORY),
    Aim("lookup_linear", "codebook", 1, "2 bits", 8.0, 5.0, MEMORY),
    Aim("byte_lookup_linear", "ternary", 1, "ternary", 11.0, 11.0, MEMORY),
    Aim("byte_lookup_linear_groups", "linear", 1, "4 bits in groups of 128", 7.0, 7.0, MEMORY),
    Aim("byte_lookup_linear", "codebook", 1, "4 bits", 7.5, 7.5, MEMORY),
    Aim("xnor_linear", "binary", 64, "1 bit", 15.0, 6.0, POPCOUNT),
    Aim("int8_linear", "linear", 64, "0%", 3.5, 1.8, DENSE_PEER),
    Aim("int8_linear", "block_int8", 64, "75%", 10.0, 5.5, BLOCKS),
    Aim("int8_linear", "block_int8", 64, "90%", 17.0, 12.0, BLOCKS),
    Aim("n_m_linear", "n_m", 1, "2:4", 1.8, 1.8, DECODING),
    Aim("n_m_linear", "n_m", 64, "2:4", 1.6, 1.6, LOADS),
    Aim("csr_conv", "csr", 16, "90%", 4.5, 4.0, LOADS),
    Aim("vgg-small-bn", "", 64, "0%", 1.3, 1.2, FILTERS),
    Aim("vgg-small-bn", "", 64, "80% in each layer", 4.0, 4.0, LOADS),
    Aim("vgg-small-bn", "", 64, "90% in each layer", 7.0, 6.5, LOADS),
    Aim("vgg-small-bn", "", 64, "95% in each layer", 10.0, 9.0, LOADS),
    Aim("vgg-small-bn", "", 64, "80%", 4.0, 4.0, UNEVEN),
    Aim("vgg-small-bn", "", 64, "90%", 7.0, 6.5, UNEVEN),
    Aim("vgg-small-bn", "", 64, "95%", 10.0, 9.0, UNEVEN),
    Aim("vgg-small-bn", "", 1, "0%", 2.5, 2.0, ONE_CALL),
    Aim("vgg-small-bn", "", 1, "90% in each layer", 8.0, 7.0, ONE_CALL),
    Aim("vgg 32-32-64-64-96-96", "", 64, "80% in each layer", 3.7, 3.7, LOADS),
    Aim("vgg 32-32-64-64-96-96", "", 64, "90% in each layer", 6.0, 6.0, LOADS),
    Aim("vgg 32-32-64-64-96-96", "", 64, "95% in each layer", 9.0, 9.0, LOADS),
    Aim("vgg-small-bn int8", "", 64, "8 bits", 2.5, 1.5, DENSE_PEER),
    Aim("lenet-300-100", "", 1, "0%", 2.0, 2.0, ONE_CALL),
    Aim("lenet-300-100", "", 1, "90%", 5.0, 5.0, ONE_CALL),
)


def reach_table(rows: Sequence[Row], here: Machine, is_wide: bool) -> list[tuple[str, ...]]:
    """Return the lines of the table under `REACH_HEAD`, of those aims that were measured.

    Args:
        rows: of a whole run; of several that fit an aim the largest shape counts.
        here: what the machine gave in that run.
        is_wide: whether the processor has AVX-512.
    """
    found = ((aim, [row for row in rows if _fits(row, aim)]) for aim in AIMS)
    return [_line(aim, max(fitting, key=lambda row: math.prod(row.shape)), here, is_wide) for aim, fitting in found if fitting]


def _fits(row: Row, aim: Aim) -> bool:
    return (row.kernel, row.batch, row.setting) == (aim.kernel, aim.batch, aim.setting) and aim.format in ("", row.format)


def _line(aim: Aim, row: Row, here: Machine, is_wide: bool) -> tuple[str, ...]:
    aimed = aim.avx512 if is_wide else aim.avx2
    shape = f"{row.shape[0]}×{row.shape[1]}, " if len(row.shape) == 2 else ""
    work = f"`{row.kernel}` {shape}batch {row.batch}, {row.setting}"
    verdict = "reached" if row.ratio_vs_dense >= aimed else "missed"
    bound = here.first * 1e6 * row.dense_ms / row.effective_macs
    limit = aim.limit.format(most=_dense_bytes(row) / _bytes(row), left=row.effective_macs / row.macs, bound=bound)
    return (work, f"{aimed:g}×", f"{row.ratio_vs_dense:.2f}×", verdict, *_rates(row), limit)


def _rates(row: Row) -> tuple[str, str]:
    """Return the rate of what is left, and of all of it through dense torch."""
    if row.batch == 1 and len(row.shape) == 2:
        return f"{_bytes(row) / row.median_ms / 1e6:.1f} GB/s", f"{_dense_bytes(row) / row.dense_ms / 1e6:.1f} GB/s"
    return f"{row.effective_macs / row.median_ms / 1e6:.0f} · 10⁹/s", f"{row.macs / row.dense_ms / 1e6:.0f} · 10⁹/s"


def _dense_bytes(row: Row) -> float:
    return 4.0 * math.prod(row.shape)


def _bytes(row: Row) -> float:
    """Bytes of a weight: of its bits, or of the values that are left and their places among N:M; scales are left out but for groups."""
    entries = math.prod(row.shape)
    if row.bits is not None:
        return entries * (row.bits / 8 + (4 / 128 if "groups" in row.setting else 0))
    return entries * (1 - (row.sparsity or 0)) * (4 + 2 / 8 if row.format == "n_m" else 4)
