"""The pictures in docs/: `python -m benchmarks.pictures [--lab 02]` takes them of the real lab, in both themes and widths."""

import argparse
import sys
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from benchmarks import _browser, live

DOCS = _browser.ROOT / "docs"
STEPS = 30  # of the slider, before the picture is taken
SETTLED = "() => !document.querySelector('.lk-score.is-refining')"


def main(argv: Sequence[str] | None = None) -> int:
    """Serve the lab, move its slider, wait until everything has settled, and take four pictures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--lab", default="02", help="which lab (default 02)")
    parser.add_argument("--folder", type=Path, default=DOCS, help="where the pictures go (default docs/)")
    args = parser.parse_args(argv)
    command = [sys.executable, "-m", "labkit", "lab", args.lab, "--no-browser", "--port", "{port}"]
    with ExitStack() as stack:
        scratch = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        browser = stack.enter_context(_browser.running_browser())
        server = stack.enter_context(_browser.running_server(scratch, scratch / "log.txt", command=command))
        for width in _browser.WIDTHS:
            for theme in ("light", "dark"):
                name = f"lab-{args.lab}-{theme}{'' if width == 'wide' else '-narrow'}.png"
                _take(browser, server, width, theme, args.folder / name)
                print(args.folder / name)
    return 0


def _take(browser: Any, server: _browser.Server, width: str, theme: str, path: Path) -> None:
    wide, high = _browser.WIDTHS[width]
    context = browser.new_context(viewport={"width": wide, "height": high}, color_scheme=theme)
    page = live.open_page(context, server)
    for _ in range(STEPS):
        page.locator(live.SLIDER).first.press("ArrowRight")
    page.wait_for_timeout(1000)
    page.wait_for_function(SETTLED, timeout=_browser.READY_TIMEOUT_MS)
    page.wait_for_timeout(500)
    page.screenshot(path=str(path), full_page=True)
    context.close()


if __name__ == "__main__":
    raise SystemExit(main())
