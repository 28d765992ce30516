"""The home lab's cards as text; what the browser makes of them is in tests/browser/test_lab_00.py."""

import re
import subprocess
import sys

import pytest

from labkit.labs import THEMES, Lab, catalogue, labs_folder
from labkit.panels.home import cards, home

HEAVY = ("torch", "bokeh", "jupyter_bokeh", "ipywidgets", "numba", "sklearn", "numpy")


def test_a_card_says_what_the_catalogue_says():
    lab = Lab("07_sparse_execution", "Sparse execution", "From how many zeros on?", 20, "Pruning")
    made = cards([lab], lambda name: f"/labs/{name}", lambda picture: f"/pictures/{picture}?v=1")
    assert '<a href="/labs/07_sparse_execution">Sparse execution</a>' in made
    assert 'data-lab="07_sparse_execution"' in made
    for text in ("From how many zeros on?", "about 20 min", "Pruning", ">07<"):
        assert text in made
    assert re.findall(r'class="is-(\w+)" src="([^"]+)"', made) == [
        ("light", "/pictures/07-light.webp?v=1"),
        ("dark", "/pictures/07-dark.webp?v=1"),
    ]


def test_what_a_lab_says_is_text_and_never_markup():
    lab = Lab('01_"><script>', "<b>bold</b>", "a & b < c?", 5, "<i>")
    made = cards([lab], lambda name: f'"><script>{name}', lambda picture: f'">{picture}')
    card = made[made.index("<ul") : made.index("</ul>")]
    assert "<script>" not in card
    assert "<b>" not in card
    assert "&lt;b&gt;bold&lt;/b&gt;" in card
    assert "a &amp; b &lt; c?" in card


def test_a_notebook_links_notebooks_and_pictures_beside_it(monkeypatch):
    monkeypatch.delenv("JPY_SESSION_NAME", raising=False)
    made = home().data
    for lab in catalogue(labs_folder()):
        assert f'href="{lab.name}.ipynb"' in made
        for theme in THEMES:
            assert f'src="pictures/{lab.name[:2]}-{theme}.webp"' in made


@pytest.mark.parametrize(("session", "has_tokens"), [("labs/00_home.ipynb", True), ("", False)])
def test_only_jupyterlab_gets_the_labs_style_with_it(session, has_tokens, monkeypatch):
    monkeypatch.delenv("VOILA_REQUEST_URL", raising=False)
    monkeypatch.setenv("JPY_SESSION_NAME", session)
    assert ("--lk-surface: #ffffff" in home().data) is has_tokens


def test_the_way_in_imports_nothing_heavy():
    program = f"import sys; from labkit.panels.home import home; home(); print([each for each in {HEAVY!r} if each in sys.modules])"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
