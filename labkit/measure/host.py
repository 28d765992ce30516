"""Facts about the machine that a measurement belongs to; nothing that tells one machine from another of its kind."""

import importlib.metadata
import os
import platform
import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

_FEATURES = {  # a flag of the processor, as the system spells it → what it is called here
    "avx2": "avx2",
    "fma": "fma",
    "avx512f": "avx512f",
    "avx512_vnni": "avx512_vnni",
    "avx_vnni": "avx_vnni",
    "amx_int8": "amx_int8",
    "asimd": "neon",
    "neon": "neon",
    "asimddp": "dotprod",
    "i8mm": "i8mm",
    "sve": "sve",
    "sve2": "sve2",
}
_MAC_FEATURES = {
    "hw.optional.avx2_0": "avx2",
    "hw.optional.fma": "fma",
    "hw.optional.avx512f": "avx512f",
    "hw.optional.avx512vnni": "avx512_vnni",
    "hw.optional.AdvSIMD": "neon",
    "hw.optional.arm.FEAT_DotProd": "dotprod",
    "hw.optional.arm.FEAT_I8MM": "i8mm",
}


def host() -> dict[str, Any]:
    """Return what a reader needs to judge a measured time.

    Returns:
        cpu (its model in words), architecture, cores (usable by this process), features (vector extensions), memory_gb,
        os, python, torch, numba: plain values that go into JSON. What cannot be found out is "unknown", 0 or empty.
    """
    is_mac = sys.platform == "darwin"
    return {
        "cpu": (_sysctl("machdep.cpu.brand_string") if is_mac else _linux_cpu(_read("/proc/cpuinfo"))) or platform.machine() or "unknown",
        "architecture": platform.machine() or "unknown",
        "cores": cores(),
        "features": _mac_features() if is_mac else linux_features(_read("/proc/cpuinfo")),
        "memory_gb": memory_gb(),
        "os": operating_system(platform.system(), platform.release()),
        "python": platform.python_version(),
        "torch": _version("torch"),
        "numba": _version("numba"),
    }


def in_words(facts: Mapping[str, Any]) -> str:
    """Return the facts as one line for people: "AMD EPYC, 2 cores, avx2 fma, 8 GB, Linux 6.1, Python 3.12.3, torch 2.6.0, numba 0.61"."""
    count = facts["cores"]
    parts = [
        facts["cpu"],
        f"{count} core{'' if count == 1 else 's'}",
        " ".join(facts["features"]),
        f"{facts['memory_gb']:g} GB" if facts["memory_gb"] else "",
        facts["os"],
        f"Python {facts['python']}",
        f"torch {facts['torch']}",
        f"numba {facts['numba']}",
    ]
    return ", ".join(part for part in parts if part)


def operating_system(name: str, release: str) -> str:
    """Return the system with the version of its kernel, without the suffix that a site gives its own builds."""
    version = re.match(r"\d+(\.\d+)?", release)
    return " ".join(filter(None, (name, version and version.group()))) or "unknown"


def cores() -> int:
    """Return how many processors this process may use: the least of its affinity and its control group's quota, at least 1."""
    affinity = getattr(os, "sched_getaffinity", None)
    count = len(affinity(0)) if affinity else os.cpu_count() or 1
    quota = quota_cores(_read("/sys/fs/cgroup/cpu.max")) or quota_cores(
        f"{_read('/sys/fs/cgroup/cpu/cpu.cfs_quota_us').strip()} {_read('/sys/fs/cgroup/cpu/cpu.cfs_period_us').strip()}"
    )
    return max(1, min(count, quota or count))


def quota_cores(text: str) -> int | None:
    """Return the whole processors in a control group's "quota period", None where it sets no limit."""
    words = text.split()
    if len(words) != 2 or not words[0].isdigit() or not words[1].isdigit() or int(words[1]) == 0:
        return None
    return max(1, int(words[0]) // int(words[1]))


def memory_gb() -> float:
    """Return the memory that this process may use, in 2³⁰ bytes rounded to a tenth; 0 where the system does not tell."""
    try:
        size = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (ValueError, OSError, AttributeError):
        return 0.0
    limit = _read("/sys/fs/cgroup/memory.max").strip()
    return round(min(size, int(limit) if limit.isdigit() else size) / 2**30, 1)


def linux_features(cpuinfo: str) -> list[str]:
    """Return the vector extensions named in the text of /proc/cpuinfo, sorted."""
    for line in cpuinfo.splitlines():
        name, _, value = line.partition(":")
        if name.strip() in ("flags", "Features"):
            return sorted({_FEATURES[flag] for flag in value.split() if flag in _FEATURES})
    return []


def _linux_cpu(cpuinfo: str) -> str:
    for line in cpuinfo.splitlines():
        name, _, value = line.partition(":")
        if name.strip() in ("model name", "Model", "cpu model") and value.strip():
            return value.strip()
    return ""


def _mac_features() -> list[str]:
    return sorted({feature for key, feature in _MAC_FEATURES.items() if _sysctl(key) == "1"})


def _sysctl(key: str) -> str:
    try:
        return subprocess.run(["sysctl", "-n", key], capture_output=True, text=True, timeout=5, check=False).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return ""


def _read(path: str) -> str:
    try:
        return Path(path).read_text(errors="replace")
    except OSError:
        return ""


def _version(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return "unknown"
