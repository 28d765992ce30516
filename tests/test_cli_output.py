"""What the command line prints, whoever reads it."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from labkit import cli_output

COMMAND = [sys.executable, "-c", "import sys; from labkit.cli import main; sys.exit(main())"]


def test_json_is_strict() -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        cli_output.print_json({"x": float("nan")})


def test_a_files_report_cannot_steer_the_terminal() -> None:
    assert cli_output.one_line("a\x1b[31m\r\nb µ") == "a [31m  b µ"


def test_a_reader_that_leaves_and_a_full_disk_are_no_traceback() -> None:
    read, write = os.pipe()
    os.close(read)
    gone = subprocess.run([*COMMAND, "data", "list"], stdout=write, stderr=subprocess.PIPE, text=True, timeout=280)
    os.close(write)
    assert (gone.returncode, gone.stderr) == (0, "")
    if Path("/dev/full").exists():
        with open("/dev/full", "w") as full:
            ended = subprocess.run([*COMMAND, "data", "list"], stdout=full, stderr=subprocess.PIPE, text=True, timeout=280)
        assert (ended.returncode, ended.stderr) == (1, "labkit: [Errno 28] No space left on device\n")
