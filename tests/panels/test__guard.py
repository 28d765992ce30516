"""Exceptions in callbacks become sentences, escaped, with the person's settings kept."""

import logging

from labkit.core.errors import ConfigError
from labkit.panels._guard import Status, guarded


def test_an_error_a_person_can_mend_is_shown_as_it_is():
    status = Status()

    def callback():
        raise ConfigError("sparsity must be in [0, 0.99], got 1.2")

    guarded(status, callback)()
    assert "sparsity must be in [0, 0.99], got 1.2" in status.widget.value
    assert 'role="alert"' in status.widget.value


def test_any_other_error_is_a_sentence_without_traceback_and_is_logged(caplog):
    status = Status()

    def callback():
        raise RuntimeError("shapes <b>do not</b> fit")

    with caplog.at_level(logging.ERROR, "labkit.panels"):
        guarded(status, callback)()
    assert "Traceback" not in status.widget.value
    assert "<b>" not in status.widget.value
    assert "&lt;b&gt;do not&lt;/b&gt;" in status.widget.value
    assert "RuntimeError" in status.widget.value
    assert "Traceback" in caplog.text


def test_a_callback_that_works_is_called_with_its_arguments():
    seen = []
    guarded(Status(), lambda a, b: seen.append((a, b)))(1, b=2)
    assert seen == [(1, 2)]


def test_a_long_message_is_cut():
    status = Status()
    status.say("x" * 10_000)
    assert len(status.widget.value) < 600
