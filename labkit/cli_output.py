"""What the command line prints: measurements, tables, JSON, and texts that a file may have had a hand in."""

import json
import os
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from labkit.core.records import Compressed, Measurement


def report(compressed: "Compressed", found: "Measurement", as_json: bool, **extra: Any) -> None:
    """Print what was measured of a network, for people or as JSON with `extra` in it."""
    if as_json:
        print_json({"network": compressed.network, **extra, **_plain(found), "report": compressed.report})
        return
    a, c = found.accuracy, found.cost
    print(f"network     {compressed.network}")
    for line in compressed.report:
        print(f"            {one_line(line)}")
    print(f"accuracy    {a.share:.2%} of {a.n:,} test images (95 % interval {a.low:.2%} to {a.high:.2%})")
    print(f"bytes       {found.packed_bytes:,}")
    print(f"parameters  {c.parameters:,}, {c.nonzeros:,} of them not zero")
    print(f"MACs        {c.macs:,} an image, {c.effective_macs:,} of them with a weight that is not zero")
    print(f"energy      {sum(found.energy_uj.values()):.1f} µJ an image (modelled)")
    if found.latency is not None:
        t = found.latency
        print(f"latency     {t.median_ms:.2f} ms for {t.batch} images, {t.threads} thread (quartiles {t.low_ms:.2f} to {t.high_ms:.2f})")
    if extra.get("out"):
        print(f"saved       {extra['out']}")


def _plain(found: "Measurement") -> dict[str, Any]:
    """Return what was measured as plain values, without what it was measured from: each image's class, each run's time."""
    seen, time, price = found.accuracy, found.latency, found.cost
    accuracy = ("correct", "n", "share", "low", "high")
    latency = ("median_ms", "low_ms", "high_ms", "runs", "threads", "batch", "notes")
    cost = ("parameters", "nonzeros", "macs", "effective_macs", "activations")
    return {
        "accuracy": {key: getattr(seen, key) for key in accuracy},
        "packed_bytes": found.packed_bytes,
        "cost": {key: getattr(price, key) for key in cost},
        "energy_uj": dict(found.energy_uj),
        "latency": None if time is None else {key: getattr(time, key) for key in latency},
        "host": dict(found.host),
    }


def print_json(value: Any) -> None:
    """Print plain values as strict JSON, in ASCII: whatever the terminal, another program can read it."""
    print(json.dumps(value, indent=2, allow_nan=False))


def table(head: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Print rows under their head, each column as wide as it needs; the last may be long."""
    cells = [[str(cell) for cell in row] for row in (head, *rows)]
    widths = [max(len(row[n]) for row in cells) for n in range(len(head) - 1)]
    for row in cells:
        print("  ".join([*(cell.ljust(width) for cell, width in zip(row, widths, strict=False)), row[-1]]).rstrip())


def drop_output() -> None:
    """Let what is still to be written go nowhere, so that Python does not fail on it once more at its end."""
    if sys.__stdout__ is not None and sys.stdout is sys.__stdout__:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.__stdout__.fileno())


def one_line(text: str) -> str:
    """Return a text that a file or a recipe may have had a hand in, without line breaks or control sequences."""
    return "".join(each if each.isprintable() else " " for each in text)
