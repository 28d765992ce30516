"""Lab 07: what each format takes on disk, and how many cycles an array needs, to the last byte and cycle."""

import sys

import torch

from labkit.checks import results
from labkit.core.seeds import generator
from labkit.crossover import PATTERNS, pruned
from labkit.dataflow import Product, array_cycles, csr_products, example, n_m_products
from labkit.execution import stored_bytes

LAB = "07"
SIZE = 1024
SHARES = (0.25, 0.5, 0.75, 0.875)
TWO_OF_FOUR = 0.5


def packed_sizes() -> dict[float, dict[str, int]]:
    """Return, by share of zeros, the bytes of a linear layer in the format of each kind, and dense."""
    weight = torch.randn(SIZE, SIZE, generator=generator(0, "check")).numpy()
    out: dict[float, dict[str, int]] = {}
    for share in SHARES:
        sizes = {kind: stored_bytes(pruned(weight, kind, share) != 0)[kind] for kind in ("csr", "vector_sparse", "n_m")}
        out[share] = {"dense": weight.nbytes, **sizes}
    return out


def check() -> None:
    """Print the verdicts on lab 07, then pack a layer again and run the array: all of it is counting, so that every digit is exact."""
    lines = [results.report(LAB), "", f"Packed here, linear {SIZE} × {SIZE}, float32, bytes of dense, single weights, blocks, N:M:"]
    sizes = packed_sizes()
    for share, found in sizes.items():
        n, m = PATTERNS[share]
        lines.append(f"{share:.1%} zeros ({n}:{m}): {', '.join(f'{size:,}' for size in found.values())}")
    half = sizes[TWO_OF_FOUR]
    lines.append(results.line(_verdict(32 * half["n_m"] == 17 * half["dense"]), "2:4 of float32 takes 17/32 of the bytes of dense"))
    lines.append(
        results.line(_verdict(sizes[0.25]["csr"] < half["dense"]), "single weights take fewer bytes than dense at a quarter of zeros")
    )
    matrix, x = example("eie")
    cycles = [len(array_cycles(matrix, x, depth=depth)) for depth in (1, 2, 3, 4)]
    lines.append(f"Cycles of the array with queues of 1 to 4: {', '.join(map(str, cycles))}")
    sums = [{each.row: each.total for each in products} for products in (csr_products(matrix, x), _worked(depth=2))]
    lines.append(results.line(_verdict(sums[0] == sums[1]), "the array comes to the sums of compressed rows"))
    few, given = example("n_m")
    slots = len(n_m_products(few, given))
    lines.append(results.line(_verdict(2 * slots == few.size), f"two of four has a slot for half of the weights: {slots} of {few.size}"))
    sys.stdout.write("\n".join(lines) + "\n")


def _worked(depth: int) -> list[Product]:
    matrix, x = example("eie")
    return [product for cycle in array_cycles(matrix, x, depth=depth) for product in cycle.products if product is not None]


def _verdict(is_so: bool) -> str:
    return results.HOLDS if is_so else results.FAILS
