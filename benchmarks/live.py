"""How live a lab is, measured inside a real browser: `python -m benchmarks.live [--json FILE] [--steps N]`.

Serves lab 02 as `labkit lab` does, opens it in Chromium, and takes the times of UX's table with the page's own clock, from
the key event to the frame that shows the change. Where the time of opening goes, and the memory, are by
`benchmarks/opening.py`, which measures them alone. Nothing else should run meanwhile.
"""

import argparse
import json
import statistics
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks import _browser, opening
from labkit.measure.host import host, in_words

SCRIPT = Path(__file__).with_name("_live.js")
SLIDER = ".lk-controls [role=slider]"
PACE_MS = 250  # between the steps of a person: the accuracy of the last one is being measured meanwhile
REST_MS = 2500  # after which the latency, too, has been measured
READOUT = ".lk-controls .widget-readout"
MASK_LABEL = ".lk-raster canvas"
REACH_MS = {
    "slider step, lab at rest → mask repainted": 50.0,
    "slider step, lab at rest → histogram repainted": 50.0,
    "slider step while the last one is being measured → mask": 50.0,
    "slider step while the last one is being measured → histogram": 50.0,
    "slider step → first accuracy estimate": 300.0,
    "slider step → accuracy settled on 10,000 images": 3000.0,
    "drag of 60 steps in a second: last picture after release": 300.0,
}


def main(argv: Sequence[str] | None = None) -> int:
    """Measure, print the table, and write it as JSON if asked."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=60, help="slider steps for the instant views (default 60)")
    parser.add_argument("--opens", type=int, default=20, help="visits with a cached browser, and half as many without (default 20)")
    parser.add_argument("--lab", default="02", help="which lab (default 02)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the result here as well")
    args = parser.parse_args(argv)
    with tempfile.TemporaryDirectory() as folder, _browser.running_browser() as browser:
        command = [sys.executable, "-m", "labkit", "lab", args.lab, "--no-browser", "--port", "{port}"]
        with _browser.running_server(Path(folder), Path(folder) / "log.txt", command=command) as server:
            memory = opening.at_rest(server)
            times = measure(browser, server, args.steps)
            visits = opening.visits_of(browser, server, args.opens, max(1, args.opens // 2)) if args.opens else {}
            memory += opening.with_pages(browser, server)
    rows = [row for cache, found in visits.items() for row in opening.table(cache, found)]
    rows += [_row(name, each) for name, each in times.items()]
    result = {"host": in_words(host()), "browser": "Chromium, same machine", "rows": rows, "memory": memory}
    for row in result["rows"]:
        print("{what:72s} median {median_ms:7.0f} ms   p95 {p95_ms:7.0f} ms   reach {reach}   {verdict}   n={n}".format(**row))
    opening.tell(memory)
    print(result["host"])
    if args.json:
        args.json.write_text(json.dumps(result, indent=2, ensure_ascii=False) + "\n")
    return 0


def measure(browser: Any, server: _browser.Server, steps: int) -> dict[str, list[float]]:
    """Return milliseconds of every sample, by what was measured."""
    times: dict[str, list[float]] = {name: [] for name in REACH_MS}
    mask, histogram, busy_mask, busy_histogram, first, settled, dragged = times
    page = open_page(browser.new_context(viewport={"width": 1280, "height": 900}), server)
    step(page, "ArrowRight", ["settled"])
    for n in range(steps):
        found = step(page, "ArrowRight" if n // 20 % 2 == 0 else "ArrowLeft", ["mask", "histogram"])
        times[busy_mask].append(found["mask"])
        times[busy_histogram].append(found["histogram"])
        page.wait_for_timeout(PACE_MS)
    for n in range(steps // 3):
        page.wait_for_timeout(REST_MS)
        found = step(page, "ArrowRight" if n % 2 == 0 else "ArrowLeft", ["mask", "histogram", "first", "settled"])
        for name, mark in ((mask, "mask"), (histogram, "histogram"), (first, "first"), (settled, "settled")):
            times[name].append(found[mark])
    times[dragged] += [drag(page) for _ in range(5)]
    page.context.close()
    return times


def open_page(context: Any, server: _browser.Server) -> Any:
    """Open the lab in a new page, with the clock of `_live.js`, and wait for its first control."""
    page = context.new_page()
    page.add_init_script(path=str(SCRIPT))
    page.goto(server.url, timeout=_browser.READY_TIMEOUT_MS)
    page.wait_for_selector(SLIDER, timeout=_browser.READY_TIMEOUT_MS)
    page.wait_for_selector(".lk-score", timeout=_browser.READY_TIMEOUT_MS)
    return page


def step(page: Any, key: str, marks: list[str]) -> dict[str, float]:
    """Press a key on the sparsity slider and return the milliseconds to each mark."""
    page.evaluate("([target, marks]) => labkitLive.arm(target, marks)", [SLIDER, marks])
    page.locator(SLIDER).first.press(key)
    found: dict[str, float] = page.evaluate("() => labkitLive.result()")
    return found


def drag(page: Any) -> float:
    """Drag the handle by 60 steps within a second; return the milliseconds from release to the last change of the mask."""
    handle = page.locator(SLIDER).first
    box = handle.bounding_box()
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    direction = 1 if int(page.locator(READOUT).first.inner_text().rstrip("%")) < 60 else -1
    page.evaluate(
        """() => {
          const canvas = document.querySelector(".lk-raster canvas");
          window.labkitLast = 0;
          new MutationObserver(() => { window.labkitLast = performance.now(); }).observe(canvas, { attributes: true });
          addEventListener("pointerup", () => { window.labkitUp = performance.now(); }, { capture: true, once: true });
        }"""
    )
    page.mouse.move(x, y)
    page.mouse.down()
    for n in range(1, 61):
        page.mouse.move(x + direction * n * 1.2, y)
        page.wait_for_timeout(12)
    page.mouse.up()
    page.wait_for_timeout(2500)
    last, up = page.evaluate("() => [window.labkitLast, window.labkitUp]")
    shown, wanted = page.locator(MASK_LABEL).first.get_attribute("aria-label"), page.locator(READOUT).first.inner_text()
    if f"{float(shown.rsplit(';', 1)[1].split('%')[0]):.0f}%" != wanted:
        raise RuntimeError(f"a stale picture: the slider says {wanted}, the mask {shown!r}")
    return max(0.0, float(last - up))


def _row(name: str, times: list[float]) -> dict[str, Any]:
    """Return one line of the table."""
    reach = REACH_MS.get(name)
    p95 = statistics.quantiles(times, n=20, method="inclusive")[-1] if len(times) > 1 else times[0]
    verdict = "" if reach is None else ("reached" if p95 <= reach else "missed")
    row = {"what": name, "median_ms": round(statistics.median(times), 1), "p95_ms": round(p95, 1), "n": len(times)}
    return {**row, "reach": "–" if reach is None else f"{reach:.0f} ms", "verdict": verdict}


if __name__ == "__main__":
    raise SystemExit(main())
