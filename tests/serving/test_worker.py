"""A worker and a server that forgot it."""

import time

from sqlalchemy import delete

from serving.tables import worker as workers
from serving.worker import Worker
from tests.serving.conftest import served
from tests.serving.material import VERSION


class Quick(Worker):
    """Its trainings take a moment (tests/serving/quick.py)."""

    def _line(self, job, folder):
        return ["-m", "tests.serving.quick", "train", str(folder), "0"]


def test_a_worker_that_a_restored_store_does_not_know_joins_again_and_works(open_parts, tmp_path, monkeypatch):
    monkeypatch.setattr("serving.worker.code_version", lambda: VERSION)
    parts = open_parts()
    token = parts.tokens.create("w", "worker")
    with served(parts) as address:
        worker = Quick(address, token=token, logs=str(tmp_path), poll_seconds=0.05).start()
        with parts.database.write() as connection:
            connection.execute(delete(workers))
        parts.submission.submit(b'{"SEED": 1}', "main", "a test")
        until = time.monotonic() + 60
        while parts.queue.get(1)["state"] in ("queued", "running") and time.monotonic() < until:
            time.sleep(0.05)
        worker.stop()
    assert parts.queue.get(1)["state"] == "succeeded"
    assert [one["name"] for one in parts.workers.every()] == [worker.name]
