"""Modelled energy of one inference, split into computing, on-chip memory and DRAM. It is a model and must be labelled so.

    compute  MACs · (multiplication + addition)
    on_chip  2 · MACs · 5 pJ · bits/32             each product reads two operands from an 8 kB SRAM
    dram     640 pJ · bytes/4                      a 32-bit access

Weights cross to the chip once a batch if they exceed the buffer, else never; an activation tensor of one image that exceeds
it is written and read once. Integers of 8 bits are accumulated in 32: 0.2 + 0.1 pJ a MAC.

Source  Horowitz 2014, ISSCC, 45 nm; the 32-bit figures as in Han et al. 2015, arXiv:1506.02626.
"""

import math
from dataclasses import dataclass

from labkit.core.errors import ConfigError
from labkit.core.params import Config, param
from labkit.core.records import Cost

ADD_PJ = {"int8": 0.03, "int32": 0.1, "fp16": 0.4, "fp32": 0.9}
MULTIPLY_PJ = {"int8": 0.2, "int32": 3.1, "fp16": 1.1, "fp32": 3.7}
SRAM_PJ, SRAM_1MB_PJ, DRAM_PJ = 5.0, 50.0, 640.0  # reading 32 bits: from 8 kB, from 1 MB, from DRAM
MAC_PJ = {
    32: MULTIPLY_PJ["fp32"] + ADD_PJ["fp32"],
    16: MULTIPLY_PJ["fp16"] + ADD_PJ["fp16"],
    8: MULTIPLY_PJ["int8"] + ADD_PJ["int32"],
}


@dataclass(frozen=True, kw_only=True)
class EnergyConfig(Config):
    """The modelled chip and how it is used."""

    bits: int = param(32, choices=(32, 16, 8), unit="bits", help="width of a number: float32, float16 or int8")
    batch: int = param(1, low=1, high=256, help="images that share one reading of the weights")
    buffer: int = param(65_536, low=0, high=4 << 20, unit="bytes", help="on-chip memory; what fits in it stays out of DRAM")


def energy(cost: Cost, weight_bytes: float, config: EnergyConfig, *, skips_zeros: bool = False) -> dict[str, float]:
    """Return the modelled energy of one inference by part.

    Args:
        cost: of the network.
        weight_bytes: its packed weights, bytes.
        config: the modelled chip.
        skips_zeros: whether the format that runs it skips weights that are zero; if not, they cost as much as others.

    Returns:
        Microjoules: "compute", "on_chip", "dram". The total is their sum.
    """
    macs = cost.effective_macs if skips_zeros else cost.macs
    picojoules = {
        "compute": macs * MAC_PJ[config.bits],
        "on_chip": 2 * macs * SRAM_PJ * config.bits / 32,
        "dram": DRAM_PJ * dram_bytes(cost, weight_bytes, config) / 4,
    }
    return {part: value * 1e-6 for part, value in picojoules.items()}


def dram_bytes(cost: Cost, weight_bytes: float, config: EnergyConfig) -> float:
    """Return the bytes that one inference moves between chip and DRAM; see the module's header for what counts."""
    if weight_bytes < 0 or not math.isfinite(weight_bytes):
        raise ConfigError(f"dram_bytes: weight_bytes must be a number of bytes, at least 0, got {weight_bytes!r}")
    weights = weight_bytes / config.batch if weight_bytes > config.buffer else 0.0
    sizes = (entries * config.bits / 8 for entries in cost.activations)
    return weights + sum(2 * size for size in sizes if size > config.buffer)


def intensity(macs: float, moved_bytes: float) -> float:
    """Return the operations for each byte moved, 2·MACs/bytes; infinite where nothing moves."""
    return 2 * macs / moved_bytes if moved_bytes else math.inf


def roofline(operations_per_byte: float, peak_gflops: float, bandwidth_gbps: float) -> float:
    """Return the GFLOP/s that a machine can reach at most: the lower of its peak and intensity × bandwidth.

    Args:
        operations_per_byte: of the work, see `intensity`.
        peak_gflops: most that the machine computes, measured, 10⁹ operations a second.
        bandwidth_gbps: most that it moves, measured, 10⁹ bytes a second.
    """
    if not (peak_gflops > 0 and bandwidth_gbps > 0):
        raise ConfigError(f"roofline: peak and bandwidth must be above 0, got {peak_gflops!r} and {bandwidth_gbps!r}")
    return min(peak_gflops, operations_per_byte * bandwidth_gbps)
