"""How live a lab is, measured inside a real browser: `python -m benchmarks.live [--lab 02] [--json FILE] [--steps N]`.

Serves the lab as `labkit lab` does, opens it in Chromium, and takes the times of UX's table with the page's own clock, from
the key event to the frame that shows the change. Where the time of opening goes, and the memory, are by
`benchmarks/opening.py`, which measures them alone. Nothing else should run meanwhile.
"""

import argparse
import json
import statistics
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
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
PLACES = {"a": "slider step, lab at rest → {view} repainted", "b": "slider step while the last one is being measured → {view}"}
FIRST, SETTLED = "slider step → first accuracy estimate", "slider step → accuracy settled on 10,000 images"
DRAG = "drag of 60 steps in a second: last picture after release"
VIEW_MS = 50.0
REACH_MS = {FIRST: 300.0, SETTLED: 3000.0, DRAG: 300.0}


@dataclass(frozen=True)
class Watched:
    """What follows the first slider of a lab.

    Attributes:
        views: name → place among the page's views, of those that are instant.
        has_accuracy: whether the lab's network is tested.
        drawn: JavaScript that gives what the slider's own view was drawn for, as the slider writes it; "" where none says so.
        steps: of the slider to one side, before it turns round.
    """

    views: Mapping[str, int]
    has_accuracy: bool = True
    drawn: str = ""
    steps: int = 20


LABS = {
    "01": Watched({"split of the energy": 0, "bytes moved": 1, "roofline": 2}, has_accuracy=False, steps=3),
    "02": Watched(
        {"mask": 0, "histogram": 1},
        drawn=f"() => `${{Math.round(parseFloat(document.querySelector('{MASK_LABEL}').ariaLabel.split(';').pop()))}}%`",
    ),
    "07": Watched(
        {"bytes by format": 0, "share of zeros in the sweep": 2},
        drawn="() => document.querySelector('.lk-views .lk-summary').textContent.match(/(\\d+%) zeros/)[1]",
    ),
}


def main(argv: Sequence[str] | None = None) -> int:
    """Measure, print the table, and write it as JSON if asked."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=60, help="slider steps for the instant views (default 60)")
    parser.add_argument("--opens", type=int, default=20, help="visits with a cached browser, and half as many without (default 20)")
    parser.add_argument("--lab", default="02", choices=sorted(LABS), help="which lab (default 02)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the result here as well")
    args = parser.parse_args(argv)
    visits: dict[str, list[dict[str, float]]] = {}
    memory: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as folder, _browser.running_browser() as browser:
        command = [sys.executable, "-m", "labkit", "lab", args.lab, "--no-browser", "--port", "{port}"]
        with _browser.running_server(Path(folder), Path(folder) / "log.txt", command=command) as server:
            opens = args.opens if args.lab == "02" else 0  # opening and memory are measured on that lab
            memory += opening.at_rest(server) if opens else []
            times = measure(browser, server, args.steps, LABS[args.lab])
            visits |= opening.visits_of(browser, server, opens, max(1, opens // 2)) if opens else {}
            memory += opening.with_pages(browser, server) if opens else []
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


def measure(browser: Any, server: _browser.Server, steps: int, lab: Watched) -> dict[str, list[float]]:
    """Return milliseconds of every sample, by what was measured."""
    times: dict[str, list[float]] = {}
    marks = {f"view {place}": name for name, place in lab.views.items()}
    page = open_page(browser.new_context(viewport={"width": 1280, "height": 900}), server)
    if lab.has_accuracy:
        step(page, "ArrowRight", ["settled"])

    def take(n: int, turn: int, place: str, more: Mapping[str, str]) -> None:
        found = step(page, "ArrowRight" if n // turn % 2 == 0 else "ArrowLeft", [*marks, *more])
        for mark, name in ({mark: PLACES[place].format(view=view) for mark, view in marks.items()} | dict(more)).items():
            times.setdefault(name, []).append(found[mark])

    for n in range(steps):
        take(n, lab.steps, "b", {})
        page.wait_for_timeout(PACE_MS)
    for n in range(steps // 3):
        page.wait_for_timeout(REST_MS)
        take(n, 1, "a", {"first": FIRST, "settled": SETTLED} if lab.has_accuracy else {})
    if lab.drawn:
        times[DRAG] = [drag(page, lab) for _ in range(5)]
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


def drag(page: Any, lab: Watched = LABS["02"]) -> float:
    """Drag the handle by 60 steps within a second; return the milliseconds from release to the last paint of the first view."""
    handle = page.locator(SLIDER).first
    box = handle.bounding_box()
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    direction = 1 if int(page.locator(READOUT).first.inner_text().rstrip("%")) < 60 else -1
    page.evaluate(
        """() => {
          window.labkitLast = 0;
          const view = document.querySelector(".lk-view");
          new MutationObserver(() => { window.labkitLast = performance.now(); }).observe(view, { attributes: true, childList: true, characterData: true, subtree: true });
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
    last, up = page.evaluate("() => [Math.max(window.labkitLast, labkitLive.painted(0)), window.labkitUp]")
    shown, wanted = page.evaluate(lab.drawn), page.locator(READOUT).first.inner_text()
    if shown != wanted:
        raise RuntimeError(f"a stale picture: the slider says {wanted}, the view {shown}")
    return max(0.0, float(last - up))


def _row(name: str, times: list[float]) -> dict[str, Any]:
    """Return one line of the table."""
    reach = REACH_MS.get(name, VIEW_MS)
    p95 = statistics.quantiles(times, n=20, method="inclusive")[-1] if len(times) > 1 else times[0]
    verdict = "reached" if p95 <= reach else "missed"
    row = {"what": name, "median_ms": round(statistics.median(times), 1), "p95_ms": round(p95, 1), "n": len(times)}
    return {**row, "reach": f"{reach:.0f} ms", "verdict": verdict}


if __name__ == "__main__":
    raise SystemExit(main())
