"""What every lab's panel is: one frozen state, one `_draw` for the first paint and every later one, one worker, one lock.

A person moves a control; a pure transition makes the next state; `_draw` shows what is instant and asks the worker for what
is live. The state is in the page's address, so that a link, a reload and the browser's memory bring it back. Callbacks may come on different threads, so state and drawing are guarded by one lock. Whatever the worker brings
for a state that is no longer the present one is dropped.
"""

import html
import sys
import threading
from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

import ipywidgets

from labkit.core.progress import Progress, Tick
from labkit.panels._bokeh import ensure_bokeh
from labkit.panels._download import Download
from labkit.panels._figures import DARK, LIGHT, Figure
from labkit.panels._guard import Status, guarded
from labkit.panels._guide import Guide
from labkit.panels._jobs import Worker
from labkit.panels._lab import Lab, Moment
from labkit.panels._link import link_of, read_link
from labkit.panels._page import Page

SWITCH_S = 0.0005
"""How long a thread may keep Python to itself. At the usual 5 ms, what was drawn waits in the thread that sends it."""
PAUSE_S = 0.06  # before measuring, so that a slider that is being moved has the machine to itself
_BUSY = "A job is running: wait until it has ended, or press Cancel."
_COPIED = "Link copied: it brings back all the settings of this page."
_NOT_COPIED = "The browser did not let the link be copied: copy the address of this page instead, it is the same."

S = TypeVar("S")


class Panel(Generic[S]):
    """Base of the panels; a lab's own panel says what is drawn and what is measured.

    Args:
        lab: its question, steps, challenge and what About says.
        state: the first one.
        figures: the Bokeh figures, which follow the theme.
    """

    def __init__(self, lab: Lab, state: S, figures: tuple[Figure, ...]) -> None:
        ensure_bokeh()
        sys.setswitchinterval(SWITCH_S)
        self.lab = lab
        self.state, self.first = state, state
        self.is_locked = False  # while a job depends on the state
        self.status, self.download = Status(), Download()
        self.worker = Worker(self._failed)
        self._lock = threading.RLock()
        self._version = 0
        self.below: list[ipywidgets.Widget] = []  # under the views
        self._figures = figures
        self.page = Page(figures=len(figures), lab=lab.name)
        self.page.observe(self.guard(lambda _: self._paint()), names="dark")
        self.page.observe(self.guard(lambda _: self._refresh()), names="opened")
        self.page.listen("hash", self.guard(self.follow))
        self.page.listen("copied", self.guard(lambda done: self.status.say(_COPIED if done else _NOT_COPIED)))
        self.guide = Guide(lab, self.page, self, self.guard)
        self.copy_button = ipywidgets.Button(
            description="Copy link", tooltip="Copy the address that brings back all of this page's settings"
        )
        self.copy_button.add_class("lk-copy")
        self._question = ipywidgets.HTML(f'<p class="lk-question">{html.escape(lab.question)}</p>')
        self._paint()

    def lay_out(
        self, top: ipywidgets.Widget, strip: ipywidgets.Widget, controls: list[ipywidgets.Widget], views: list[ipywidgets.Widget]
    ) -> None:
        """Put the parts of the page in the order in which every lab has them."""
        side, main, below = ipywidgets.VBox(controls), ipywidgets.Box(views), ipywidgets.VBox(self.below)
        body = ipywidgets.Box([side, main, self.guide.widget, below])
        for box, name in ((side, "lk-side"), (main, "lk-views"), (below, "lk-below"), (body, "lk-body")):
            box.add_class(name)
        parts = [self._question, top, strip, self.status.widget, body, self.guide.about.widget, self.page]
        self._widget = ipywidgets.VBox(parts)
        self._widget.add_class("lk-lab")

    @property
    def widget(self) -> ipywidgets.Widget:
        """The page, its figures as they are now: to be shown."""
        self._refresh()
        return self._widget

    def guard(self, callback: Callable[..., None]) -> Callable[..., None]:
        """Return `callback` with the lock held and its exceptions shown in the status line."""

        def locked(*args: object) -> None:
            with self._lock:
                callback(*args)

        return guarded(self.status, locked)

    def move(self, state: S) -> None:
        """Go to another state: draw what is instant and ask for what is live. Nothing happens if it is the present one."""
        with self._lock:
            if state != self.state:
                self.worker.cancel()  # first of all: what it measures is of no use any more, and takes a core
                before, self.state = self.state, state
                self.status.say("")
                try:
                    self.draw()
                except Exception:
                    self.state = before  # what is on the page stays true, the controls too
                    self.draw_controls()
                    self.ask()
                    raise

    def go(self, state: S, said: str = "") -> bool:
        """Go to a state that was not reached by a control, unless a job holds the panel; return whether it did.

        Args:
            state: where to.
            said: what the status line says afterwards.
        """
        with self._lock:
            if self.is_locked:
                self.status.say(_BUSY)
                return False
            self.move(state)
            self.status.say(said)
            self.notice()
            return True

    def follow(self, link: str) -> None:
        """Go where a link leads, as far as it can be followed, and make the address say where that is."""
        with self._lock:
            read = read_link(link, self.first, self.choices)
            state, said = self.admit(read.state)
            self.go(state, f"{read.sentence} {said}".strip())
            self._write_link()

    def reset(self) -> None:
        """Go back to the first state."""
        self.go(self.first)

    def choices(self, field: str, state: S) -> Sequence[str]:
        """Return what a field of the state that holds text may be; `state` has the fields before it."""
        return ()

    def admit(self, state: S) -> tuple[S, str]:
        """Return a state that came from outside as one that can be shown now, and a sentence on what that took."""
        return state, ""

    def setting(self, state: S) -> str:
        """Name what is measured at a state, as a link; what is only looked at is left out."""
        return link_of(state, self.first)

    def moment(self) -> Moment:
        """Return what the steps, the guess and the challenge see."""
        raise TypeError(f"{type(self).__name__} must say what its steps see")

    def notice(self) -> None:
        """Let steps, guess and challenge look at the page."""
        self.guide.notice(self.moment())

    def draw(self) -> None:
        """Show the present state; the same for the first paint and every later one."""
        with self._lock:
            self._draw()
            self.notice()
            self.ask()

    def ask(self) -> None:
        """Ask the worker to measure what is live of the present state; whatever it does for an older one is cancelled."""
        with self._lock:
            self._version += 1
            version = self._version
            self.worker.submit(lambda progress: self._measure(version, progress))

    def _measure(self, version: int, progress: Progress) -> None:
        """Measure, once the page is there and the controls have come to rest; only then the address changes too."""
        self.page.wait(progress)
        progress.pause(PAUSE_S)
        if self.if_current(version, self._write_link):
            self._live(version, progress)

    def _write_link(self) -> None:
        self.page.write(link_of(self.state, self.first))

    def if_current(self, version: int, show: Callable[[], None]) -> bool:
        """Show something the worker brought, unless the page has moved on; return whether it was shown."""
        with self._lock:
            if version != self._version:
                return False
            show()
            return True

    def start_job(self, work: Callable[[Progress], None], listener: Callable[[Tick], None]) -> None:
        """Hand a long job to the worker; what it measures for the page is cancelled."""
        with self._lock:
            self._version += 1
            self.worker.submit(work, listener)

    def close(self) -> None:
        """End the worker's thread and the widgets."""
        self.worker.close()
        self._widget.close()

    def draw_controls(self) -> None:
        """Make the controls agree with the state."""
        raise TypeError(f"{type(self).__name__} must say how its controls are set")

    def _draw(self) -> None:
        raise TypeError(f"{type(self).__name__} must say what it draws")

    def _live(self, version: int, progress: Progress) -> None:
        raise TypeError(f"{type(self).__name__} must say what it measures")

    def _failed(self, error: BaseException) -> None:
        self.status.fail(error)

    def _paint(self) -> None:
        for each in self._figures:
            each.paint(DARK if self.page.dark else LIGHT)

    def _refresh(self) -> None:
        for each in self._figures:
            each.widget.refresh()


class View:
    """A card of the page: a title, something to look at, and one sentence that says what it shows.

    Args:
        title: of the card.
        children: what there is to look at.
        is_wide: over the whole width, several children side by side where there is room.
    """

    def __init__(self, title: str, *children: ipywidgets.Widget, is_wide: bool = False) -> None:
        heading = ipywidgets.HTML(f"<h2>{html.escape(title)}</h2>")
        self._summary = ipywidgets.HTML()
        self._summary.add_class("lk-summary")
        if is_wide and len(children) > 1:
            pair = ipywidgets.Box(children)
            pair.add_class("lk-pair")
            children = (pair,)
        self.widget = ipywidgets.VBox([heading, *children, self._summary])
        self.widget.add_class("lk-view")
        if is_wide:
            self.widget.add_class("is-wide")

    def say(self, sentence: str) -> None:
        """Put what the view shows into plain words."""
        text = f'<p aria-live="polite">{html.escape(sentence)}</p>'
        if text != self._summary.value:
            self._summary.value = text
