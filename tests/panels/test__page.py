"""The page's messages reach who listens, and only as text; measuring waits for a page where one will come."""

import threading
import time

import pytest

from labkit.core.errors import Cancelled
from labkit.core.progress import Progress
from labkit.panels import _page
from labkit.panels._page import LONGEST_TEXT, Page


def send(page, content):
    page._heard(page, content, [])


def test_a_message_goes_to_its_listener():
    page, heard = Page(), []
    page.listen("hash", heard.append)
    send(page, {"do": "hash", "value": "a=1"})
    send(page, {"do": "other", "value": "x"})
    assert heard == ["a=1"]


@pytest.mark.parametrize("content", [None, [], "x", {}, {"do": "hash"}, {"do": ["hash"], "value": "x"}, {"do": "hash", "value": 3}])
def test_what_is_no_message_is_not_heard(content):
    page, heard = Page(), []
    page.listen("hash", heard.append)
    send(page, content)
    assert heard == []


def test_a_text_is_cut():
    page, heard = Page(), []
    page.listen("hash", heard.append)
    send(page, {"do": "hash", "value": "x" * 10_000_000})
    assert len(heard[0]) == LONGEST_TEXT


def test_the_same_link_is_told_again():
    page = Page()
    page.write("a=1")
    page.write("a=1")
    assert (page.link, page.written) == ("a=1", 2)


def test_without_a_kernel_nobody_is_waited_for():
    page = Page()
    page.wait(Progress())
    assert page.opened == 0, "it came back though no page had opened"


def test_in_a_kernel_the_page_is_waited_for(monkeypatch):
    monkeypatch.setattr(_page, "the_kernel", object)
    page, done = Page(), threading.Event()
    thread = threading.Thread(target=lambda: (page.wait(Progress()), done.set()))
    thread.start()
    assert not done.wait(0.2)
    page.opened += 1
    assert done.wait(5)
    thread.join()


def test_waiting_is_cancelled_and_has_an_end(monkeypatch):
    monkeypatch.setattr(_page, "the_kernel", object)
    monkeypatch.setattr(_page, "LONGEST_WAIT_S", 0.1)
    page, progress = Page(), Progress()
    progress.cancel()
    with pytest.raises(Cancelled):
        page.wait(progress)
    began = time.monotonic()
    page.wait(Progress())
    page.wait(Progress())
    assert time.monotonic() - began < 5
