"""The table of how fast a lab opens, from visits of our own making; that it runs is tried in a browser."""

import os

from benchmarks import opening
from benchmarks._browser import Server


def visit(answers):
    return {"first": 10.0, "words": 20.0, "cells": 500.0, "seen": answers - 100, "answers": answers, "requests": 3, "bytes": 1e6}


def test_the_p95_is_held_against_the_reach():
    rows = {row["what"].split("→ ")[1]: row for row in opening.table("cached", [visit(1000.0)] * 18 + [visit(9000.0)] * 2)}
    last = rows[opening.STEPS["answers"]]
    assert (last["median_ms"], last["n"], last["reach"], last["verdict"]) == (1000.0, 20, "2500 ms", "missed")
    assert opening.table("empty", [visit(4000.0)])[-1]["verdict"] == "reached"
    assert opening.table("empty", [visit(4000.1)])[-1]["verdict"] == "missed"
    assert opening.STEPS["front"] not in rows, "a step that no visit saw has no line"


def test_memory_is_that_of_the_process_and_adds_up():
    held = bytearray(os.urandom(1 << 20)) * 200

    class Here:
        pid = os.getpid()

    rows = opening.memory_mb(Server("http://x/", Here, None))
    assert rows[0]["process"] == "server"
    assert rows[0]["own_mb"] > len(held) / 1e6
    assert rows[-1]["own_mb"] == sum(row["own_mb"] for row in rows[:-1])
