"""The worker: the newest request runs, older ones are cancelled, and nothing is lost or left."""

import threading

import pytest

from labkit.core.errors import Cancelled
from labkit.panels import _jobs
from labkit.panels._jobs import Worker


@pytest.fixture
def errors() -> list[BaseException]:
    return []


@pytest.fixture
def worker(errors):
    made = Worker(errors.append)
    yield made
    made.close()


def until_cancelled(started: threading.Event, ended: list[str]):
    def work(progress):
        started.set()
        try:
            while True:
                progress.check()
                threading.Event().wait(0.001)
        except Cancelled:
            ended.append("cancelled")
            raise

    return work


def test_work_is_done_and_reported_to_its_listener(worker):
    seen, ticks = [], []

    def work(progress):
        progress.begin("counting")
        progress.step(1, 2)
        seen.append("done")

    worker.submit(work, ticks.append)
    assert worker.wait(5)
    assert seen == ["done"]
    assert [(tick.what, tick.done, tick.total) for tick in ticks] == [("counting", 1, 2)]


def test_a_newer_request_cancels_the_running_one(worker, errors):
    started, ended, seen = threading.Event(), [], []
    worker.submit(until_cancelled(started, ended))
    assert started.wait(5)
    worker.submit(lambda _: seen.append("new"))
    assert worker.wait(5)
    assert ended == ["cancelled"]
    assert seen == ["new"]
    assert errors == []


def test_of_many_waiting_requests_only_the_newest_runs(worker):
    started, ended, seen = threading.Event(), [], []
    release = threading.Event()

    def slow(progress):
        started.set()
        release.wait(5)  # does not look at progress meanwhile
        progress.check()

    worker.submit(slow)
    assert started.wait(5)
    for n in range(50):
        worker.submit(lambda _, n=n: seen.append(n))
    release.set()
    assert worker.wait(5)
    assert seen == [49]
    assert ended == []


def test_an_exception_reaches_the_panel_and_the_worker_lives_on(worker, errors):
    def broken(_):
        raise ZeroDivisionError("no")

    seen = []
    worker.submit(broken)
    assert worker.wait(5)
    worker.submit(lambda _: seen.append("after"))
    assert worker.wait(5)
    assert [type(error) for error in errors] == [ZeroDivisionError]
    assert seen == ["after"]


def test_cancel_drops_what_waits_and_stops_what_runs(worker):
    started, ended = threading.Event(), []
    worker.submit(until_cancelled(started, ended))
    assert started.wait(5)
    worker.cancel()
    assert worker.wait(5)
    assert ended == ["cancelled"]


def test_a_closed_worker_has_no_thread_and_takes_no_work(errors):
    worker, seen = Worker(errors.append), []
    worker.close()
    assert not worker._thread.is_alive()
    worker.submit(lambda _: seen.append("never"))
    assert seen == []


def test_close_ends_running_work(errors):
    worker, started, ended = Worker(errors.append), threading.Event(), []
    worker.submit(until_cancelled(started, ended))
    assert started.wait(5)
    worker.close()
    assert ended == ["cancelled"]
    assert not worker._thread.is_alive()


def test_freed_memory_is_given_back_once_after_each_rest(errors, monkeypatch):
    given = threading.Semaphore(0)
    monkeypatch.setattr(_jobs, "REST_S", 0.05)
    monkeypatch.setattr(_jobs, "give_back", given.release)
    worker = Worker(errors.append)
    assert given.acquire(timeout=5)
    assert not given.acquire(timeout=0.3), "rest goes on: there is nothing more to give"
    worker.submit(lambda _: None)
    assert given.acquire(timeout=5)
    worker.close()
    assert errors == []
