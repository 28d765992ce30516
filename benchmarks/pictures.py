"""The pictures in docs/: `python -m benchmarks.pictures [--lab 02]` takes them of the real lab, in both themes and widths."""

import argparse
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

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
    with tempfile.TemporaryDirectory() as folder, _browser.running_browser() as browser:
        with _browser.running_server(Path(folder), Path(folder) / "log.txt", command=command) as server:
            for width, (wide, high) in _browser.WIDTHS.items():
                for theme in ("light", "dark"):
                    context = browser.new_context(viewport={"width": wide, "height": high}, color_scheme=theme)
                    page = live.open_page(context, server)
                    handle = page.locator(live.SLIDER).first
                    for _ in range(STEPS):
                        handle.press("ArrowRight")
                    page.wait_for_timeout(1000)
                    page.wait_for_function(SETTLED, timeout=_browser.READY_TIMEOUT_MS)
                    page.wait_for_timeout(500)
                    name = f"lab-{args.lab}-{theme}{'' if width == 'wide' else '-narrow'}.png"
                    page.screenshot(path=str(args.folder / name), full_page=True)
                    print(args.folder / name)
                    context.close()
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
