import json
import os
import platform
import socket
import subprocess
import sys
from typing import Any

import pytest

from labkit.measure import host as module
from labkit.measure.host import cores, host, in_words, linux_features, memory_gb, operating_system, quota_cores

KEYS = ["cpu", "architecture", "cores", "features", "memory_gb", "os", "python", "torch", "numba"]
X86 = "processor\t: 0\nmodel name\t: Intel(R) Xeon(R) CPU\nflags\t\t: fpu fma avx2 avx512f avx512_vnni sse\n"
ARM = "processor\t: 0\nBogoMIPS\t: 50.00\nFeatures\t: fp asimd asimddp i8mm\nCPU implementer\t: 0x41\n"


def test_the_facts_of_this_machine_are_plain_values() -> None:
    facts = host()
    assert list(facts) == KEYS
    assert json.loads(json.dumps(facts)) == facts
    assert facts["cores"] >= 1
    assert facts["python"] == platform.python_version()
    assert facts["torch"][0].isdigit()


def test_nothing_tells_this_machine_from_another_of_its_kind() -> None:
    text = json.dumps(host()) + in_words(host())
    for secret in (socket.gethostname(), os.path.expanduser("~").rsplit("/", 1)[-1], platform.version()):
        assert len(secret) < 3 or secret not in text
    assert platform.release() not in text or platform.release().count(".") < 2


@pytest.mark.parametrize(
    ("text", "model", "features"),
    [
        (X86, "Intel(R) Xeon(R) CPU", ["avx2", "avx512_vnni", "avx512f", "fma"]),
        (ARM, "", ["dotprod", "i8mm", "neon"]),
        ("", "", []),
        ("nonsense", "", []),
        ("flags", "", []),
        ("Features: half thumb neon vfpv3\nModel : Raspberry Pi 4\n", "Raspberry Pi 4", ["neon"]),
    ],
)
def test_cpuinfo_of_several_machines(text: str, model: str, features: list[str]) -> None:
    assert module._linux_cpu(text) == model
    assert linux_features(text) == features


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("200000 100000", 2),
        ("150000 100000", 1),
        ("50000 100000", 1),
        ("max 100000", None),
        ("-1 100000", None),
        ("", None),
        ("1", None),
        ("5 0", None),
    ],
)
def test_quotas_of_control_groups(text: str, expected: int | None) -> None:
    assert quota_cores(text) == expected


def test_a_quota_lowers_the_cores_and_never_raises_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module.os, "sched_getaffinity", lambda _: {0, 1, 2, 3}, raising=False)
    for text, expected in (("", 4), ("300000 100000", 3), ("900000 100000", 4), ("10000 100000", 1)):
        monkeypatch.setattr(module, "_read", lambda path, text=text: text if path.endswith("cpu.max") else "")
        assert cores() == expected


def test_memory_is_the_groups_limit_where_there_is_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module.os, "sysconf", lambda name: 4096 if name == "SC_PAGE_SIZE" else 8 << 18)
    for limit, expected in (("", 8.0), ("max", 8.0), (str(3 << 30), 3.0), (str(1 << 62), 8.0)):
        monkeypatch.setattr(module, "_read", lambda _, limit=limit: limit)
        assert memory_gb() == expected


@pytest.mark.parametrize(
    ("name", "release", "expected"),
    [
        ("Linux", "6.8.0-45-generic", "Linux 6.8"),
        ("Linux", "5.15.0-site-secret", "Linux 5.15"),
        ("Darwin", "23.6.0", "Darwin 23.6"),
        ("", "", "unknown"),
        ("Plan9", "x", "Plan9"),
    ],
)
def test_the_system_without_what_a_site_added(name: str, release: str, expected: str) -> None:
    assert operating_system(name, release) == expected


class TestMac:
    @pytest.fixture(autouse=True)
    def _mac(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(sys, "platform", "darwin")
        monkeypatch.delattr(os, "sched_getaffinity", raising=False)

    def test_its_facts_come_from_sysctl(self, monkeypatch: pytest.MonkeyPatch) -> None:
        answers = {"machdep.cpu.brand_string": "Apple M2", "hw.optional.AdvSIMD": "1", "hw.optional.arm.FEAT_I8MM": "0"}

        def run(command: list[str], **_: Any) -> subprocess.CompletedProcess[str]:
            assert command[:2] == ["sysctl", "-n"]
            return subprocess.CompletedProcess(command, 0, answers.get(command[2], "") + "\n", "")

        monkeypatch.setattr(module.subprocess, "run", run)
        facts = host()
        assert (facts["cpu"], facts["features"]) == ("Apple M2", ["neon"])
        assert facts["cores"] >= 1

    @pytest.mark.parametrize("error", [FileNotFoundError(), subprocess.TimeoutExpired("sysctl", 5)])
    def test_without_sysctl_it_does_not_crash(self, monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
        def run(*_: Any, **__: Any) -> None:
            raise error

        monkeypatch.setattr(module.subprocess, "run", run)
        assert host()["cpu"] == (platform.machine() or "unknown")


def test_a_system_that_tells_nothing_is_unknown(monkeypatch: pytest.MonkeyPatch) -> None:
    def no(*_: Any) -> int:
        raise ValueError

    monkeypatch.setattr(module, "_read", lambda _: "")
    monkeypatch.setattr(module.os, "sysconf", no)
    monkeypatch.setattr(platform, "machine", lambda: "")
    facts = host()
    assert (facts["cpu"], facts["architecture"], facts["features"], facts["memory_gb"]) == ("unknown", "unknown", [], 0.0)
    assert in_words(facts)


def test_in_words() -> None:
    facts = dict(zip(KEYS, ["AMD EPYC", "x86_64", 2, ["avx2", "fma"], 7.8, "Linux 6.1", "3.12.3", "2.6.0", "0.61.2"], strict=True))
    assert in_words(facts) == "AMD EPYC, 2 cores, avx2 fma, 7.8 GB, Linux 6.1, Python 3.12.3, torch 2.6.0, numba 0.61.2"
    assert in_words(facts | {"cores": 1, "features": [], "memory_gb": 0.0}).startswith("AMD EPYC, 1 core, Linux 6.1")
