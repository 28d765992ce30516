"""Rewrite what the papers repeat from the code: `make docs`.

Between `<!-- NAME -->` and `<!-- /NAME -->` the text is made here: in README.md the tables of labs and methods and the
help of the command line, in each method's card the table of its settings and what was measured. A test runs the same
functions and fails where a file is not up to date.
"""

import importlib.util
import json
import os
import re
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from labkit import bench
from labkit.core.params import Spec
from labkit.core.registry import Method, find, methods
from labkit.labs import catalogue

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "benchmarks" / "results"
LIVE = RESULTS / "live.json"
BENCH = RESULTS / "bench.json"
VERDICTS = ("holds", "fails", "open")
TOPICS = {
    "bench": "The bench",
    "pruning": "Pruning",
    "quantization": "Quantization and distillation",
    "runtime": "Sparse execution",
    "search": "Architecture search",
}


def generated() -> dict[Path, str]:
    """Return the new text of every file that has generated parts.

    Raises:
        ValueError: a marker is missing, or a file of results is not as `read_results` wants it.
    """
    readme = ROOT / "README.md"
    parts = {"labs": labs_table(), "methods": methods_table(methods()), "help": help_block()}
    parts |= {"live": live_table(LIVE), "bench": bench_table(BENCH)}
    out = {readme: with_parts(readme, parts)}
    results = read_results(RESULTS)
    for method in methods():
        card = card_of(method)
        out[card] = with_parts(card, {"parameters": settings_table(method), "measured": measured(method.name, results)})
    return out


def with_parts(path: Path, parts: Mapping[str, str]) -> str:
    """Return a file's text with the text between each pair of markers replaced.

    Raises:
        ValueError: a pair of markers is missing or there twice.
    """
    text = path.read_text(encoding="utf-8")
    for name, part in parts.items():
        pattern = rf"<!-- {name} -->.*?<!-- /{name} -->"
        count = len(re.findall(pattern, text, re.DOTALL))
        if count != 1:
            raise ValueError(
                f"{path.relative_to(ROOT)} must hold the markers <!-- {name} --> … <!-- /{name} --> once, it has them {count} times"
            )
        block = f"<!-- {name} -->\n\n{part.strip()}\n\n<!-- /{name} -->"
        text = re.sub(pattern, lambda _, block=block: block, text, flags=re.DOTALL)
    return text


def table(heads: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    """Return a markdown table."""
    lines = ["| " + " | ".join(heads) + " |", "|" + "---|" * len(heads)]
    lines += ["| " + " | ".join(cell.replace("|", "\\|").replace("\n", " ") for cell in row) + " |" for row in rows]
    return "\n".join(lines)


# --- README ---


def labs_table() -> str:
    """Return the table of the labs that are there, with the methods that name them."""
    rows = []
    for lab in catalogue(ROOT / "labs"):
        shown = [f"`{method.name}`" for method in methods() if lab.name in method.labs]
        link = f"[{lab.title}](labs/{lab.name}.ipynb)"
        rows.append((lab.name[:2], link, lab.question, f"{lab.minutes} min", ", ".join(shown) or "–"))
    return table(("", "lab", "question", "takes", "methods"), rows)


def methods_table(catalogue: list[Method]) -> str:
    """Return one table of methods for each topic, in the order of the course."""
    pieces = []
    for topic, title in TOPICS.items():
        rows = [
            (
                f"[`{m.name}`]({card_of(m).relative_to(ROOT).as_posix()})",
                m.family,
                one_line(card_of(m)),
                ", ".join(lab[:2] for lab in m.labs),
            )
            for m in catalogue
            if m.topic == topic
        ]
        if rows:
            pieces.append(f"**{title}**\n\n" + table(("method", "family", "in one line", "labs"), rows))
    unknown = {m.topic for m in catalogue} - TOPICS.keys()
    if unknown:
        raise ValueError(f"docs/generate.py has no title for the topic {', '.join(sorted(unknown))}: add it to TOPICS")
    return "\n\n".join(pieces) or "No method is there yet."


def help_block() -> str:
    """Return what `labkit --help` prints, at a fixed width."""
    if importlib.util.find_spec("labkit.cli") is None:
        return "The command line is not there yet."
    from labkit import cli

    os.environ["COLUMNS"] = "100"
    os.environ["NO_COLOR"] = "1"
    return f"```text\n{cli.parser().format_help().strip()}\n```"


# --- cards ---


def card_of(method: Method) -> Path:
    """Return where a method's card lies."""
    return ROOT / "labkit" / Path(*method.family.split(".")) / f"{method.name}.md"


def one_line(card: Path) -> str:
    """Return what stands under "In one line", on one line."""
    found = re.search(r"^## In one line\s+(.+?)\s*(?=^## |\Z)", card.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    if not found:
        raise ValueError(f"{card.relative_to(ROOT)} must say under '## In one line' what the method does")
    return " ".join(found[1].split())


def settings_table(method: Method) -> str:
    """Return the table of a method's settings, from their declarations."""
    specs = method.config.specs()
    if not specs:
        return "This method has no settings."
    rows = [(f"`{spec.name}`", default_of(spec), permitted(spec), spec.unit or "–", spec.help) for spec in specs]
    return table(("setting", "default", "permitted", "unit", "what it does"), rows)


def default_of(spec: Spec) -> str:
    """Return a setting's default as it is written in a recipe."""
    if isinstance(spec.default, bool):
        return "true" if spec.default else "false"
    return f"`{spec.default}`" if isinstance(spec.default, str) else f"{spec.default:g}"


def permitted(spec: Spec) -> str:
    """Return what a setting may be, in words."""
    if spec.family:
        names = ", ".join(f"`{method.name}`" for method in methods(spec.family))
        return f"a method of {spec.family}: {names}"
    if spec.kind is bool:
        return "true, false"
    if spec.choices:
        return ", ".join(f"`{choice}`" for choice in spec.choices)
    if spec.kind is str:
        return "text"
    kind = "whole number" if spec.kind is int else "number"
    ends = {
        (True, True): f", {_g(spec.low)} to {_g(spec.high)}",
        (True, False): f", {_g(spec.low)} or more",
        (False, True): f", {_g(spec.high)} or less",
    }
    return kind + ends.get((spec.low is not None, spec.high is not None), "")


def _g(value: float | None) -> str:
    return "" if value is None else f"{value:g}"


# --- what was measured ---


def live_table(path: Path) -> str:
    """Return how live a lab is, as `benchmarks/live.py` wrote it."""
    if not path.exists():
        return "Not measured yet: `python -m benchmarks.live --json benchmarks/results/live.json` will."
    content = json.loads(path.read_text(encoding="utf-8"))
    rows = [
        (row["what"], f"{row['median_ms']:,.0f} ms", f"{row['p95_ms']:,.0f} ms", row["reach"], row["verdict"]) for row in content["rows"]
    ]
    said = f"Lab 02 on vgg-small-bn, measured inside the page by `python -m benchmarks.live`, {content['browser']}, on {content['host']}."
    return table(("what", "median", "95th percentile", "reach", ""), rows) + f"\n\n{said}" + memory_table(content.get("memory", []))


def memory_table(found: list[dict[str, Any]]) -> str:
    """Return what the server and its kernels hold, with a blank line before it; nothing where that was not measured."""
    if not found:
        return ""
    rows = [(row["when"], row["process"], f"{row['pss_mb']:,} MB", f"{row['own_mb']:,} MB") for row in found]
    head = ("memory", "process", "shared pages divided among their users", "its own")
    return f"\n\n{table(head, rows)}"


def bench_table(path: Path) -> str:
    """Return every row of what `labkit bench --json` printed, folded away under how many of them win and lose."""
    if not path.exists():
        return "Not measured yet: `labkit bench --json` will."  # its output is that file
    content = json.loads(path.read_text(encoding="utf-8"))
    rows = [bench.from_plain(row) for row in content["rows"]]
    faster = sum(row.spread[0] > 1 for row in rows)
    slower = sum(row.spread[1] < 1 for row in rows)
    said = (
        f"{len(rows)} cases: {faster} are faster than dense float32 torch, {slower} slower, "
        f"{len(rows) - faster - slower} equal to within the spread. One thread, on {host_in_words(content['host'])}."
    )
    here = bench.Machine(**content["machine"])
    aimed = table(bench.REACH_HEAD, bench.reach_table(rows, here, is_wide="avx512f" in str(content["host"])))
    shown = table(bench.HEAD, map(bench.in_words, rows))
    return f"{said} {here.in_words()}\n\n{aimed}\n\n<details>\n<summary>All of them</summary>\n\n{shown}\n\n</details>"


def read_results(folder: Path) -> list[dict[str, Any]]:
    """Read the committed results: `{version: 1, lab, host, claims: [{claim, methods, verdict, seeds, figures}]}`.

    A figure is `{name, value, low, high, unit}`, low and high being its interval. A claim may also say what the intervals are
    `over` where that is not the seeds ("10,000 test images"), and in a `note` why it was left open.

    Raises:
        ValueError: a file has another form, a verdict that is none of the three, or names a method that is not there.
    """
    out = []
    for path in sorted(folder.glob("[0-9][0-9].json")):
        content = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(content, dict) or content.get("version") != 1 or not {"lab", "host", "claims"} <= content.keys():
            raise ValueError(f"{path.name} must hold version 1, lab, host and claims")
        for claim in content["claims"]:
            missing = {"claim", "methods", "verdict", "seeds", "figures"} - claim.keys()
            if missing or claim["verdict"] not in VERDICTS:
                raise ValueError(
                    f"{path.name}: a claim must have claim, methods, seeds, figures and a verdict of {', '.join(VERDICTS)}; got {claim}"
                )
            for name in claim["methods"]:
                find(name)
        out.append(content)
    return out


def measured(name: str, results: list[dict[str, Any]]) -> str:
    """Return what was measured of a method: each claim with its verdict, figures, seeds and host."""
    pieces = []
    for content in results:
        claims = [claim for claim in content["claims"] if name in claim["methods"]]
        lines = [
            f"- **{claim['verdict']}**: {claim['claim']} ({over(claim)}). {figures(claim['figures'])}{claim.get('note', '')}".rstrip()
            for claim in claims
        ]
        if lines:
            pieces.append("\n".join(lines) + f"\n\nLab {content['lab'][:2]}, measured on {host_in_words(content['host'])}.")
    return "\n\n".join(pieces) or "Not measured yet: `make claims` will."


def over(claim: dict[str, Any]) -> str:
    """Return what a claim's intervals are over, in words: its seeds, unless it says something else."""
    return str(claim.get("over") or f"{claim['seeds']} seed{'' if claim['seeds'] == 1 else 's'}")


def figures(rows: list[dict[str, Any]]) -> str:
    """Return figures with their intervals, separated by semicolons."""
    shown = []
    for row in rows:
        unit = f" {row['unit']}" if row.get("unit") else ""
        interval = f" [{row['low']:.4g}, {row['high']:.4g}]" if row.get("low") is not None else ""
        shown.append(f"{row['name']} {row['value']:.4g}{interval}{unit}")
    return "; ".join(shown) + ("." if shown else "")


def host_in_words(host: Any) -> str:
    """Return the facts about a machine as one line."""
    if isinstance(host, str):
        return host
    from labkit.measure import host as facts

    return facts.in_words(host)


def main() -> int:
    """Rewrite every file whose generated parts are out of date, and say which."""
    changed = 0
    for path, text in generated().items():
        if path.read_text(encoding="utf-8") != text:
            path.write_text(text, encoding="utf-8")
            sys.stdout.write(f"docs: wrote {path.relative_to(ROOT)}\n")
            changed += 1
    sys.stdout.write(f"docs: {changed} files rewritten\n" if changed else "docs: everything is up to date\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
