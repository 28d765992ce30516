"""Lab 01: which part of the modelled energy dominates, and what turns that round."""

import sys

from labkit.blueprint import ZOO, BlueprintConfig, Counted, counted
from labkit.checks import results
from labkit.measure.energy import EnergyConfig

LAB = "01"
ALONE = EnergyConfig(bits=32, batch=1, buffer=64 << 10)  # float32, one image at a time, weights off the chip
BATCHED, BUFFERED = ALONE.replace(batch=64), ALONE.replace(buffer=4 << 20)
CHIPS = {"one image": ALONE, "64 images": BATCHED, "a buffer that holds all": BUFFERED}


def dram_share(network: Counted, chip: EnergyConfig) -> float:
    """Return DRAM's share of the modelled energy of an image."""
    parts = network.energy(chip)
    return parts["dram"] / sum(parts.values())


def check() -> None:
    """Print the verdicts on lab 01, then count both networks again: all of it is arithmetic, so that every digit is exact."""
    lines = [results.report(LAB), "", "Counted here, float32, nanojoules an image in arithmetic, on-chip memory and DRAM:"]
    for kind in ZOO:
        network = counted(BlueprintConfig(kind=kind))
        lines.append(f"{kind}: {network.cost.macs:,} products, {network.weight_bytes:,} bytes of weights")
        for name, chip in CHIPS.items():
            parts = ", ".join(f"{1000 * value:,.0f}" for value in network.energy(chip).values())
            found = results.HOLDS if dram_share(network, chip) > 0.5 else results.FAILS
            lines.append(results.line(found, f"DRAM takes more than half: {name}, {parts}"))
    sys.stdout.write("\n".join(lines) + "\n")
