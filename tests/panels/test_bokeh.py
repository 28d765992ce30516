import IPython.display
import pytest

from labkit.panels import _bokeh


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({}, False),
        ({"JPY_SESSION_NAME": "labs/02.ipynb"}, True),
        ({"JPY_SESSION_NAME": "labs/02.ipynb", "VOILA_REQUEST_URL": "http://127.0.0.1/"}, False),
    ],
)
def test_only_a_notebook_open_in_jupyterlab_counts(environment, expected):
    assert _bokeh.in_jupyterlab(environment) is expected


def test_elsewhere_nothing_is_displayed(monkeypatch):
    monkeypatch.delenv("JPY_SESSION_NAME", raising=False)
    monkeypatch.setattr(IPython.display, "display", lambda *_, **__: pytest.fail("displayed"))
    _bokeh.ensure_bokeh()


def test_in_jupyterlab_the_output_is_emptied_again(monkeypatch):
    shown = []

    class Handle:
        def update(self, content):
            shown.append(content.data)

    def display(content, display_id):
        assert display_id is True
        shown.append(content.data)
        return Handle()

    monkeypatch.setenv("JPY_SESSION_NAME", "labs/02.ipynb")
    monkeypatch.delenv("VOILA_REQUEST_URL", raising=False)
    monkeypatch.setattr(IPython.display, "display", display)
    _bokeh.ensure_bokeh()
    assert len(shown[0]) > 1_000_000
    assert shown[1:] == [""]


def test_the_script_guards_against_a_second_run():
    script = _bokeh.page_script()
    assert script.startswith('if (!document.getElementById("labkit-style"))')
    assert "if (window.Bokeh === undefined) (function () {" in script
    assert script.endswith("}).call(window);")
    assert ".lk-strip" in script
