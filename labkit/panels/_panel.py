"""What every lab's panel is: one frozen state, one `_draw` for the first paint and every later one, one worker, one lock.

A person moves a control; a pure transition makes the next state; `_draw` shows what is instant and asks the worker for what
is live. Callbacks may come on different threads, so state and drawing are guarded by one lock. Whatever the worker brings
for a state that is no longer the present one is dropped.
"""

import html
import sys
import threading
from collections.abc import Callable
from typing import Generic, TypeVar

import ipywidgets

from labkit.core.progress import Progress, Tick
from labkit.panels._bokeh import ensure_bokeh
from labkit.panels._figures import DARK, LIGHT, Figure
from labkit.panels._guard import Status, guarded
from labkit.panels._jobs import Worker
from labkit.panels._raster import Page

SWITCH_S = 0.0005
"""How long a thread may keep Python to itself. At the usual 5 ms, what was drawn waits in the thread that sends it."""

S = TypeVar("S")


class Panel(Generic[S]):
    """Base of the panels; a lab's own panel says what is drawn and what is measured.

    Args:
        state: the first one.
        question: what the lab answers, one sentence.
        figures: the Bokeh figures, which follow the theme.
    """

    def __init__(self, state: S, question: str, figures: tuple[Figure, ...]) -> None:
        ensure_bokeh()
        sys.setswitchinterval(SWITCH_S)
        self.state, self._first = state, state
        self.status = Status()
        self.worker = Worker(self._failed)
        self._lock = threading.RLock()
        self._version = 0
        self._figures = figures
        self._page = Page(figures=len(figures))
        self._page.observe(self.guard(lambda _: self._paint()), names="dark")
        self._page.observe(self.guard(lambda _: self._refresh()), names="opened")
        self._question = ipywidgets.HTML(f'<p class="lk-question">{html.escape(question)}</p>')
        self._paint()

    def lay_out(
        self, top: ipywidgets.Widget, strip: ipywidgets.Widget, controls: list[ipywidgets.Widget], views: list[ipywidgets.Widget]
    ) -> None:
        """Put the parts of the page in the order in which every lab has them."""
        side, main = ipywidgets.VBox(controls), ipywidgets.Box(views)
        for box, name in ((side, "lk-side"), (main, "lk-views")):
            box.add_class(name)
        body = ipywidgets.Box([side, main])
        body.add_class("lk-body")
        self.widget = ipywidgets.VBox([self._question, top, strip, self.status.widget, body, self._page])
        self.widget.add_class("lk-lab")

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

    def reset(self) -> None:
        """Go back to the first state."""
        self.status.say("")
        self.move(self._first)

    def draw(self) -> None:
        """Show the present state; the same for the first paint and every later one."""
        with self._lock:
            self._draw()
            self.ask()

    def ask(self) -> None:
        """Ask the worker to measure what is live of the present state; whatever it does for an older one is cancelled."""
        with self._lock:
            self._version += 1
            version = self._version
            self.worker.submit(lambda progress: self._live(version, progress))

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
        self.widget.close()

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
            each.paint(DARK if self._page.dark else LIGHT)

    def _refresh(self) -> None:
        for each in self._figures:
            each.widget.refresh()


class View:
    """A card of the page: a title, something to look at, and one sentence that says what it shows.

    Args:
        title: of the card.
        children: what there is to look at.
        is_wide: over the whole width, its children side by side where there is room.
    """

    def __init__(self, title: str, *children: ipywidgets.Widget, is_wide: bool = False) -> None:
        heading = ipywidgets.HTML(f"<h2>{html.escape(title)}</h2>")
        self._summary = ipywidgets.HTML()
        self._summary.add_class("lk-summary")
        if is_wide:
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
