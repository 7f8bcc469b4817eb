"""The store on Ray Serve: two replicas on this machine, each of which follows what is live."""

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path

import httpx
import psutil
import pytest
from websockets.sync.client import connect

from benchmarks.serving_candidates import good, putter
from benchmarks.serving_reload import asked, lived, under_load
from serving import ray_backend
from serving.client import Client
from serving.settings import ServingSettings
from serving.version import ROOT
from tests.serving.test_server import until
from tests.serving.test_store import register

REPLICAS = 2
POSTGRES = "postgresql://user@host/name"


def test_several_processes_are_refused_on_sqlite():
    with pytest.raises(ValueError, match=r"serving\.backend=ray .*SQLite.*serving\.database=postgresql://"):
        ServingSettings(backend="ray")
    with pytest.raises(ValueError, match=r"serving\.replicas=0"):
        ServingSettings(backend="ray", replicas=0, database=POSTGRES)
    assert ServingSettings(backend="ray", database=POSTGRES).replicas == 2


def test_without_ray_serve_it_says_how_to_install_it(open_parts, monkeypatch):
    monkeypatch.setitem(sys.modules, "ray.serve", None)
    parts = open_parts()
    with pytest.raises(ValueError, match=r"pip install -r requirements-ray\.txt"):
        ray_backend.serve(parts, {}, {}, print)


class Enough(Exception):
    """Ends a server that would go on."""


def test_of_all_processes_the_one_that_starts_replicas_gives_up_files(open_parts, monkeypatch):
    parts = open_parts(keep_models=1, reach=0, prune_hours=1.0)
    for seed in (1, 2, 3):
        register(parts, seed / 10, seed)
    prune = parts.store.prune

    def once(*args):
        prune(*args)
        raise Enough

    monkeypatch.setattr(parts.store, "prune", once)
    monkeypatch.setattr(ray_backend, "_replicas", lambda *_: nullcontext())
    with pytest.raises(Enough):
        ray_backend.serve(parts, {}, {}, print)
    assert [one["pruned"] is not None for one in parts.store.every()] == [False, True, True]
    assert ServingSettings(**ray_backend.of_replica(parts.settings)).prune_hours is None


@contextmanager
def serving(folder: Path, *overrides: str) -> Iterator[tuple[subprocess.Popen, str]]:
    """`python -m serving` in a process of its own, which is asked to end; and its address."""
    said = folder / "output.txt"
    with said.open("w") as output:
        process = subprocess.Popen([sys.executable, "-m", "serving", *overrides], cwd=ROOT, stdout=output)
    try:
        yield process, until(lambda: of_line(said.read_text(), "the API"), 200).removesuffix("/api")
    finally:
        tree = psutil.Process(process.pid).children(recursive=True)
        process.terminate()
        process.wait(60)
        _, left = psutil.wait_procs(tree, 30)
        for one in left:
            one.kill()
    assert left == []


def of_line(text: str, word: str) -> str:
    """What follows the word in the line that begins with it."""
    return next((line.removeprefix(word).split()[0] for line in text.splitlines() if line.startswith(word)), "")


@pytest.mark.soak
def test_two_replicas_answer_and_follow_every_deployment(postgres, tmp_path):
    root = tmp_path / "store"
    overrides = [f"serving.root={root}", f"serving.database={postgres}", "serving.backend=ray", "serving.port=0"]
    overrides += [f"serving.replicas={REPLICAS}", "serving.local_workers=0", "engine=eager"]
    with serving(tmp_path, *overrides) as (process, address):
        assert len(replicas(process.pid)) == REPLICAS
        secret = (root / "tokens" / "operator").read_text().strip()
        client = Client(address, secret)
        pages_and_sockets_pass(address, secret)
        deployed_under_load(client, address, secret, tmp_path / "files")
        client.close()


def pages_and_sockets_pass(address: str, secret: str) -> None:
    assert "<html" in httpx.get(f"{address}/store").text
    assert httpx.get(f"{address}/api/models").status_code == 401
    headers = {"Authorization": f"Bearer {secret}"}
    with connect(f"{address.replace('http', 'ws', 1)}/api/events", additional_headers=headers) as socket:
        assert json.loads(socket.recv(20))["kind"] == "state"


def deployed_under_load(client: Client, address: str, secret: str, folder: Path) -> None:
    folder.mkdir()
    packages = [good(seed, putter(client, folder)) for seed in range(3)]
    numbers = [client.post("/api/models", package, patient=120)["model"] for package in packages]
    everywhere(address, secret, 1)
    generations = [1]

    def deploy() -> None:
        for number in (*numbers[1:], numbers[0]):
            generations.append(client.post("/api/deployments", {"model": number}, patient=120)["generation"])
            everywhere(address, secret, generations[-1])

    witness, seen, _ = under_load(int(address.rpartition(":")[2]), asked(secret), 4, 200, deploy)
    assert (witness.refused, seen.failed) == ([], 0)
    history = lived(client)
    assert {answer for own in witness.answers.values() for answer in own} == {history[one] for one in generations}


def everywhere(address: str, secret: str, generation: int) -> None:
    """Waits until whichever replica is asked, on a new connection each time, answers with this generation."""
    agreed, end = 0, time.monotonic() + 200
    while agreed < 20:
        assert time.monotonic() < end, f"generation {generation} is not live everywhere"
        headers = {"Authorization": f"Bearer {secret}"}
        [state] = httpx.get(f"{address}/api/serving", headers=headers, timeout=60).json() or [{"generation": None}]
        agreed = agreed + 1 if state["generation"] == generation else 0


def replicas(pid: int) -> list[psutil.Process]:
    children = psutil.Process(pid).children(recursive=True)
    return [one for one in children if "ServeReplica" in " ".join(one.cmdline())]
