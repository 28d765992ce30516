"""Where the browser tests find a Chromium. Run as a program, it prints the path, or exits with 1."""

import os
import shutil
import sys
from pathlib import Path

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
APPLICATIONS = ("Google Chrome.app/Contents/MacOS/Google Chrome", "Chromium.app/Contents/MacOS/Chromium")


def find_chromium() -> Path | None:
    """Return the Chromium named by LABKIT_CHROMIUM, the system's, or Playwright's own; None where there is none."""
    named = os.environ.get("LABKIT_CHROMIUM")
    if named:
        return Path(named) if Path(named).is_file() else None
    on_path = next((found for name in NAMES if (found := shutil.which(name))), None)
    if on_path:
        return Path(on_path)
    for application in APPLICATIONS:
        for folder in (Path("/Applications"), Path.home() / "Applications"):
            if (folder / application).is_file():
                return folder / application
    return _playwrights_own()


def _playwrights_own() -> Path | None:
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        return None
    with sync_playwright() as playwright:
        path = Path(playwright.chromium.executable_path)
    return path if path.is_file() else None


if __name__ == "__main__":
    chromium = find_chromium()
    if chromium is None:
        sys.exit(1)
    print(chromium)  # noqa: T201  # it is what the program is for
