"""What becomes of a kernel whose visitor leaves before the page is whole."""

import asyncio
import logging
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import pytest
from tornado.iostream import StreamClosedError

from labkit.serve._page import LabHandler


class Handler(LabHandler):
    """Without a server: its line is closed after some pieces."""

    log = logging.getLogger("test")
    kernel_manager = None
    request = SimpleNamespace(connection=None)

    def __init__(self, pieces_heard):
        self.ended, self.sent, self._left = [], [], pieces_heard
        self.kernel_manager = SimpleNamespace(end_soon=self.ended.append)
        self._kernel_id, self._is_whole = "a-kernel", False

    def write(self, text):
        self.sent.append(text)

    async def flush(self):
        self._left -= 1
        if self._left < 0:
            raise StreamClosedError


async def pieces(fails=False):
    yield "words", None
    if fails:
        raise ValueError("a template is broken")
    yield "cells", None


def send(handler, **options):
    with ThreadPoolExecutor(1) as pool:  # Playwright's event loop may be running in this thread
        pool.submit(asyncio.run, handler._send(pieces(**options))).result()


@pytest.mark.parametrize("heard", [0, 1])
def test_one_who_leaves_while_the_server_writes_is_seen_by_the_write(heard):
    handler = Handler(heard)
    send(handler)
    assert handler.ended == ["a-kernel"]
    handler.on_connection_close()
    assert handler.ended == ["a-kernel"], "once, whatever else tells of the closed line"


def test_who_has_the_whole_page_keeps_the_kernel():
    handler = Handler(2)
    send(handler)
    handler.on_connection_close()
    assert handler.sent == ["words", "cells"]
    assert handler.ended == []


def test_a_page_that_breaks_off_says_so_and_ends_its_kernel(caplog):
    handler = Handler(2)
    send(handler, fails=True)
    assert "labkitPage.fail()" in handler.sent[-1]
    assert handler.ended == ["a-kernel"]
    assert [record.message for record in caplog.records] == ["the page of a lab broke off"]
