"""About: what the methods of a lab are, where they come from, and where the usual account of them is wrong.

Made when somebody opens it: a page that opens does not pay for it.
"""

import html
import re
import sys
from pathlib import Path

import ipywidgets

from labkit.core.registry import find
from labkit.panels._lab import Lab

HEADINGS = ("In one line", "The idea", "Pitfalls", "Deviation from the paper", "Source")


class AboutCard:
    """A section that is closed; opening it sends the message `about`.

    Args:
        lab: whose methods are told about.
    """

    def __init__(self, lab: Lab) -> None:
        self._lab = lab
        # The heading is a widget of its own: whoever opened it by keyboard stays on it when the rest comes.
        head = ipywidgets.HTML(
            '<details data-lk-do="about"><summary>About: the methods, their sources, the usual errors</summary></details>'
        )
        self.body = ipywidgets.HTML()
        self.body.add_class("lk-about-body")
        self.widget = ipywidgets.VBox([head, self.body])
        self.widget.add_class("lk-about")

    def fill(self) -> None:
        """Make the text, the first time."""
        if not self.body.value:
            self.body.value = about_html(self._lab)


def about_html(lab: Lab) -> str:
    """Return what About says: the lab's own sentences and sources, then a section of each method's card."""
    errors = "".join(f"<li>{html.escape(sentence)}</li>" for sentence in lab.usual_account)
    usual = f"<h3>Where the usual account is wrong</h3><ul>{errors}</ul>" if errors else ""
    items = "".join(f"<li>{html.escape(source)}</li>" for source in lab.sources)
    sources = f"<h3>Sources</h3><ul>{items}</ul>" if items else ""
    return usual + sources + "".join(_method_html(name) for name in lab.methods)


def _method_html(name: str) -> str:
    parts = card_parts(card_of(name).read_text(encoding="utf-8"))
    shown = "".join(f"<h4>{heading}</h4>{to_html(parts[heading])}" for heading in HEADINGS if parts.get(heading))
    return f"<details><summary>{html.escape(name.replace('_', ' '))}</summary>{shown}</details>"


def card_of(name: str) -> Path:
    """Return the card of a method: the file beside its code.

    Raises:
        UnknownNameError: there is no such method.
    """
    module = sys.modules[find(name).config.__module__]
    return Path(str(module.__file__)).with_suffix(".md")


def card_parts(text: str) -> dict[str, str]:
    """Split a card into its sections by heading; what a heading has in brackets is left out of its name."""
    pieces = re.split(r"^## (.+)$", text, flags=re.MULTILINE)
    return {heading.partition(" (")[0]: body.strip("\n") for heading, body in zip(pieces[1::2], pieces[2::2], strict=True)}


def to_html(markdown: str) -> str:
    """Return markdown as HTML; HTML in it is shown, not taken."""
    import mistune

    made = mistune.create_markdown(escape=True, plugins=["table"])(markdown)
    return str(made)
