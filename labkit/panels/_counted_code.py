"""What lab 01 shows as a short Python program: counted, modelled and measured again by the library."""

from labkit.blueprint import BlueprintConfig
from labkit.measure.energy import EnergyConfig
from labkit.panels._code import script

_USED = {"labkit": {"blueprint"}, "labkit.measure.energy": {"dram_bytes", "roofline"}, "labkit.measure.roof": {"roof"}}
_END = """\
found = blueprint.counted(network, chip.bits)
energy = found.energy(chip)  # modelled, µJ an image
print(f"weights  {found.weight_bytes:,} bytes")
print(f"MACs     {found.cost.effective_macs:,} an image, of {found.cost.macs:,}")
moved = dram_bytes(found.cost, found.weight_bytes, chip)
print(f"moved    {moved:,.0f} bytes an image between chip and DRAM, modelled")
for part, microjoules in energy.items():
    print(f"{part:8} {microjoules:.3g} µJ an image, modelled")
print(f"energy   {sum(energy.values()):.3g} µJ an image, modelled")

ran = blueprint.run(network, chip.batch)  # float32 without zeros, one thread
print(f"latency  {ran.latency.median_ms:.3g} ms for a batch of {ran.latency.batch}")
here = roof()
peak, bandwidth = here.peak_gflops, here.bandwidth_gbps
print(f"roof     {peak:.0f} · 10⁹ operations and {bandwidth:.1f} GB a second")
for layer in found.layers:
    intensity = layer.intensity(chip.batch)  # operations a byte
    reached, most = ran.gflops[layer.name], roofline(intensity, peak, bandwidth)
    print(f"{layer.name:8} {reached:.3g} of {most:.3g} · 10⁹ operations a second")
"""


def program(network: BlueprintConfig, chip: EnergyConfig) -> str:
    """Return a program that prints the figures of the page, with every setting spelled out.

    Args:
        network: its shape.
        chip: the modelled one.
    """
    return script(_USED, {"network": network, "chip": chip}, _END)
