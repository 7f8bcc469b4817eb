"""Whatever dies, nothing is lost, done twice or half-done: real processes, real kill -9."""

import random
import signal
import socket
import time

import httpx
import pytest

from serving.faults import KILL_AT
from tests.serving.conftest import bearer
from tests.serving.material import VERSION

STEPS = ("part-synced", "blob-renamed", "blob-synced", "inspected", "swapped", "job-succeeded", "committed")


@pytest.fixture
def port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Arena:
    """A store's server and workers as processes that can be killed and started again."""

    def __init__(self, launch, folder, port, lease=2.0) -> None:
        self.launch, self.root, self.folder, self.lease = launch, folder / "store", folder, lease
        self.port, self.address = port, f"http://127.0.0.1:{port}"
        self.http = httpx.Client(base_url=self.address, verify=False, timeout=60)

    def server(self, **environment):
        started = self.launch(
            "tests/serving/quick.py", "server", str(self.root), str(self.port), str(self.lease), **environment
        )
        until(lambda: self.ready() or started.process.exitcode is not None, 60)
        return started

    def worker(self, seconds=0.05):
        environment = {"EVERGREEN_TOKEN_FILE": str(self.root / "tokens" / "worker"), "EVERGREEN_VERSION": VERSION}
        logs = str(self.folder / "logs")
        return self.launch("tests/serving/quick.py", "worker", self.address, logs, str(seconds), **environment)

    def ready(self) -> bool:
        try:
            return self.http.get("/livez").is_success  # its models are no networks: it is never ready to answer images
        except httpx.TransportError:
            return False

    def ask(self, method, path, role="operator", **options):
        secret = (self.root / "tokens" / role).read_text().strip()
        return self.http.request(method, path, headers=bearer(secret), **options)

    def submit(self, count: int) -> list[int]:
        grid = {"SEED": list(range(count))}
        return self.ask("POST", "/api/jobs", json=grid).json()["jobs"]

    def states(self) -> list[str]:
        try:
            return [job["state"] for job in self.ask("GET", "/api/jobs?limit=1000").json()]
        except httpx.TransportError:
            return []

    def finished(self, count: int) -> bool:
        return self.states().count("succeeded") == count

    def sound(self, count: int) -> None:
        """Each job is done once, each model whole, what is live is what the history ends with."""
        jobs = self.ask("GET", "/api/jobs?limit=1000").json()
        models = self.ask("GET", "/api/models?limit=1000").json()
        assert [job["state"] for job in jobs] == ["succeeded"] * count
        assert sorted(model["job_id"] for model in models) == sorted(job["id"] for job in jobs)
        for model in models:
            content = self.ask("GET", f"/api/blobs/{model['file_sha256']}")
            assert content.is_success and len(content.content) == model["bytes"]
        assert self.ask("GET", "/api/history/check").json() == {"broken_at": None}
        lines = [line for line in self.ask("GET", "/api/history?limit=1000").json() if line["generation"]]
        assert [line["generation"] for line in reversed(lines)] == list(range(1, len(lines) + 1))
        assert self.ask("GET", "/api/deployments/main").json()["model_id"] == lines[0]["to_id"]


def until(true, seconds: float) -> None:
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, f"not within {seconds} s"
        time.sleep(0.05)


@pytest.fixture
def arena(launch, tmp_path, port):
    arena = Arena(launch, tmp_path, port)
    yield arena
    arena.http.close()


@pytest.mark.timeout(600)
def test_a_server_killed_at_any_step_of_writing_loses_and_repeats_nothing(arena):
    server = arena.server()
    arena.submit(len(STEPS) + 1)
    server.send(signal.SIGKILL)
    server.process.join()
    arena.worker()
    for name in STEPS:  # each server finds what the one before had half done, and dies a step later
        server = arena.server(**{KILL_AT: name})
        server.process.join(60)
        assert server.process.exitcode == -signal.SIGKILL, name
    arena.server()
    until(lambda: arena.finished(len(STEPS) + 1), 120)
    arena.sound(len(STEPS) + 1)


def killed_at_random(arena, jobs, worker_kills, server_kills):
    draw = random.Random(0)
    server = arena.server()
    workers = [arena.worker() for _ in range(2)]
    arena.submit(jobs)
    for kill in range(worker_kills + server_kills):
        time.sleep(draw.uniform(0.05, 1.0))
        if kill % (1 + worker_kills // max(server_kills, 1)) == 0 and server_kills:
            server.send(signal.SIGKILL)
            server.process.join()
            server = arena.server()
        else:
            place = draw.randrange(2)
            workers[place].send(signal.SIGKILL)
            workers[place].process.join()
            workers[place] = arena.worker()
    until(lambda: arena.finished(jobs), 20 + 4 * jobs)
    arena.sound(jobs)


def test_workers_and_servers_killed_at_random_lose_and_repeat_nothing(arena):
    killed_at_random(arena, jobs=5, worker_kills=2, server_kills=1)


@pytest.mark.soak
@pytest.mark.timeout(3600)
def test_200_kills_of_workers_and_100_of_the_server_lose_and_repeat_nothing(arena):
    killed_at_random(arena, jobs=100, worker_kills=200, server_kills=100)


def test_a_worker_stopped_beyond_its_lease_is_refused_when_it_comes_back(arena):
    arena.lease = 1.0
    arena.server()
    sleeper = arena.worker(seconds=1.0)
    arena.submit(1)
    until(lambda: "running" in arena.states(), 30)
    sleeper.send(signal.SIGSTOP)
    arena.worker(seconds=0.0)
    until(lambda: arena.finished(1), 30)
    sleeper.send(signal.SIGCONT)
    until(lambda: "no longer" in sleeper.output.read_text(), 30)
    job = arena.ask("GET", "/api/jobs").json()[0]
    assert (job["attempt"], job["fence"]) == (2, 2)
    arena.sound(1)
