"""What strangers can and cannot do to a running server, over HTTP and WebSocket, without a browser."""

import gzip
import json
import re
import socket
import sys
import time
import urllib.error
import urllib.request
import uuid
from pathlib import Path

import pytest
from jupyter_server.services.kernels.connection.base import deserialize_msg_from_ws_v1, serialize_msg_to_ws_v1
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect

from benchmarks import _browser

FRAMING = "v1.kernel.websocket.jupyter.org"


def fetch(url):
    """Status, headers and body of an answer, whatever its status."""
    try:
        with urllib.request.urlopen(url, timeout=60) as answer:
            return answer.status, answer.headers, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.headers, error.read().decode()


def drain(socket):
    for _ in range(20):
        socket.recv(timeout=5)


def alive(server, kernel):
    return json.loads(fetch(f"{server.url}pulse/{kernel}")[2])["alive"]


@pytest.fixture(scope="module")
def page(server):
    return fetch(server.lab("01_toy"))[2]


@pytest.fixture(scope="module")
def kernel(page):
    return json.loads(re.search(r'id="jupyter-config-data"[^>]*>(.*?)</script>', page, re.S).group(1))["kernelId"]


def channels(server, kernel, **options):
    options = {"subprotocols": [FRAMING]} | options
    return connect(f"{server.url.replace('http', 'ws')}api/kernels/{kernel}/channels", **options)


def message(kind, content):
    header = {"msg_id": uuid.uuid4().hex, "msg_type": kind, "session": "s", "username": "u", "version": "5.3", "date": ""}
    return serialize_msg_to_ws_v1([json.dumps(part).encode() for part in (header, {}, {}, content)], "shell")


def kinds(socket, seconds):
    """Types of the messages that come within some seconds."""
    found, until = [], time.monotonic() + seconds
    while (left := until - time.monotonic()) > 0:
        try:
            frame = socket.recv(timeout=left)
        except TimeoutError:
            break
        found.append(json.loads(deserialize_msg_from_ws_v1(frame)[1][0])["msg_type"])
    return found


def test_execute_request_is_refused_and_widget_messages_are_not(server, kernel, tmp_path):
    code = f"import pathlib; pathlib.Path({str(tmp_path / 'trace')!r}).touch()"
    with channels(server, kernel) as socket:
        kinds(socket, 1)
        socket.send(
            message(
                "execute_request", {"code": code, "silent": False, "store_history": False, "user_expressions": {}, "allow_stdin": False}
            )
        )
        assert "execute_reply" not in kinds(socket, 2)
        socket.send(message("comm_info_request", {"target_name": "jupyter.widget"}))
        assert "comm_info_reply" in kinds(socket, 2)
    assert not (tmp_path / "trace").exists()
    assert '"execute_request", which is not allowed' in server.log.read_text()


@pytest.mark.parametrize(
    "kind", ["shutdown_request", "complete_request", "inspect_request", "history_request", "debug_request", "input_reply"]
)
def test_other_messages_are_refused(server, kernel, kind):
    with channels(server, kernel) as socket:
        kinds(socket, 0.5)
        socket.send(message(kind, {}))
        assert kinds(socket, 0.5) == []
    assert f'"{kind}", which is not allowed' in server.log.read_text()


def test_a_client_of_the_old_framing_is_turned_away(server, kernel):
    with pytest.raises(InvalidStatus) as refusal, channels(server, kernel, subprotocols=None):
        pass
    assert refusal.value.response.status_code == 400


@pytest.mark.parametrize("frame", [b"\xff" * 64, "text", b"\x00\x00\x00\x40" * 8])
def test_a_frame_made_to_keep_the_server_busy_ends_the_line(server, kernel, frame):
    with channels(server, kernel) as socket:
        kinds(socket, 0.5)
        socket.send(frame)
        with pytest.raises(ConnectionClosed):
            drain(socket)
    began = time.monotonic()
    assert alive(server, kernel)
    assert time.monotonic() - began < 5


def test_the_start_page_is_a_lab(server):
    with urllib.request.urlopen(server.url, timeout=60) as answer:
        assert answer.url == server.lab("01_toy")


def test_a_number_leads_to_the_lab(server):
    with urllib.request.urlopen(f"{server.url}labs/1", timeout=60) as answer:
        assert answer.url == server.lab("01_toy")


def test_the_source_is_not_in_the_page(page):
    assert "A toy lab" in page
    assert "SECRET_OF_THE_SOURCE" not in page
    assert "import anywidget" not in page


@pytest.mark.parametrize(
    "path",
    [
        "voila/api/contents/01_toy.ipynb",
        "voila/api/contents",
        "voila/tree",
        "voila/render/01_toy.ipynb",
        "api/contents/01_toy.ipynb",
        "voila/files/01_toy.ipynb",
        "voila/files/../conftest.py",
        "labs/01_toy.ipynb",
        "labs/../../conftest",
        "labs/%2e%2e%2ftest_toy",
        "api/kernels",
        "nothing",
    ],
)
def test_no_address_hands_out_a_source_or_a_list(server, path):
    status, _, body = fetch(server.url + path)
    assert status in (403, 404)
    assert "SECRET_OF_THE_SOURCE" not in body
    assert "Traceback" not in body


def test_a_missing_page_is_a_page_of_ours(server):
    status, headers, body = fetch(f"{server.url}labs/01_tyo")
    assert status == 404
    assert headers["Content-Type"].startswith("text/html")
    assert "There is no such page" in body
    assert "did you mean &#39;01_toy&#39;?" in body


def test_an_address_is_escaped(server):
    assert "<b>bold" not in fetch(f"{server.url}labs/<b>bold")[2]


def test_no_page_names_another_host(server, page):
    for text in (page, fetch(f"{server.url}nothing")[2], fetch(server.lab("02_failing"))[2]):
        assert set(re.findall(r"https?://[^/'\"\s]+", text)) <= {"http://www.w3.org"}


def test_a_cell_that_raises_gives_a_sentence_and_no_traceback(server):
    status, _, body = fetch(server.lab("02_failing"))
    assert status == 200
    assert "This part of the lab could not be computed" in body
    for secret in ("the secret is 42", "secret_number", "ValueError", "Traceback", "show_tracebacks"):
        assert secret not in body
    assert "the secret is 42" in server.log.read_text()


def test_files_with_a_fingerprint_are_kept_for_good(server, page):
    urls = re.findall(r'(?:href|src)="(/kept/[^"]+)"', page)
    assert len(urls) >= 5
    for url in urls:
        status, headers, _ = fetch(server.url + url[1:])
        assert status == 200
        assert "immutable" in headers["Cache-Control"]


def test_they_are_packed_for_whoever_takes_that(server, page):
    url = server.url + re.search(r'href="/(kept/[^"]+lab.css)"', page)[1]
    _, plain_headers, plain = fetch(url)
    assert "Content-Encoding" not in plain_headers
    with urllib.request.urlopen(urllib.request.Request(url, headers={"Accept-Encoding": "br, gzip"})) as answer:
        packed = answer.read()
    assert answer.headers["Content-Encoding"] == "gzip"
    assert answer.headers["Vary"] == plain_headers["Vary"] == "Accept-Encoding"
    assert "immutable" in answer.headers["Cache-Control"]
    assert int(answer.headers["Content-Length"]) == len(packed) < len(plain) / 2
    assert gzip.decompress(packed).decode() == plain
    assert "Etag" not in answer.headers
    part = urllib.request.Request(url, headers={"Accept-Encoding": "gzip", "Range": "bytes=0-9"})
    with urllib.request.urlopen(part) as answer:
        assert answer.status == 206
        assert answer.read().decode() == plain[:10]


def test_the_front_end_and_its_extensions_are_packed_too(server, page):
    config = json.loads(re.search(r'id="jupyter-config-data"[^>]*>(.*?)</script>', page, re.S).group(1))
    extension = next(each for each in config["federated_extensions"] if each["name"] == "anywidget")
    for path in (f"{config['fullStaticUrl']}/voila.js", f"{config['fullLabextensionsUrl']}/anywidget/{extension['load']}"):
        request = urllib.request.Request(server.url + path[1:], headers={"Accept-Encoding": "gzip"})
        with urllib.request.urlopen(request) as answer:
            assert answer.headers["Content-Encoding"] == "gzip"
            assert "immutable" in answer.headers["Cache-Control"]
            assert len(gzip.decompress(answer.read())) > 1000


def test_the_words_and_the_front_end_are_there_before_the_kernel(server):
    with urllib.request.urlopen(server.lab("01_toy"), timeout=60) as answer:
        first = b""
        while b"</main>" not in first and b"lk-skeleton" not in first:
            first += answer.read1()
        assert b"A toy lab" in first
        assert b"loadFrontEnd(" in first
        assert b"kernelStarted()" not in first
        whole = first + answer.read()
        assert whole.count(b"kernelStarted()") == whole.count(b'id="jupyter-config-data"') == whole.count(b"loadFrontEnd(") == 1


@pytest.mark.parametrize("heard_bytes", [0, 64])
def test_visitors_who_leave_at_once_leave_no_kernel(server, heard_bytes):
    before = kernel_names(server)
    host = server.url.split("/")[2].split(":")
    for _ in range(8):  # the server sees the end of a line at different places
        with socket.create_connection((host[0], int(host[1]))) as line:
            line.sendall(f"GET /labs/01_toy HTTP/1.1\r\nHost: {':'.join(host)}\r\n\r\n".encode())
            if heard_bytes:
                line.recv(heard_bytes)
    time.sleep(1)
    for _ in range(300):
        if kernel_names(server) <= before:
            return
        time.sleep(0.1)
    pytest.fail("a kernel of theirs still runs after 30 s")


def kernel_names(server):
    """Names of the forked kernels that run, of this server; where none are forked, an empty set."""
    found = set()
    for comm in Path("/proc").glob("[0-9]*/comm"):
        try:
            name, parent = comm.read_text().strip(), comm.with_name("stat").read_text().rpartition(")")[2].split()[1]
            grandparent = Path(f"/proc/{parent}/stat").read_text().rpartition(")")[2].split()[1]
        except OSError:
            continue
        if name.startswith("labkit ") and int(grandparent) == server.process.pid:
            found.add(name)
    return found


def test_a_closing_page_ends_its_kernel(server):
    with urllib.request.urlopen(server.lab("01_toy"), timeout=60) as answer:
        cookies = "; ".join(line.split(";")[0] for line in answer.headers.get_all("Set-Cookie"))
        mine = json.loads(re.search(r'id="jupyter-config-data"[^>]*>(.*?)</script>', answer.read().decode(), re.S).group(1))["kernelId"]
    token = re.search(r"_xsrf=([^;]+)", cookies).group(1)
    assert alive(server, mine)
    request = urllib.request.Request(f"{server.url}voila/api/shutdown/{mine}", data=f"_xsrf={token}".encode(), headers={"Cookie": cookies})
    with urllib.request.urlopen(request, timeout=30) as answer:
        assert answer.status == 204
    assert not alive(server, mine)


@pytest.mark.parametrize("headers", [{}, {"Origin": "http://elsewhere.example"}])
def test_another_site_cannot_end_a_kernel(server, kernel, headers):
    request = urllib.request.Request(f"{server.url}voila/api/shutdown/{kernel}", data=b"", headers=headers)
    with pytest.raises(urllib.error.HTTPError) as refusal:
        urllib.request.urlopen(request, timeout=30)
    assert refusal.value.code in (403, 404)
    assert alive(server, kernel)


def test_a_server_without_memory_says_so_and_stays(tmp_path):
    code = (
        "import sys; from pathlib import Path; from labkit.serve import _memory, app; _memory.free_mb = lambda: 10.0\n"
        f"app.serve(None, port=int(sys.argv[1]), open_browser=False, folder=Path({str(_browser.ROOT / 'tests/browser/toy_labs')!r}))"
    )
    with _browser.running_server(tmp_path, tmp_path / "log.txt", command=[sys.executable, "-c", code, "{port}"]) as full:
        status, _, body = fetch(full.lab("01_toy"))
        assert status == 503
        assert "No room for another lab" in body
        assert "Try again in a minute" in body
        assert "Traceback" not in body
        assert fetch(f"{full.url}labs/nothing")[0] == 404
