"""The page around a lab, on a notebook that has one of everything a lab has."""

from benchmarks import _browser


def test_a_lab_opens_with_slider_figure_and_canvas(lab_page):
    page = lab_page("01_toy")
    page.wait_for_selector(".toy-slider [role=slider]")
    page.wait_for_selector(".bk-Figure")
    page.wait_for_selector("canvas.toy-canvas")
    _browser.shot(page, "toy-wide-light")
