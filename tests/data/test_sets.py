from pathlib import Path

import pytest

from labkit import data
from labkit.core.errors import UnknownNameError
from labkit.data import digits, fashion_mnist, sets


def test_sets_are_loaded_by_name() -> None:
    assert data.names() == ("fashion-mnist", "digits")
    assert data.load("digits") is digits.load()


@pytest.mark.parametrize("name", ["fashon-mnist", "", "labkit.data.digits"])
def test_an_unknown_set_is_refused(name: str) -> None:
    with pytest.raises(UnknownNameError, match=r"unknown data set .*known are digits, fashion-mnist"):
        data.load(name)


def test_the_counts_told_are_the_counts_loaded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("LABKIT_DATA", raising=False)
    for row in sets.describe():
        splits = data.load(row.name)
        assert row[1:4] == (len(splits.train), len(splits.held_out), len(splits.test))


def test_where_the_full_set_lies_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def told() -> str:
        return sets.describe()[0].full

    monkeypatch.delenv("LABKIT_DATA", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(fashion_mnist, "SYSTEM_FOLDER", tmp_path / "none")
    assert told() == "not found; `labkit data fetch fashion-mnist` brings 56,000 to train on"
    monkeypatch.setattr(fashion_mnist, "_has_set", lambda folder: folder == tmp_path / "none")
    assert told() == f"56,000 to train on in {tmp_path / 'none'}"
    monkeypatch.setenv("LABKIT_DATA", "/nowhere")
    assert told().startswith("LABKIT_DATA is '/nowhere', but")
