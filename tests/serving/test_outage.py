"""A database that goes away and comes back: nobody's work is lost, and what is loaded goes on answering."""

import time
from contextlib import contextmanager

import httpx
import pytest
from sqlalchemy import create_engine, text

from serving import tokens
from serving.api.app import create_app
from serving.package import Package
from serving.worker import Worker
from tests.serving.conftest import bearer, served
from tests.serving.material import VERSION
from tests.serving.networks import network_package, png

EAGER = {"_target_": "serving.engines.eager.Eager", "type": "fp32", "device": "cpu"}

pytestmark = pytest.mark.parametrize("database_url", ["postgres"], indirect=True)


class Quick(Worker):
    """Its trainings take a moment (tests/serving/quick.py)."""

    def _line(self, job, folder):
        return ["-m", "tests.serving.quick", "train", str(folder), "1"]


@contextmanager
def outage(postgres, url):
    """The database takes no connections and ends those that there are."""
    name = url.partition("?")[0].rpartition("/")[2]
    engine = create_engine(postgres.replace("postgresql:", "postgresql+psycopg:"), isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(text(f"ALTER DATABASE {name} ALLOW_CONNECTIONS false"))
        connection.execute(text(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'"))
        yield
        connection.execute(text(f"ALTER DATABASE {name} ALLOW_CONNECTIONS true"))
    engine.dispose()


def until(holds):
    end = time.monotonic() + 60
    while not holds() and time.monotonic() < end:
        time.sleep(0.05)
    return holds()


def test_a_training_that_ends_while_the_database_is_down_is_delivered_when_it_is_back(
    open_parts, database_url, postgres, tmp_path, monkeypatch
):
    monkeypatch.setattr("serving.worker.code_version", lambda: VERSION)
    parts = open_parts(database_url, lease_seconds=60.0)
    token = parts.tokens.create("w", "worker")
    parts.submission.submit(b'{"SEED": 1}', "main", "a test")
    with served(parts) as address:
        worker = Quick(address, token=token, logs=str(tmp_path), poll_seconds=0.05).start()
        assert until(lambda: parts.queue.get(1)["state"] == "running")
        with outage(postgres, database_url):
            assert until((tmp_path / "jobs" / "job-1-1" / "package.json").is_file)
            time.sleep(tokens.MEMORY + 1)  # the worker asks meanwhile
        assert until(lambda: parts.queue.get(1)["state"] == "succeeded")
        assert parts.queue.get(1)["attempt"] == 1
        worker.stop()


def test_images_are_answered_while_the_database_is_down_and_all_else_says_so(
    open_parts, database_url, postgres, monkeypatch
):
    monkeypatch.setattr(tokens, "MEMORY", 0.0)
    parts = open_parts(database_url, engine=EAGER)
    parts.completion.register(Package(**network_package(parts)), "a test")
    known, unknown = (parts.tokens.create(name, "viewer") for name in ("known", "unknown"))
    with served(parts, create_app(parts)) as address, httpx.Client(base_url=address, headers=bearer(known)) as client:
        assert until(lambda: client.post("/predict", content=png()).status_code == 200)
        with outage(postgres, database_url):
            assert client.post("/predict", content=png()).status_code == 200
            for answer in (client.get("/api/jobs"), client.post("/predict", content=png(), headers=bearer(unknown))):
                assert (answer.status_code, answer.json()) == (503, {"error": "the database does not answer"})
                assert answer.headers["Retry-After"] == "1"
            assert client.get("/readyz").status_code == 503
        assert until(lambda: client.get("/api/jobs").status_code == 200)
