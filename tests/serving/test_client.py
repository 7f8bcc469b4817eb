"""What the client does when a server breaks off, is busy or says no."""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread

import pytest

from serving import client as module
from serving.client import Client, Refused

CONTENT = b"weights" * 1000
SHA256 = hashlib.sha256(CONTENT).hexdigest()
WHOLE, BROKEN = (200, len(CONTENT)), (200, 10)  # status, and how many bytes come before the connection is closed


@pytest.fixture(autouse=True)
def _short_pauses(monkeypatch):
    monkeypatch.setattr(module, "LONGEST_PAUSE", 0.01)


@contextmanager
def listening(handler: type[BaseHTTPRequestHandler]) -> Iterator[str]:
    """A server that answers so; its address."""
    server = HTTPServer(("127.0.0.1", 0), handler)
    Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


@contextmanager
def answering(*answers: tuple[int, int]) -> Iterator[str]:
    """A server that gives these answers to one request after the other, the last one for ever; its address."""
    left = list(answers)

    class Answer(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            status, length = left.pop(0) if len(left) > 1 else left[0]
            self.send_response(status)
            self.send_header("Content-Length", str(len(CONTENT)))
            self.end_headers()
            self.wfile.write(CONTENT[:length])

        def log_message(self, *_: object) -> None: ...

    with listening(Answer) as address:
        yield address


@pytest.mark.parametrize("trouble", [BROKEN, (503, 0), (503, len(CONTENT)), (429, len(CONTENT))])
def test_a_download_that_breaks_off_or_meets_a_busy_server_begins_again(trouble, tmp_path):
    with answering(trouble, trouble, WHOLE) as address:
        Client(address, "token").fetch(SHA256, tmp_path / "file")
    assert (tmp_path / "file").read_bytes() == CONTENT


def test_a_download_that_never_comes_whole_is_a_connection_error(tmp_path):
    with answering(BROKEN) as address, pytest.raises(ConnectionError, match="does not answer"):
        Client(address, "token", tries=2).fetch(SHA256, tmp_path / "file")


def test_a_file_that_is_not_there_is_refused_at_once(tmp_path):
    with answering((404, len(CONTENT)), WHOLE) as address, pytest.raises(Refused):
        Client(address, "token").fetch(SHA256, tmp_path / "file")
    assert not (tmp_path / "file").exists()


@pytest.mark.parametrize("trouble", [429, 502, 503])
def test_an_upload_that_meets_a_busy_server_goes_on(trouble, tmp_path):
    here, left = bytearray(), [trouble, trouble]

    class Store(BaseHTTPRequestHandler):
        def do_HEAD(self) -> None:
            self.told(204)

        def do_PATCH(self) -> None:
            content = self.rfile.read(int(self.headers["Content-Length"]))
            if left:
                self.told(left.pop())
            else:
                here.extend(content)
                self.told(204)

        def told(self, status: int) -> None:
            self.send_response(status)
            self.send_header("Upload-Offset", str(len(here)))
            self.send_header("Upload-Complete", "?1" if here else "?0")
            self.end_headers()

        def log_message(self, *_: object) -> None: ...

    (tmp_path / "file").write_bytes(CONTENT)
    with listening(Store) as address:
        assert Client(address, "token").put(tmp_path / "file") == SHA256
    assert bytes(here) == CONTENT
