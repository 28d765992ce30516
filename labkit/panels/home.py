"""Lab 00, the way in: the labs as cards, and what this browser remembers of each.

The page is text that is made once: nothing on it talks to the kernel, so it imports neither torch nor widgets, and the
server makes it without any kernel. What the learner has done is read by a small script in the browser, where the labs
keep it.
"""

import html
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from labkit.labs import THEMES, Lab, catalogue, labs_folder, picture_name
from labkit.panels._bokeh import STYLE, in_jupyterlab

PICTURE_SIZE = (720, 450)
"""Width and height of a lab's small picture, in pixels; a card shows it at half of that on most screens."""

_STATIC = Path(__file__).parent / "_static"
_FORGET = """<div class="lk-forget" hidden>
<button type="button" class="lk-button lk-forget-ask">Forget my progress</button>
<dialog class="lk-dialog" aria-labelledby="lk-forget-title">
<form method="dialog">
<h2 id="lk-forget-title">Forget what you have done?</h2>
<p>Ticked steps and best attempts of every lab are deleted from this browser. They are kept nowhere else.</p>
<div class="lk-dialog-buttons"><button class="lk-button" value="keep" autofocus>Keep them</button>
<button class="lk-button is-danger" value="forget">Forget them</button></div>
</form>
</dialog>
</div>"""


def cards(labs: Sequence[Lab], lab_url: Callable[[str], str], picture_url: Callable[[str], str]) -> str:
    """Return the labs as HTML: a card each, with the script that fills in what the browser remembers.

    Args:
        labs: in order.
        lab_url: from a lab's name to its address.
        picture_url: from a picture's name (see `picture_name`) to its address.
    """
    script = (_STATIC / "home.js").read_text(encoding="utf-8")
    style = (_STATIC / "home.css").read_text(encoding="utf-8")
    listed = "\n".join(_card(lab, lab_url, picture_url) for lab in labs)
    return f"""<style>{style}</style>
<div class="lk-home">
<ul class="lk-cards" aria-label="The labs">
{listed}
</ul>
{_FORGET}
</div>
<script>{script}</script>"""


def _card(lab: Lab, lab_url: Callable[[str], str], picture_url: Callable[[str], str]) -> str:
    wide, high = PICTURE_SIZE
    pictures = "".join(
        f'<img class="is-{theme}" src="{html.escape(picture_url(picture_name(lab.name, theme)))}" alt="" width="{wide}" height="{high}" loading="lazy">'
        for theme in THEMES
    )
    title, question, chapter = (html.escape(each) for each in (lab.title, lab.question, lab.chapter))
    return f"""<li class="lk-lab-card" data-lab="{html.escape(lab.name)}">
<div class="lk-picture">{pictures}<span class="lk-continue" hidden>Continue here</span></div>
<div class="lk-card-text">
<p class="lk-chapter"><span class="lk-number">{html.escape(lab.name[:2])}</span> {chapter}</p>
<h2><a href="{html.escape(lab_url(lab.name))}">{title}</a></h2>
<p class="lk-asks">{question}</p>
<p class="lk-so-far"><span>about {lab.minutes} min</span><span class="lk-done"></span></p>
<div class="lk-track" aria-hidden="true"><div></div></div>
</div>
</li>"""


def home() -> Any:
    """Return the home lab as a notebook shows it: the cell's last line.

    JupyterLab resolves addresses from where the notebook lies and opens a notebook that is linked; the labs' style, which
    pages of labkit's own server have, comes along.

    Returns:
        An `IPython.display.HTML`.
    """
    from IPython.display import HTML

    style = f"<style>{STYLE.read_text(encoding='utf-8')}</style>\n" if in_jupyterlab(os.environ) else ""
    listed = cards(catalogue(labs_folder()), lambda lab: f"{lab}.ipynb", lambda picture: f"pictures/{picture}")
    show: Any = HTML  # IPython has no types here
    return show(f'<div class="lk-lab">{style}{listed}</div>')
