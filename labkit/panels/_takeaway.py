"""What a person takes home from a lab: the program that comes to the figures on show."""

from collections.abc import Callable
from typing import Any

import ipywidgets

from labkit.panels._code import Code
from labkit.panels._panel import View


class Takeaway:
    """The card with the program, which is made when people want to see it; a lab may add buttons.

    Args:
        program: returns the program of what is on show.
        guard: makes a callback safe.
        hint: what there is to take home.
        tip: of the button that shows the program.
        buttons: beside that one.
    """

    def __init__(self, program: Callable[[], str], guard: Any, hint: str, tip: str, buttons: tuple[ipywidgets.Button, ...] = ()) -> None:
        self._program = program
        self.code_button = ipywidgets.ToggleButton(value=False, description="Show the code", tooltip=tip)
        self.code_button.observe(guard(lambda _: self.draw()), names="value")
        row = ipywidgets.HBox([self.code_button, *buttons])
        row.add_class("lk-row")
        self._code: Code | None = None
        self._holder = ipywidgets.VBox()
        self.view = View("Take it with you", row, self._holder)
        self.view.widget.add_class("is-wide")
        self.view.say(hint)

    def draw(self) -> None:
        """Show the program of what is on show, if people want to see it."""
        self.code_button.description = "Hide the code" if self.code_button.value else "Show the code"
        if not self.code_button.value:
            self._holder.children = []
            return
        if self._code is None:
            self._code = Code()
        self._code.text = self._program()
        self._holder.children = [self._code]
