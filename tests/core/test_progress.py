import threading

import pytest

from labkit.core.errors import Cancelled
from labkit.core.progress import SILENT, Progress, Tick, _Lines, terminal_bar


def test_a_listener_hears_what_is_done() -> None:
    heard: list[Tick] = []
    progress = Progress(heard.append)
    progress.begin("training")
    progress.step(1, 4, loss=0.5)
    (tick,) = heard
    assert (tick.what, tick.done, tick.total, tick.figures) == ("training", 1, 4, {"loss": 0.5})
    assert tick.seconds >= 0


def test_time_left_follows_the_present_rate() -> None:
    assert Tick("x", 1, 4, 2.0).seconds_left == 6.0
    assert Tick("x", 4, 4, 2.0).seconds_left == 0.0
    assert Tick("x", 0, 4, 2.0).seconds_left is None


def test_cancelling_stops_at_the_next_step_and_the_last_tick_is_heard() -> None:
    heard: list[Tick] = []
    progress = Progress(heard.append)
    progress.begin("searching")
    thread = threading.Thread(target=progress.cancel)
    thread.start()
    thread.join()
    assert progress.is_cancelled
    with pytest.raises(Cancelled, match="searching: cancelled"):
        progress.check()
    with pytest.raises(Cancelled):
        progress.step(1, 2)
    assert len(heard) == 1


def test_a_part_is_cancelled_with_the_whole_and_heard_by_nobody() -> None:
    heard: list[Tick] = []
    whole = Progress(heard.append)
    part = whole.quiet()
    part.step(1, 2)
    assert heard == []
    whole.cancel()
    with pytest.raises(Cancelled):
        part.step(2, 2)


def test_the_shared_progress_cannot_be_cancelled() -> None:
    with pytest.raises(RuntimeError, match="Progress of your own"):
        SILENT.cancel()
    SILENT.step(1, 2)


def test_a_bar_is_drawn_for_each_piece_of_work(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)  # what pytest captures to is none

    with terminal_bar() as progress:
        for what in ("scan: ", "train"):  # tqdm adds a colon and a blank of its own
            progress.begin(what)
            for done in range(1, 4):
                progress.step(done, 3, loss=0.25)
    out, err = capsys.readouterr()
    assert out == ""
    assert err.count("3/3") == 2
    assert "scan" in err
    assert "train" in err
    assert err.count("\n") == 2, "a bar for each piece of work, not for each step"


def test_work_of_the_same_name_gets_a_bar_of_its_own(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)  # what pytest captures to is none

    with terminal_bar() as progress:
        for _ in range(2):
            progress.begin("training")
            for done in range(1, 4):
                progress.step(done, 3)
    assert capsys.readouterr().err.count("3/3") == 2


def test_a_log_gets_a_line_now_and_then_and_none_for_quick_work(capsys: pytest.CaptureFixture[str]) -> None:
    lines = _Lines()
    for second in (1.0, 9.0, 10.0, 11.0, 19.0, 20.5):
        lines.draw(Tick("training", 1000 * second, 40_000, second, {"loss": 0.25}))
    for second in (1.0, 9.0, 12.0):
        lines.draw(Tick("testing", 1, 2, second))
    assert capsys.readouterr().err.splitlines() == [
        "training: 10,000 of 40,000, loss 0.25, 30 s left",
        "training: 20,500 of 40,000, loss 0.25, 20 s left",
        "testing: 1 of 2, 12 s left",
    ]
    with terminal_bar() as progress:
        progress.step(1, 3)
    assert capsys.readouterr().err == ""


def test_a_bar_is_closed_when_work_is_cancelled(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)  # what pytest captures to is none

    def work() -> None:
        with terminal_bar() as progress:
            progress.step(1, 3)
            progress.cancel()
            progress.step(2, 3)

    with pytest.raises(Cancelled):
        work()
    assert capsys.readouterr().err.endswith("\n")
