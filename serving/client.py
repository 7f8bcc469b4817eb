"""Talks to a store's server: with a token, again after a lost connection, files from where they broke off."""

import os
import random
import ssl
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import httpx

from serving.jobs import Late
from utils.files import sha256_file

TOKEN, TOKEN_FILE = "EVERGREEN_TOKEN", "EVERGREEN_TOKEN_FILE"
PIECE = 64 << 20  # bytes of an upload in one request
READ = 1 << 20
LONGEST_PAUSE = 15.0  # seconds between two tries
AGAIN = (429, 502, 503, 504)  # states that pass


class Refused(ValueError):
    """The server said no, and why."""

    def __init__(self, status: int, why: str) -> None:
        super().__init__(why)
        self.status = status


class Client:
    """server: http://HOST:PORT. tries: of each request while the connection fails; None: until `over` is set.

    certificate: the file of a certificate authority, or the server's own certificate.
    """

    def __init__(
        self,
        server: str,
        token: str,
        certificate: str | None = None,
        tries: int | None = 5,
        timeout: float = 30.0,
        over: threading.Event | None = None,
    ) -> None:
        encrypted = server.startswith("https:")  # the list of authorities is read for nothing else
        verify = _trusting(certificate) if certificate else encrypted
        headers = {"Authorization": f"Bearer {token}"}
        self.http = httpx.Client(
            base_url=server.rstrip("/"), headers=headers, timeout=timeout, verify=verify, trust_env=False
        )
        self.server, self.tries, self.over = server, tries, over or threading.Event()

    def close(self) -> None:
        self.http.close()

    def get(self, path: str, **parameters: Any) -> Any:
        return self._asked("GET", path, params=parameters).json()

    def post(self, path: str, content: Any = None, patient: float | None = None) -> Any:
        """The answer; None where it is empty. patient: seconds to wait for it."""
        options = {} if patient is None else {"timeout": patient}
        answer = self._asked("POST", path, json=content if content is not None else {}, **options)
        return answer.json() if answer.content else None

    def put(self, file: Path) -> str:
        """Brings a file there, or what is missing of it; its sha256."""
        sha256, length = sha256_file(file), file.stat().st_size
        path = f"/api/blobs/{sha256}"
        state = self._asked("HEAD", path)
        while state.headers["Upload-Complete"] != "?1":
            state = self._piece(path, file, int(state.headers["Upload-Offset"]), length)
        return sha256

    def _piece(self, path: str, file: Path, offset: int, length: int) -> httpx.Response:
        """Sends one; where it broke off, met a busy server or was not what it waited for, its state."""
        headers = {"Upload-Offset": str(offset), "Upload-Length": str(length)}
        with file.open("rb") as stream:
            stream.seek(offset)
            content = stream.read(min(PIECE, length - offset))
        with suppress(httpx.TransportError, Late):
            answer = self.http.patch(path, content=content, headers=headers, timeout=300.0)
            if answer.status_code not in AGAIN:
                return _checked(answer)
        time.sleep(random.uniform(0.1, 0.5))
        return self._asked("HEAD", path)

    def fetch(self, sha256: str, file: Path) -> None:
        """A blob into a file. Raises ValueError where what came is not it, Refused, ConnectionError."""
        file.parent.mkdir(parents=True, exist_ok=True)
        self._answered(partial(self._streamed, f"/api/blobs/{sha256}", file))
        if sha256_file(file) != sha256:
            raise ValueError(f"{sha256} did not arrive whole from {self.server}")

    def _streamed(self, path: str, file: Path) -> httpx.Response:
        """One try of a download; what is no success is read for its reason."""
        with self.http.stream("GET", path) as answer:
            if not answer.is_success:
                answer.read()
                return answer
            with file.open("wb") as target:
                for piece in answer.iter_bytes(READ):
                    target.write(piece)
        return answer

    def _asked(self, method: str, path: str, **options: Any) -> httpx.Response:
        return self._answered(partial(self.http.request, method, path, **options))

    def _answered(self, send: Callable[[], httpx.Response]) -> httpx.Response:
        """A request that may be sent twice, until it is answered whole. Raises Late, Refused, ConnectionError."""
        tried = 0
        while True:
            try:
                answer = send()
                if answer.status_code not in AGAIN:
                    return _checked(answer)
                trouble = f"state {answer.status_code}"
            except httpx.TransportError as error:
                trouble = str(error) or type(error).__name__
            tried += 1
            pause = random.uniform(0, min(LONGEST_PAUSE, 0.25 * 2 ** min(tried, 10)))
            if (self.tries is not None and tried >= self.tries) or self.over.wait(pause):
                raise ConnectionError(f"{self.server} does not answer ({trouble}): does `python -m serving` run there?")


def _trusting(certificate: str) -> ssl.SSLContext:
    """Raises ValueError where the file holds no certificate."""
    try:
        return ssl.create_default_context(cafile=certificate)
    except OSError as error:
        said = error.strerror or error
        raise ValueError(
            f"certificate={certificate} cannot be read ({said}): give a PEM file, the server's own"
        ) from error


def _checked(answer: httpx.Response) -> httpx.Response:
    if answer.is_success:
        return answer
    if answer.status_code == 409:
        raise Late(why(answer))
    raise Refused(answer.status_code, why(answer))


def why(answer: httpx.Response) -> str:
    """What the server says of an answer that is no success."""
    try:
        return str(answer.json()["error"])
    except (ValueError, KeyError, TypeError):
        return f"{answer.request.method} {answer.request.url.path} was answered with {answer.status_code}"


def token_from(file: str | None = None) -> str:
    """The secret from a file or the environment; never from a command line, which other users can read."""
    named = file or os.environ.get(TOKEN_FILE)
    if named:
        path = Path(named).expanduser()
        if not path.is_file():
            raise ValueError(f"{path} holds no token: there is no such file")
        return path.read_text().strip()
    if TOKEN in os.environ:
        return os.environ[TOKEN].strip()
    raise ValueError(f"a token is needed: set {TOKEN}, or {TOKEN_FILE} to a file that holds it")
