"""What is free, by accounts of our own making."""

import pytest

from labkit.serve._memory import free_mb


@pytest.fixture
def accounts(tmp_path):
    """Write files; return the three paths that `free_mb` takes."""

    def write(machine=None, today=None, before=None):
        if machine is not None:
            (tmp_path / "meminfo").write_text(f"MemTotal: 99999 kB\nMemFree: 1 kB\nMemAvailable: {machine} kB\n")
        for folder, names, values in (
            ("2", ("memory.max", "memory.current", "memory.stat"), today),
            ("1", ("memory.limit_in_bytes", "memory.usage_in_bytes", "memory.stat"), before),
        ):
            (tmp_path / folder).mkdir()
            for name, value in zip(names, values or (), strict=False):
                (tmp_path / folder / name).write_text(f"{value}\n")
        return tmp_path / "meminfo", tmp_path / "2", tmp_path / "1"

    return write


def test_without_a_container_it_is_the_machines(accounts):
    assert free_mb(*accounts(machine=1_000_000)) == pytest.approx(1024)


def test_a_containers_limit_counts_and_idle_pages_of_files_are_free(accounts):
    stat = "anon 7\ninactive_file 200000000"
    assert free_mb(*accounts(machine=9_000_000, today=(2_000_000_000, 1_500_000_000, stat))) == pytest.approx(700)


def test_the_older_form_of_a_container(accounts):
    stat = "inactive_file 5\ntotal_inactive_file 100000000"
    assert free_mb(*accounts(machine=9_000_000, before=(2_000_000_000, 1_500_000_000, stat))) == pytest.approx(600)


def test_no_limit_is_no_limit(accounts):
    assert free_mb(*accounts(machine=1_000_000, today=("max", 5, "inactive_file 0"))) == pytest.approx(1024)


def test_a_system_that_says_nothing(accounts):
    assert free_mb(*accounts()) is None
