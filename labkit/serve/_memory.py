"""How much memory is left for another kernel: the machine's, or what a container allows."""

from pathlib import Path

MB = 1_000_000
NEEDED_MB = {"forked": 250, "plain": 650}
"""What one more lab may come to hold, with training in it, and what must stay free beside it."""

_PROC = Path("/proc/meminfo")
_CGROUP = Path("/sys/fs/cgroup")
_CGROUP_1 = _CGROUP / "memory"


def free_mb(proc: Path = _PROC, cgroup: Path = _CGROUP, cgroup_1: Path = _CGROUP_1) -> float | None:
    """Return how many megabytes can be had before somebody is killed; None where the system does not say.

    Args:
        proc: the machine's own account.
        cgroup: the container's, in today's form.
        cgroup_1: the same in the form before.
    """
    found = [
        _machine(proc),
        _container(cgroup / "memory.max", cgroup / "memory.current", cgroup / "memory.stat", "inactive_file"),
        _container(cgroup_1 / "memory.limit_in_bytes", cgroup_1 / "memory.usage_in_bytes", cgroup_1 / "memory.stat", "total_inactive_file"),
    ]
    known = [each for each in found if each is not None]
    return min(known) / MB if known else None


def _machine(path: Path) -> float | None:
    try:
        lines = path.read_text().splitlines()
    except OSError:
        return None
    return next((int(line.split()[1]) * 1024.0 for line in lines if line.startswith("MemAvailable:")), None)


def _container(limit: Path, used: Path, stat: Path, reclaimable: str) -> float | None:
    """What is left of a limit; pages of files that nobody uses count as free, since the system gives them up."""
    try:
        most = limit.read_text().strip()
        if not most.isdecimal():  # "max"
            return None
        lines = [line.split() for line in stat.read_text().splitlines()]
        given_up = next((int(line[1]) for line in lines if line[0] == reclaimable), 0)
        return float(max(0, int(most) - int(used.read_text()) + given_up))
    except OSError:
        return None
