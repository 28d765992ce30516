"""What lab 01 says of a network that was counted: the cells of its strip and the sentences under its views."""

from collections.abc import Mapping

from labkit.blueprint import BlueprintConfig, Counted, CountedLayer, Ran, trained_accuracy
from labkit.measure.energy import EnergyConfig, dram_bytes
from labkit.measure.roof import Roof
from labkit.panels._energy_figures import PARTS
from labkit.panels._strip import Cell, images, kilobytes


def cells(network: BlueprintConfig, chip: EnergyConfig, found: Counted, first: Counted, ran: Ran | None) -> tuple[Cell, ...]:
    """Return the strip.

    Args:
        network: its shape.
        chip: the modelled one.
        found: the network on show.
        first: the one that the lab began with.
        ran: what was measured of its program, None until it is.
    """
    parts, cost = found.energy(chip), found.cost
    total, largest = sum(parts.values()), max(parts, key=lambda part: parts[part])
    used = "every weight is used" if cost.effective_macs == cost.macs else f"weight not zero, of {in_millions(cost.macs)}"
    return (
        _accuracy(network, chip),
        Cell("weights, counted", kilobytes(found.weight_bytes), f"{kilobytes(first.weight_bytes)} at first"),
        Cell("MACs per image", in_millions(cost.effective_macs), used),
        _latency(ran, chip.batch),
        Cell("energy per image", f"{total:.3g} µJ", f"modelled · {parts[largest] / total:.0%} {PARTS[largest]}"),
    )


def _accuracy(network: BlueprintConfig, chip: EnergyConfig) -> Cell:
    accuracy = trained_accuracy(network)
    if accuracy is None or chip.bits != 32:
        return Cell("accuracy", "not known", "only counted: nobody has trained this one")
    return Cell("accuracy", f"{accuracy:.1%}", f"of the trained {network.trained}, which has this shape")


def _latency(ran: Ran | None, batch: int) -> Cell:
    if ran is None:
        return Cell("latency here", "…", "measured when the controls rest", is_settled=False)
    found = ran.latency
    title = f"median of {found.runs} runs, quartiles {found.low_ms:.3g} to {found.high_ms:.3g} ms, {found.threads} thread, random weights"
    return Cell("latency here", f"{found.median_ms:.3g} ms", f"float32 without zeros · {images(batch)}", title=title)


def energy_in_words(now: dict[str, float], before: float) -> str:
    """Say where the energy goes, and what it was at first."""
    total = sum(now.values())
    words = ", ".join(f"{name} {now[part]:.3g} µJ" for part, name in PARTS.items())
    return f"Modelled, an image: {words}. DRAM takes {now['dram'] / total:.0%} of {total:.3g} µJ; this lab began with {before:.3g} µJ."


def moved_in_words(found: Counted, chip: EnergyConfig) -> str:
    """Say how much crosses to the chip, and why."""
    total = dram_bytes(found.cost, found.weight_bytes, chip)
    size, buffer = kilobytes(found.weight_bytes), kibibytes(chip.buffer)
    if found.weight_bytes <= chip.buffer:
        why = f"All weights, {size}, stay in the buffer of {buffer}."
    else:
        why = f"The weights, {size}, exceed the buffer of {buffer} and are fetched {'anew for each image' if chip.batch == 1 else f'once for {chip.batch} images'}."
    return f"{total / 1e3:,.1f} kB an image. {why} Click a bar to look at its layer."


def roofline_in_words(here: Roof | None, layer: CountedLayer, batch: int, ran: Ran | None) -> str:
    """Say what bounds this machine, and where a layer is."""
    if here is None:
        return "How fast this machine multiplies and reads memory is being measured; it takes about a second."
    reached = "is being measured" if ran is None else f"reached {ran.gflops[layer.name]:.3g} · 10⁹ a second"
    notes = " ".join(f" {note[:1].upper()}{note[1:]}." for note in here.notes)
    return (
        f"Measured, one thread: {here.peak_gflops:.0f} · 10⁹ operations and {here.bandwidth_gbps:.1f} GB a second, so that memory is the "
        f"limit below {here.ridge:.1f} operations a byte. {layer.name}, {layer.intensity(batch):.2g} operations a byte, {reached}: float32 "
        f"without zeros, whatever is modelled. What lies above the sloping line had its weights in a cache; the flat one is the best of three probes, which a layer may exceed a little.{notes}"
    )


def phrases(network: BlueprintConfig, chip: EnergyConfig) -> dict[str, str]:
    """Return every setting in words, by its name."""
    return {
        "kind": network.kind,
        "width": f"width {network.width:g}",
        "depth": f"depth {network.depth}",
        "zeros": f"{network.sparsity:.0%} zeros",
        "bits": f"{chip.bits} bits",
        "batch": images(chip.batch),
        "on-chip buffer": f"{kibibytes(chip.buffer)} on chip",
    }


def setting_in_words(network: BlueprintConfig, chip: EnergyConfig) -> str:
    """Return what was chosen, in words."""
    return ", ".join(phrase for name, phrase in phrases(network, chip).items() if name != "zeros" or network.sparsity)


def difference_in_words(said: Mapping[str, str], first: Mapping[str, str]) -> str:
    """Return the phrases that are not those of the first settings."""
    return ", ".join(phrase for name, phrase in said.items() if phrase != first[name]) or "as the lab opens"


def kibibytes(size: int) -> str:
    """Return a buffer's size as the controls write it."""
    return f"{size / 1024:g} KiB"


def in_millions(count: int) -> str:
    """Return a count of products in millions; the smallest networks here have a few thousand."""
    return f"{count / 1e6:.3g} M"
