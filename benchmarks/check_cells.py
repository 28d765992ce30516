"""Run the labs' check cells and save what they print in the notebooks: `python -m benchmarks.check_cells [LAB…]`.

nbval compares that output from then on. A cell is run as a program of its own, so that it cannot lean on the panel's.
"""

import argparse
import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

LABS = Path(__file__).resolve().parents[1] / "labs"
TAG = "skip-execution"


def main(argv: Sequence[str] | None = None) -> int:
    """Run and save; the exit status is 1 where a cell fails, whose notebook is left as it was."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.check_cells", description=__doc__)
    parser.add_argument("labs", nargs="*", metavar="LAB", help="numbers (02); all unless given")
    numbers = parser.parse_args(argv).labs
    paths = [path for path in sorted(LABS.glob("*.ipynb")) if not numbers or path.name[:2] in numbers]
    failed = 0
    for path in paths:
        notebook = json.loads(path.read_text(encoding="utf-8"))
        for count, cell in enumerate(code_cells(notebook), start=1):
            if TAG not in cell["metadata"].get("tags", []):
                continue
            done = subprocess.run([sys.executable, "-c", "".join(cell["source"])], capture_output=True, text=True, check=False)
            if done.returncode:
                print(f"{path.name}: the check cell failed\n{done.stderr}", file=sys.stderr)
                failed = 1
                continue
            save(cell, done.stdout, count)
            path.write_text(json.dumps(notebook, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
            print(f"{path.name}:\n{done.stdout}")
    return failed


def code_cells(notebook: dict[str, Any]) -> list[dict[str, Any]]:
    """Return a notebook's cells of code, in order."""
    return [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]


def save(cell: dict[str, Any], text: str, count: int) -> None:
    """Give a cell its output and the execution count without which nbval would compare nothing."""
    cell["execution_count"] = count
    cell["outputs"] = [{"name": "stdout", "output_type": "stream", "text": text.splitlines(keepends=True)}]


if __name__ == "__main__":
    sys.exit(main())
