"""How fast a lab opens and what it takes in memory: `python -m benchmarks.opening [--cached N] [--empty N] [--json FILE]`.

Serves the labs as `labkit lab` does, waits until a kernel is warm, and opens lab 02 in Chromium: again and again in one
profile on disk, with its cache as the last visit left it, then each time with an empty one. The times are the page's own,
from the start of the navigation: to the first slider that is *seen*, and to the first that *answers*, when a key press has
changed the mask. The steps on the way show where the time goes. Memory is that of the server, of the zygote, and of what
each open lab holds by itself.
"""

import argparse
import json
import re
import statistics
import sys
import tempfile
import urllib.request
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks import _browser
from labkit.measure.host import host, in_words

SCRIPT = Path(__file__).with_name("_opening.js")
REACH_MS = {"cached": 2500.0, "empty": 4000.0}
CACHES = {"cached": "page open, cached browser", "empty": "page open, empty cache"}
STEPS = {
    "first": "first byte of the page",
    "words": "title and introduction painted",
    "kernel": "kernel started",
    "cells": "panel built by the kernel",
    "front": "front end up",
    "seen": "first slider seen",
    "answers": "first slider answers: the mask follows a key",
}
FILLING = 3  # visits until a browser has kept all that it keeps
PAGES = 3  # open at once when memory is counted


def main(argv: Sequence[str] | None = None) -> int:
    """Measure, print both tables, and write them as JSON if asked."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cached", type=int, default=20, help="visits with a cached browser (default 20)")
    parser.add_argument("--empty", type=int, default=10, help="visits with an empty cache (default 10)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the result here as well")
    args = parser.parse_args(argv)
    with tempfile.TemporaryDirectory() as folder, _browser.running_browser() as browser:
        command = [sys.executable, "-m", "labkit", "lab", "02", "--no-browser", "--port", "{port}"]
        with _browser.running_server(Path(folder), Path(folder) / "log.txt", command=command) as server:
            memory = at_rest(server)
            visits = visits_of(browser, server, args.cached, args.empty)
            memory += with_pages(browser, server)
    rows = [row for cache, found in visits.items() for row in table(cache, found)]
    for row in rows:
        print("{what:72s} median {median_ms:6.0f} ms   p95 {p95_ms:6.0f} ms   reach {reach}   {verdict}   n={n}".format(**row))
    for cache, found in visits.items():
        sent = statistics.median(each["bytes"] for each in found) / 1e6
        print(f"{cache}: {statistics.median(each['requests'] for each in found):.0f} files, {sent:.2f} MB over the line")
    tell(memory)
    print(in_words(host()))
    if args.json:
        args.json.write_text(json.dumps({"host": in_words(host()), "rows": rows, "memory": memory}, indent=2, ensure_ascii=False) + "\n")
    return 0


def visits_of(browser: Any, server: _browser.Server, times_cached: int, times_empty: int) -> dict[str, list[dict[str, float]]]:
    """Return the times of every visit, by what the browser had in its cache."""
    return {"cached": cached(browser, server, times_cached), "empty": [empty(browser, server) for _ in range(times_empty)]}


def cached(browser: Any, server: _browser.Server, times: int) -> list[dict[str, float]]:
    """Open the lab again and again in one profile on disk, as a person's is: a browser keeps what it compiled only there.

    The first visits, which fill the caches, are not counted: code is kept from the second on.
    """
    with tempfile.TemporaryDirectory() as profile:
        context = _browser.with_profile(browser, Path(profile))
        found = [visit(context, server) for _ in range(times + FILLING)]
        context.close()
    return found[FILLING:]


def empty(browser: Any, server: _browser.Server) -> dict[str, float]:
    """Open the lab in a profile of its own, which has nothing in its cache."""
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    try:
        return visit(context, server)
    finally:
        context.close()


def visit(context: Any, server: _browser.Server) -> dict[str, float]:
    """Open the lab, take the times when its first slider has answered, and leave as a person does, so that the kernel ends."""
    page = _open(context, server)
    found: dict[str, float] = page.evaluate("() => labkitOpening.result()")
    page.close(run_before_unload=True)
    return found


def _open(context: Any, server: _browser.Server) -> Any:
    page = context.new_page()
    page.set_default_timeout(_browser.READY_TIMEOUT_MS)
    page.add_init_script(path=str(SCRIPT))
    page.goto(f"{server.url}labs/02_pruning_granularity", timeout=_browser.READY_TIMEOUT_MS)
    return page


def table(cache: str, visits: list[dict[str, float]]) -> list[dict[str, Any]]:
    """Return a line for each step of the way; the last two are held against the reach."""
    rows = []
    for step, words in STEPS.items():
        times = [each[step] for each in visits if step in each]
        if not times:
            continue
        p95 = statistics.quantiles(times, n=20, method="inclusive")[-1] if len(times) > 1 else times[0]
        row = {
            "what": f"{CACHES[cache]} → {words}",
            "median_ms": round(statistics.median(times), 1),
            "p95_ms": round(p95, 1),
            "n": len(times),
        }
        if step in ("seen", "answers"):
            rows.append({**row, "reach": f"{REACH_MS[cache]:.0f} ms", "verdict": "reached" if p95 <= REACH_MS[cache] else "missed"})
        else:
            rows.append({**row, "reach": "–", "verdict": ""})
    return rows


def at_rest(server: _browser.Server) -> list[dict[str, Any]]:
    """Return the memory of the server once it is warm, with the kernel of one visit that nobody uses."""
    urllib.request.urlopen(f"{server.url}labs/02", timeout=300).read()  # until this the server is not warm
    return [{**row, "when": "at rest, one kernel idle"} for row in memory_mb(server)]


def with_pages(browser: Any, server: _browser.Server) -> list[dict[str, Any]]:
    """Return the memory of everything while some pages are open and each has measured what it shows."""
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    for _ in range(PAGES):
        page = _open(context, server)
        page.evaluate("() => labkitOpening.result()")
        page.wait_for_timeout(15000)  # accuracy on 10,000 images, then latency; at rest, what was freed is given back
    rows = [{**row, "when": f"{PAGES} labs open and used"} for row in memory_mb(server)]
    context.close()
    return rows


def tell(memory: list[dict[str, Any]]) -> None:
    """Print what `at_rest` and `with_pages` found."""
    for row in memory:
        print("{when:24s} {process:12s} shared out {pss_mb:6.0f} MB   its own {own_mb:6.0f} MB".format(**row))


def memory_mb(server: _browser.Server) -> list[dict[str, Any]]:
    """Return what each process of the server holds, and the sum; empty where there is no /proc.

    `pss_mb` counts a page that n processes share as an nth in each, so that it adds up; `own_mb` is what would come free.
    """
    rows = []
    for pid in (server.process.pid, *_below(server.process.pid)):
        found = dict(re.findall(r"^(\w+):\s+(\d+) kB", Path(f"/proc/{pid}/smaps_rollup").read_text(), re.MULTILINE))
        name = Path(f"/proc/{pid}/comm").read_text().strip()
        kind = "server" if pid == server.process.pid else "kernel" if name.startswith("labkit ") else "zygote"
        mapped = _mapped_pss_kb(pid) if int(found["Pss"]) == 0 else int(found["Pss"])
        own = int(found["Private_Clean"]) + int(found["Private_Dirty"])
        rows.append({"process": kind, "pss_mb": round(mapped * 1024 / 1e6), "own_mb": round(own * 1024 / 1e6)})
    total = {"process": "total", "pss_mb": sum(row["pss_mb"] for row in rows), "own_mb": sum(row["own_mb"] for row in rows)}
    return [*rows, total] if rows else []


def _mapped_pss_kb(pid: int) -> int:
    """Sum of the mappings, for systems whose roll-up leaves the figure out."""
    return sum(int(each) for each in re.findall(r"^Pss:\s+(\d+) kB", Path(f"/proc/{pid}/smaps").read_text(), re.MULTILINE))


def _below(pid: int) -> list[int]:
    """Process ids of the children of `pid`, of theirs, and so on."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            parent = int(stat.read_text().rpartition(")")[2].split()[1])
        except OSError:
            continue  # it has ended meanwhile
        if parent == pid:
            child = int(stat.parent.name)
            found += [child, *_below(child)]
    return found


if __name__ == "__main__":
    raise SystemExit(main())
