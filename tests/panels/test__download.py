"""Files for the browser: nothing on the page before the first, each one told by its version, and let go once taken."""

from labkit.panels._download import Download


def test_the_first_file_is_there_when_the_page_looks():
    download = Download()
    assert download.widget.children == ()
    download.save("a.txt", b"one", "text/plain")
    (saver,) = download.widget.children
    assert (saver.name, saver.content, saver.kind, saver.version, saver.taken) == ("a.txt", b"one", "text/plain", 1, 0)


def test_every_file_is_another_version_even_the_same_again():
    download = Download()
    for n in range(1, 4):
        download.save("a.bin", b"same")
        (saver,) = download.widget.children
        assert saver.version == n


def test_bytes_are_let_go_once_the_browser_has_them():
    download = Download()
    download.save("a.bin", b"x" * 3_000_000)
    (saver,) = download.widget.children
    saver.taken = 1
    assert saver.content == b""
    download.save("b.bin", b"newer")
    download.save("c.bin", b"newest")
    saver.taken = 2
    assert saver.content == b"newest", "the page took an older one"
