"""A worker whose server forgot it, and one whose training fails with many words."""

import time

import pytest
from sqlalchemy import delete

from serving.tables import worker as workers
from serving.worker import Worker
from tests.serving.conftest import served
from tests.serving.material import VERSION


class Quick(Worker):
    """Its trainings take a moment (tests/serving/quick.py)."""

    def _line(self, job, folder):
        return ["-m", "tests.serving.quick", "train", str(folder), "0"]


class Verbose(Worker):
    """Its trainings fail with more words than the server takes."""

    def _line(self, job, folder):
        return ["-c", "print(*['x' * 2000] * 40, sep='\\n'); raise SystemExit('the reason')"]


@pytest.fixture
def joined(open_parts, tmp_path, monkeypatch):
    """Starts a worker of a kind on a served store: the store and the worker."""
    monkeypatch.setattr("serving.worker.code_version", lambda: VERSION)
    parts = open_parts()
    token = parts.tokens.create("w", "worker")
    started: list[Worker] = []
    with served(parts) as address:

        def start(kind):
            started.append(kind(address, token=token, logs=str(tmp_path), poll_seconds=0.05).start())
            return parts, started[-1]

        yield start
        for worker in started:
            worker.stop()


def ended(parts):
    """The first job, once it is."""
    until = time.monotonic() + 60
    while (job := parts.queue.get(1))["state"] in ("queued", "running") and time.monotonic() < until:
        time.sleep(0.05)
    return job


def test_a_worker_that_a_restored_store_does_not_know_joins_again_and_works(joined):
    parts, worker = joined(Quick)
    with parts.database.write() as connection:
        connection.execute(delete(workers))
    parts.submission.submit(b'{"SEED": 1}', "main", "a test")
    assert ended(parts)["state"] == "succeeded"
    assert [one["name"] for one in parts.workers.every()] == [worker.name]


def test_a_failure_of_many_words_keeps_its_reason(joined):
    parts, _ = joined(Verbose)
    parts.submission.submit(b'{"SEED": 1}', "main", "a test")
    assert ended(parts)["error"].endswith("x\nthe reason")
