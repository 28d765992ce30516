"""The machinery of claims: what is measured survives a kill, and only an interval decides."""

import json
import math
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from scipy import stats

from benchmarks.claims import __main__ as command
from benchmarks.claims import _claim, _run, lab_02
from benchmarks.claims._claim import QUICK, Case, Claim, Figure, Finding, Scale
from benchmarks.claims._journal import Journal, stamp
from labkit.checks.results import read
from labkit.core.errors import UnknownNameError
from labkit.core.registry import methods
from tests.docs.test_generate import generate

HOST = {
    "cpu": "a cpu", "cores": 2, "features": [], "memory_gb": 8, "os": "an os", "python": "3", "torch": "2", "numba": "0",
}  # fmt: skip


def toy(measured: list[str], *, serial: bool = False, prefix: str = "") -> Claim:
    """Return a claim over three cases that note when they are measured."""

    def case(name: str, value: float) -> Case:
        return Case(name, "digits-small", lambda: (measured.append(name), {"value": value})[1])

    def judge(values: Any) -> Finding:
        mean, low, high = _claim.mean_interval([each["value"] for each in values.values()])
        return Finding("holds" if low > 0 else "open", [Figure("mean", mean, low, high, "points")])

    cases = [case(prefix + name, value) for name, value in (("a", 1.0), ("b", 2.0), ("c", 3.0))]
    return Claim("toy", "three is enough", ("weight",), "3 seeds", lambda scale: cases, judge, seeds=3, serial=serial)


def test_the_interval_over_seeds_is_students() -> None:
    mean, low, high = _claim.mean_interval([1.0, 2.0, 3.0])
    assert mean == 2.0
    assert (low, high) == pytest.approx((2 - 4.30265 / math.sqrt(3), 2 + 4.30265 / math.sqrt(3)), abs=1e-4)
    values = [0.3, -1.2, 4.0, 2.2]
    assert _claim.mean_interval(values, 0.9)[1:] == pytest.approx(stats.ttest_1samp(values, 0.0).confidence_interval(0.9))
    with pytest.raises(ValueError, match="at least two values"):
        _claim.mean_interval([1.0])


def test_ratios_are_averaged_on_a_scale_where_twice_and_half_cancel() -> None:
    middle, low, high = _claim.ratio_interval([0.5, 2.0])
    assert middle == pytest.approx(1.0)
    assert low * high == pytest.approx(1.0)


def test_the_interval_over_images_looks_at_those_that_changed() -> None:
    labels = torch.zeros(100, dtype=torch.int64)
    before = _claim.right(torch.tensor([0] * 60 + [1] * 40), labels)
    after = _claim.right(torch.tensor([0] * 60 + [0] * 30 + [1] * 10), labels)
    assert (before["correct"], after["correct"], before["n"]) == (60, 90, 100)
    found = _claim.paired(before, after)
    assert (found.gained, found.lost, found.share) == (30, 0, 0.3)
    assert _claim.points("lead", found).value == pytest.approx(30.0)
    assert _claim.percent(after) == 90.0


def test_what_was_measured_is_not_measured_again(tmp_path: Path) -> None:
    measured: list[str] = []
    claim, path = toy(measured), tmp_path / "02.jsonl"
    _run.measure(claim, Scale(), Journal(path, "one"), lambda _: None)
    with path.open("rb+") as file:  # as if killed while the last line was written
        file.truncate(path.stat().st_size - 7)
    found = _run.measure(claim, Scale(), Journal(path, "one"), lambda _: None)
    assert measured == ["a", "b", "c", "c"]
    assert isinstance(found, Finding)
    assert found.figures[0].value == 2.0
    assert [json.loads(line)["name"] for line in path.read_text().splitlines()] == ["a", "b", "c"]


@pytest.mark.parametrize("change", ["code or machine", "scale"])
def test_what_decides_the_outcome_makes_it_be_measured_again(change: str, tmp_path: Path) -> None:
    measured: list[str] = []
    claim, path = toy(measured), tmp_path / "02.jsonl"
    _run.measure(claim, Scale(), Journal(path, "one"), lambda _: None)
    stamped, scale = ("two", Scale()) if change == "code or machine" else ("one", QUICK)
    _run.measure(claim, scale, Journal(path, stamped), lambda _: None)
    assert measured == ["a", "b", "c"] * 2


def test_a_case_is_named_by_its_settings_and_its_checkpoint() -> None:
    case = Case("a", "digits-small", dict, {"epochs": 1})
    others = [replace(case, name="b"), replace(case, network="vgg-small-bn"), replace(case, settings={"epochs": 2})]
    assert len({each.identity(Scale()) for each in (case, *others)}) == 4
    assert stamp("one machine") != stamp("another")


KILLED = """
import sys, time
from pathlib import Path
from benchmarks.claims import _run
from benchmarks.claims._claim import Case, Claim, Finding, Scale
from benchmarks.claims._journal import Journal
def slow(n):
    return Case(str(n), "digits-small", lambda: (time.sleep(60 if n == 2 else 0), {"n": n})[1])
claim = Claim("slow", "", (), "", lambda scale: [slow(n) for n in range(3)], lambda values: Finding("open", []))
_run.measure(claim, Scale(), Journal(Path(sys.argv[1]), "one"), lambda line: print(line, flush=True))
"""


def test_a_killed_run_keeps_every_case_that_was_done(tmp_path: Path, root: Path) -> None:
    path = tmp_path / "02.jsonl"
    environment = os.environ | {"PYTHONPATH": str(root)}
    with subprocess.Popen([sys.executable, "-c", KILLED, str(path)], stdout=subprocess.PIPE, text=True, env=environment, cwd=root) as run:
        assert run.stdout
        assert [run.stdout.readline().split(",")[0] for _ in range(2)] == ["slow: 1 of 3", "slow: 2 of 3"]
        run.send_signal(signal.SIGKILL)
    journal = Journal(path, "one")
    done = [Case(str(n), "digits-small", dict).identity(Scale()) for n in range(3)]
    assert [journal.get(each) for each in done] == [{"n": 0}, {"n": 1}, None]


def test_times_wait_for_a_quiet_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    loads = iter([3.0, 1.5, 0.5])
    monkeypatch.setattr(os, "getloadavg", lambda: (next(loads), 0.0, 0.0))
    monkeypatch.setattr(time, "sleep", lambda _: None)
    assert _run.wait_until_quiet(minutes=1) == ""
    monkeypatch.setattr(os, "getloadavg", lambda: (4.0, 0.0, 0.0))
    assert "stayed at 4.0" in _run.wait_until_quiet(minutes=0)
    measured: list[str] = []
    found = _run.measure(toy(measured, serial=True), Scale(), Journal(tmp_path / "x", "one"), lambda _: None, lambda: "it was loud")
    assert (found, measured) == ("not measured: it was loud", [])
    assert _run.row(toy([]), str(found))["verdict"] == "open"


def test_results_are_what_cards_and_check_cells_read(tmp_path: Path) -> None:
    path, claim = tmp_path / "02.json", toy([])
    finding = _run.measure(claim, Scale(), Journal(tmp_path / "02.jsonl", "one"), lambda _: None)
    left = replace(claim, name="time", claim="it is fast")
    rows = _run.merged([claim, left], {"toy": _run.row(claim, finding)}, [claim], path, HOST)
    _run.write(path, lab_02.LAB, HOST, rows)
    assert read("02", tmp_path)["claims"][0]["figures"] == [
        {"name": "mean", "value": 2.0, "low": -0.484138, "high": 4.48414, "unit": "points"}
    ]
    text = generate.measured("weight", generate.read_results(tmp_path))
    assert "- **open**: three is enough (3 seeds). mean 2 [-0.4841, 4.484] points." in text
    assert "- **open**: it is fast (3 seeds). not measured: it was not asked for yet" in text


def test_what_was_not_asked_for_stays_unless_another_machine_measured_it(tmp_path: Path) -> None:
    path = tmp_path / "02.json"
    one, two = toy([]), replace(toy([]), name="two")
    _run.write(path, lab_02.LAB, HOST, [_run.row(each, Finding("holds", [])) for each in (one, two)])
    fresh = {"two": _run.row(two, Finding("fails", []))}
    assert [each["verdict"] for each in _run.merged([one, two], fresh, [two], path, HOST)] == ["holds", "fails"]
    for measured in ({}, fresh):  # before anything is measured, too
        with pytest.raises(ValueError, match="another machine"):
            _run.merged([one, two], measured, [two], path, HOST | {"cores": 64})
    assert len(_run.merged([two], fresh, [two], path, HOST | {"cores": 64})) == 1


def test_a_whole_lab_is_measured_anew_on_another_machine(tmp_path: Path) -> None:
    path, other = tmp_path / "02.json", HOST | {"cores": 64}
    both = _, two = toy([]), replace(toy([]), name="two")
    _run.write(path, lab_02.LAB, HOST, [_run.row(each, Finding("holds", [])) for each in both])
    rows = _run.merged(both, {"two": _run.row(two, Finding("fails", []))}, both, path, other)
    assert [each["verdict"] for each in rows] == ["open", "fails"], "nothing of the other machine's stays meanwhile"
    _run.write(path, lab_02.LAB, other, rows)
    rows = _run.merged(both, {each.name: _run.row(each, Finding("fails", [])) for each in both}, both, path, other)
    assert [each["verdict"] for each in rows] == ["fails", "fails"]


def test_names_choose_labs_and_claims() -> None:
    claims = (toy([]), replace(toy([]), name="two"))
    modules: Any = {"02": SimpleNamespace(CLAIMS=claims), "03": SimpleNamespace(CLAIMS=claims)}

    def chosen(*names: str) -> list[str]:
        return [f"{number}.{claim.name}" for number, (_, found) in command.choose(modules, names).items() for claim in found]

    assert chosen() == ["02.toy", "02.two", "03.toy", "03.two"]
    assert chosen("03", "02.two") == ["02.two", "03.toy", "03.two"]
    with pytest.raises(UnknownNameError, match=r"02\.two"):
        chosen("02.tow")


@pytest.mark.parametrize("loud", [False, True])
def test_times_come_last_and_a_complete_lab_forgets_its_raw_results(loud: bool, tmp_path: Path) -> None:
    measured: list[str] = []
    fast, plain = replace(toy(measured, serial=True, prefix="time "), name="fast"), toy(measured)
    module: Any = SimpleNamespace(CLAIMS=(fast, plain), LAB=lab_02.LAB)
    command.measure_lab("02", module, [fast, plain], tmp_path / "results", Scale(), lambda: "it was loud" if loud else "")
    assert measured == ["a", "b", "c"] + ([] if loud else ["time a", "time b", "time c"])
    assert (tmp_path / "raw" / "02.jsonl").exists() == loud
    rows = read("02", tmp_path / "results")["claims"]
    assert [each["name"] for each in rows] == ["fast", "toy"]
    assert rows[0].get("note") == ("not measured: it was loud" if loud else None)


def test_every_lab_has_claims_with_names_of_their_own_on_methods_that_are_there() -> None:
    found, shown = command.labs(), {lab for method in methods() for lab in method.labs}
    assert "02" in found
    for number, module in found.items():
        names = [claim.name for claim in module.CLAIMS]
        assert len(set(names)) == len(names)
        assert module.LAB.startswith(f"{number}_")
        for claim in module.CLAIMS:
            assert claim.methods or module.LAB not in shown, "a lab that shows methods makes its claims about them"
            assert all(generate.find(name) for name in claim.methods)
