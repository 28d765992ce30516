import os

from voila.paths import collect_static_paths, collect_template_paths

from labkit.serve import _settings


def test_the_server_gives_away_neither_source_nor_traceback(tmp_path):
    config = _settings.voila_config(tmp_path)
    assert config.VoilaConfiguration.strip_sources is True
    assert config.VoilaConfiguration.show_tracebacks is False
    assert config.VoilaConfiguration.allow_template_override == "NO"


def test_a_browser_may_send_widget_messages_only():
    assert not {"execute_request", "shutdown_request", "complete_request", "inspect_request", "debug_request"} & set(_settings.MESSAGES)
    assert {"comm_open", "comm_msg", "comm_close"} < set(_settings.MESSAGES)


def test_the_template_is_found_first_and_what_a_person_set_stays(monkeypatch):
    monkeypatch.setenv("JUPYTER_PATH", "/somewhere/else")
    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    _settings.prepare_environment(os.environ)
    _settings.prepare_environment(os.environ)
    share = _settings.SERVE / "share" / "jupyter"
    assert os.environ["JUPYTER_PATH"].split(os.pathsep) == [str(share), "/somewhere/else"]
    assert os.environ["OMP_NUM_THREADS"] == "7"
    assert 1 <= int(os.environ["NUMBA_NUM_THREADS"]) <= 4
    templates = collect_template_paths(["voila", "nbconvert"], "labkit", prune=True)
    assert templates[0] == str(share / "voila" / "templates" / "labkit")
    assert any(path.endswith("voila/templates/base/static") for path in collect_static_paths(["voila", "nbconvert"], "labkit"))


def test_every_file_of_a_page_is_there_and_none_names_another_host():
    for name, path in _settings.page_files().items():
        text = path.read_text()
        assert len(text) > 500, name
        if name != "bokeh.min.js":
            assert "://" not in text.replace("http://www.w3.org", ""), name


def test_the_fingerprint_follows_the_files(tmp_path, monkeypatch):
    before = _settings.fingerprint([])
    assert before == _settings.fingerprint([])
    (tmp_path / "lab.css").write_text("/* changed */")
    monkeypatch.setattr(_settings, "PANELS_STATIC", tmp_path)
    assert _settings.fingerprint([]) != before


def test_the_fingerprint_follows_the_extensions(tmp_path):
    package = tmp_path / _settings.EXTENSIONS[0] / "package.json"
    package.parent.mkdir(parents=True)
    package.write_text('{"version": "1"}')
    one = _settings.fingerprint([str(tmp_path)])
    package.write_text('{"version": "2"}')
    assert _settings.fingerprint([str(tmp_path)]) != one
