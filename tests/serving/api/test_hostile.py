"""Whatever is sent, the server refuses it in words, keeps its memory, and writes nothing outside of its store."""

import os
import random
import re
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path

import httpx
import psutil
import pytest

from serving.settings import MEBIBYTE
from tests.serving.conftest import bearer
from tests.serving.networks import network_package, png

SEED = 7
FINE = {200, 400, 413, 415, 422}
GROWTH = 50 * MEBIBYTE
ROLES = ("viewer", "worker", "operator", "admin")


@pytest.fixture
def server(launch, tmp_path):
    with started(launch, tmp_path) as running:
        yield running


@contextmanager
def started(launch, tmp_path, *more):
    """A server in a process of its own: a client of an admin, the process, the store's root, a token for each role."""
    root = tmp_path / "store"
    options = (f"serving.root={root}", "serving.port=0", "serving.local_workers=0", "engine=onnxruntime", *more)
    running = launch("serving/__main__.py", *options, EVERGREEN_VERSION="test-version")
    address = None
    while address is None:
        time.sleep(0.05)
        told = running.output.read_text() if running.output.exists() else ""
        address = next((word.removesuffix("/api") for word in told.split() if word.endswith("/api")), None)
        assert running.process.exitcode is None, told
    tokens = {role: (root / "tokens" / role).read_text().strip() for role in ("operator", "worker", "admin")}
    with httpx.Client(base_url=address, headers=bearer(tokens["admin"]), timeout=60, verify=False) as client:
        made = client.post("/api/tokens", json={"name": "guest", "role": "viewer"})
        tokens["viewer"] = made.json()["token"]
        yield client, running, root, tokens


class Blobs:
    """What `network_package` puts its files into: the server's, over HTTP."""

    def __init__(self, client) -> None:
        self.client = client
        self.store = self.blobs = self

    def put(self, content: bytes, sha256: str) -> None:
        headers = {"Upload-Offset": "0", "Upload-Length": str(len(content)), "Upload-Complete": "?1"}
        answer = self.client.patch(f"/api/blobs/{sha256}", content=content, headers=headers)
        assert answer.is_success, answer.text


def goes_live(client) -> None:
    answer = client.post("/api/models", json=network_package(Blobs(client)))
    assert answer.json()["promoted"], answer.text
    while not any(one["state"] == "live" for one in client.get("/api/serving").json()):
        time.sleep(0.1)


def mutants(count: int):
    """Images with bytes changed, cut out, doubled or put in; forms whose framing is wrong."""
    draw = random.Random(SEED)
    whole = [png(place, (64, 48), kind) for place, kind in enumerate(("PNG", "JPEG", "WEBP") * 3)]
    for _ in range(count):
        data = bytearray(draw.choice(whole))
        for _ in range(draw.randint(1, 6)):
            place = draw.randrange(len(data))
            act = draw.randrange(5)
            if act == 0:
                data[place] = draw.randrange(256)
            elif act == 1:
                del data[place : place + draw.randint(1, 40)]
            elif act == 2:
                data[place:place] = data[: draw.randint(1, 40)]
            elif act == 3:
                data[place : place + 4] = draw.choice([b"\xff\xff\xff\xff", b"\0\0\0\0", b"\x7f\xff\xff\xff"])
            else:
                del data[place:]
            data = data or bytearray(b"\0")
        yield bytes(data), draw.randrange(4)


def send(client, data: bytes, how: int):
    if how == 0:
        return client.post("/predict", content=data)
    if how == 1:
        return client.post("/predict", files={"image": ("../../x.png", data, "image/png")})
    if how == 2:
        return client.post("/predict", content=data, headers={"content-type": "multipart/form-data; boundary=x"})
    return client.post(
        "/predict", content=b"--x\r\n" + data, headers={"content-type": "multipart/form-data; boundary=x"}
    )


def hostile(server, tmp_path, count: int) -> None:
    client, running, root, _ = server
    goes_live(client)
    process = psutil.Process(running.process.pid)
    for data, how in mutants(50):  # what is loaded at the first use
        send(client, data, how)
    outside, memory = listing(tmp_path, root), process.memory_info().rss
    statuses: dict[int, int] = {}
    for data, how in mutants(count):
        answer = send(client, data, how)
        statuses[answer.status_code] = statuses.get(answer.status_code, 0) + 1
        assert answer.status_code in FINE, (answer.status_code, answer.text, how, data[:64])
        assert answer.status_code == 200 or answer.json()["error"]
    assert len(statuses) >= 3 and statuses[200] < count / 2
    assert client.post("/predict", content=png()).status_code == 200
    assert process.memory_info().rss - memory < GROWTH
    assert listing(tmp_path, root) == outside


def listing(place: Path, store: Path) -> set[str]:
    """All files that are not the store's or a log."""
    return {str(file) for file in place.rglob("*") if store not in file.parents and file.suffix not in (".txt", ".log")}


def test_hostile_uploads_are_refused_in_words(server, tmp_path):
    hostile(server, tmp_path, 60)


@pytest.mark.soak
@pytest.mark.timeout(900)
def test_5000_hostile_uploads_are_refused_in_words(server, tmp_path):
    hostile(server, tmp_path, 5000)


def fuzzed(server, tmp_path, role: str, examples: int) -> None:
    """schemathesis over the whole API with a token of this role: no answer is the server's own mistake.

    503 is none: who gives a deadline of a millisecond is told that there was no answer in it.
    """
    client, running, _, tokens = server
    schema = tmp_path / "openapi.json"
    schema.write_text(client.get("/api/openapi.json").text)
    address = str(client.base_url)
    line = [
        *(sys.executable, "-m", "schemathesis.cli", "run", str(schema), "--url", address),
        *("--checks", "not_a_server_error", "--header", f"Authorization: Bearer {tokens[role]}"),
        *("--max-examples", str(examples), "--seed", str(SEED), "--phases", "coverage,fuzzing", "--no-color"),
        *("--suppress-health-check", "all", "--warnings", "off", "--continue-on-failure"),
        *("--generation-database", "none"),
    ]
    done = subprocess.run(line, cwd=tmp_path, env=os.environ, capture_output=True, text=True)
    assert int(re.findall(r"Tested: (\d+)", done.stdout)[-1]) > 40 and "generated" in done.stdout, (
        done.stdout + done.stderr
    )
    assert set(re.findall(r"\[(\d\d\d)\]", done.stdout)) <= {"503"}, done.stdout[-6000:]
    assert client.get("/readyz").status_code == 200
    assert "something went wrong" not in running.output.read_text()


def test_no_request_of_an_operator_is_answered_by_a_mistake_of_the_server(server, tmp_path):
    fuzzed(server, tmp_path, "operator", 2)


@pytest.mark.soak
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("role", ROLES)
def test_no_request_in_any_role_is_answered_by_a_mistake_of_the_server(server, tmp_path, role):
    goes_live(server[0])
    fuzzed(server, tmp_path, role, 50)
