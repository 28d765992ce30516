"""The labs behind a Jupyter server, as on Binder: jupyter-server-proxy starts labkit's own server and hands requests on."""

import os
import sys
from importlib.metadata import entry_points

import pytest

from benchmarks import _browser, live
from labkit.labs import HOME

pytest.importorskip("jupyter_server_proxy", reason="the binder extra is not installed")

PREFIX = "/user/ada/"
LAB = "02_pruning_granularity"


@pytest.fixture(scope="module")
def hub(browser, tmp_path_factory):
    """A Jupyter server under a prefix, as a hub runs it for each of its users."""
    assert entry_points(group="jupyter_serverproxy_servers", name="labkit"), "install labkit again: its entry points are older"
    home = tmp_path_factory.mktemp("hub")
    with pytest.MonkeyPatch.context() as patch:
        for name in ("JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR", "IPYTHONDIR"):
            patch.setenv(name, str(home / name.lower()))
        patch.delenv("JUPYTER_PATH", raising=False)
        command = [sys.executable, "-m", "jupyter", "server", "--no-browser", "--port={port}", f"--ServerApp.root_dir={home}"]
        command += [f"--ServerApp.base_url={PREFIX}", "--IdentityProvider.token=", "--ServerApp.password="]
        command += ["--allow-root"] if hasattr(os, "geteuid") and os.geteuid() == 0 else []
        with _browser.running_server(home, home / "log.txt", command=command, base_url=PREFIX) as running:
            yield running


def test_the_launch_link_opens_the_home_lab_and_lab_02_is_live(browser, hub):
    record = _browser.Record()
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    try:
        page = context.new_page()
        record.watch(page)
        page.goto(f"{hub.url}labkit/", timeout=_browser.READY_TIMEOUT_MS)
        assert page.url == f"{hub.url}labkit/labs/{HOME}"
        picture = page.locator(f'[data-lab="{LAB}"] img.is-light')
        page.wait_for_function("node => node.complete && node.naturalWidth > 0", arg=picture.element_handle())
        page.locator(f'[data-lab="{LAB}"] a').click()
        page.wait_for_selector("body.is-ready", timeout=_browser.READY_TIMEOUT_MS)
        assert page.url.split("#")[0] == f"{hub.url}labkit/labs/{LAB}"
        page.wait_for_selector(f"{live.MASK_LABEL}[aria-label]", timeout=_browser.READY_TIMEOUT_MS)
        before = page.locator(live.MASK_LABEL).get_attribute("aria-label")
        page.locator(live.SLIDER).first.press("ArrowRight")
        page.wait_for_function("([at, old]) => document.querySelector(at).ariaLabel !== old", arg=[live.MASK_LABEL, before])
        page.wait_for_timeout(6000)  # one pulse
        assert not page.locator(".lk-banner").is_visible()
        page.locator(".lk-brand").click()
        page.wait_for_url(f"{hub.url}labkit/labs/{HOME}", wait_until="commit")
        assert record.foreign(hub) == set()
        assert record.errors == []
    finally:
        context.close()
