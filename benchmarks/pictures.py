"""The pictures of a lab: `python -m benchmarks.pictures [--lab 02]` takes them of the real page, in both themes and widths.

Four of the whole page go to docs/, and two small ones of the lab's first view to labs/pictures/, for its card in the home lab.
"""

import argparse
import io
import sys
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from PIL import Image, ImageOps

from benchmarks import _browser, live
from labkit.labs import HOME, THEMES, find_lab, lab_names, labs_folder, picture_name
from labkit.panels.home import PICTURE_SIZE

DOCS = _browser.ROOT / "docs"
CARDS = _browser.ROOT / "labs" / "pictures"
STEPS = 30  # of the slider, before the picture is taken
SETTLED = "() => !document.querySelector('.lk-score.is-refining')"
VIEW = ".lk-view > :nth-child(2)"  # below its title
THUMBNAIL = ".lk-thumbnail"  # what a lab says is its picture, where it is not the first view
JOBS = {"07": "Sweep"}  # the button of a job without which a lab has little to show
JOB_MS = 300_000
VIEW_SCALE = 2  # pixels for each of the page's, so that the small picture is sharp on every screen
CARD_BYTES = 40_000
MARGIN = 28  # of a small picture, in its pixels


def main(argv: Sequence[str] | None = None) -> int:
    """Serve the lab, move its slider, wait until everything has settled, and take the pictures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--lab", default="02", help="which lab (default 02)")
    parser.add_argument("--folder", type=Path, default=DOCS, help="where the large pictures go (default docs/)")
    parser.add_argument("--cards", type=Path, default=CARDS, help="where the small ones go (default labs/pictures/)")
    parser.add_argument("--only-cards", action="store_true", help="take the small ones only")
    args = parser.parse_args(argv)
    lab = find_lab(args.lab, lab_names(labs_folder()))
    command = [sys.executable, "-m", "labkit", "lab", lab, "--no-browser", "--port", "{port}"]
    with ExitStack() as stack:
        scratch = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        browser = stack.enter_context(_browser.running_browser())
        server = stack.enter_context(_browser.running_server(scratch, scratch / "log.txt", command=command))
        for theme in THEMES:
            for width in () if args.only_cards else _browser.WIDTHS:
                name = f"lab-{lab[:2]}-{theme}{'' if width == 'wide' else '-narrow'}.png"
                _take(browser, server, (lab, width, theme), args.folder / name)
            if lab != HOME:
                _take_card(browser, server, theme, args.cards / picture_name(lab, theme))
    return 0


def _take(browser: Any, server: _browser.Server, which: tuple[str, str, str], path: Path) -> None:
    lab, width, theme = which
    wide, high = _browser.WIDTHS[width]
    context = browser.new_context(viewport={"width": wide, "height": high}, color_scheme=theme)
    if lab == HOME:
        page = context.new_page()
        page.goto(server.url, wait_until="networkidle")
    else:
        page = _settled(context, server)
    page.screenshot(path=str(path), full_page=True)
    context.close()
    print(path)


def _take_card(browser: Any, server: _browser.Server, theme: str, path: Path) -> None:
    """Take the lab's first view: a raster fills the card, anything with axes stands whole on the colour behind it."""
    wide, high = _browser.WIDTHS["wide"]
    context = browser.new_context(viewport={"width": wide, "height": high}, color_scheme=theme, device_scale_factor=VIEW_SCALE)
    page = _settled(context, server)
    view = page.locator(THUMBNAIL if page.locator(THUMBNAIL).count() else VIEW).first
    shot = Image.open(io.BytesIO(view.screenshot()))
    behind = view.evaluate("node => getComputedStyle(node.closest('.lk-view')).backgroundColor")
    fills = view.evaluate("node => node.matches('.lk-raster') || node.querySelector('.lk-raster') !== null")
    context.close()
    save_card(shot, None if fills else behind, path)
    print(path)


def save_card(picture: Image.Image, behind: str | None, path: Path) -> None:
    """Save a picture in a card's size, with the highest quality at which it keeps to `CARD_BYTES`.

    Args:
        picture: of any size.
        behind: colour of the margin around the whole picture, as CSS writes it; None to fill the card and cut what is over.
        path: of the WebP file to write.

    Raises:
        ValueError: it does not fit at any quality that is worth looking at.
    """
    picture, (wide, high) = picture.convert("RGB"), PICTURE_SIZE
    if behind is None:
        small = ImageOps.fit(picture, PICTURE_SIZE, Image.Resampling.LANCZOS)
    else:
        inner = ImageOps.pad(picture, (wide - 2 * MARGIN, high - 2 * MARGIN), Image.Resampling.LANCZOS, behind)
        small = ImageOps.expand(inner, MARGIN, behind)
    for quality in range(90, 20, -5):
        made = io.BytesIO()
        small.save(made, "WEBP", quality=quality, method=6)
        if len(made.getvalue()) <= CARD_BYTES:
            path.write_bytes(made.getvalue())
            return
    raise ValueError(f"{path.name} does not fit into {CARD_BYTES:,} bytes: choose a calmer first view for the lab")


def _settled(context: Any, server: _browser.Server) -> Any:
    """Open the lab, move its first slider, and wait until everything is measured."""
    page = live.open_page(context, server)
    for _ in range(STEPS):
        page.locator(live.SLIDER).first.press("ArrowRight")
    page.wait_for_timeout(1000)
    page.wait_for_function(SETTLED, timeout=_browser.READY_TIMEOUT_MS)
    page.wait_for_timeout(500)
    job = JOBS.get(page.evaluate("() => location.pathname").rpartition("/")[2][:2])
    if job is not None:
        page.wait_for_timeout(live.REST_MS)
        button = page.get_by_role("button", name=job)
        button.click()
        page.wait_for_timeout(1000)
        page.wait_for_function(
            "(name) => [...document.querySelectorAll('button')].some((each) => each.textContent === name && !each.disabled)",
            arg=job,
            timeout=JOB_MS,
        )
        page.wait_for_timeout(live.REST_MS)
    return page


if __name__ == "__main__":
    raise SystemExit(main())
