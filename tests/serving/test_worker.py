"""A worker whose server forgot it, and one whose training fails with many words."""

import time
from dataclasses import replace

import httpx
import pytest
from sqlalchemy import delete
from sqlalchemy.exc import OperationalError

from serving.package import BadCandidate, Package
from serving.server import start_workers
from serving.tables import worker as workers
from serving.worker import Worker
from tests.serving.conftest import packaged, put, served
from tests.serving.material import OTHER_SET, SET, VERSION


class Quick(Worker):
    """Its trainings take a moment (tests/serving/quick.py)."""

    def _line(self, job, folder):
        return ["-m", "tests.serving.quick", "train", str(folder), "0"]


class Measuring(Worker):
    """Its measurings take a moment, too."""

    def _ran(self, line, folder, *of_the_job):
        line = ["-m", "tests.serving.quick", "measure", *line[-1:]]
        return super()._ran(line, folder, *of_the_job)


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


def ended(parts, number=1):
    """A job, once it is."""
    until = time.monotonic() + 60
    while (job := parts.queue.get(number))["state"] in ("queued", "running") and time.monotonic() < until:
        time.sleep(0.05)
    return job


def test_a_worker_gets_no_job_of_a_server_that_was_started_again_with_other_code(joined, capsys):
    parts, worker = joined(Quick)
    parts.workers.version = "newer"
    worker._thread.join(30)
    assert not worker._thread.is_alive()
    assert f"this worker runs version {VERSION} of the code, the server runs newer" in capsys.readouterr().out
    parts.submission.submit(b'{"SEED": 1}', "main", "a test")
    assert parts.queue.get(1)["state"] == "queued"


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


def test_a_worker_whose_token_is_revoked_ends_with_a_line(joined, capsys):
    parts, worker = joined(Quick)
    parts.tokens.revoke(1, "a test")
    worker._thread.join(30)
    assert f"worker {worker.name} ends: the token is unknown, expired or revoked" in capsys.readouterr().out


def broken(monkeypatch, owner, name, times, error=RuntimeError):
    """A method that goes wrong so often before it works."""
    works, left = getattr(owner, name), [None] * times

    def asked(*args):
        if left:
            left.pop()
            raise error("a mistake of the server")
        return works(*args)

    monkeypatch.setattr(owner, name, asked)
    return left


def test_a_worker_outlives_a_claim_that_goes_wrong_in_the_server(joined, monkeypatch, capsys):
    monkeypatch.setattr("serving.worker.PAUSE", 0.05)
    parts, worker = joined(Quick)
    left = broken(monkeypatch, parts.queue, "claim", 2)
    parts.submission.submit(b'{"SEED": 1}', "main", "a test")
    assert ended(parts)["state"] == "succeeded" and not left
    assert f"worker {worker.name} asks again in 0.05 s, the server answered: something went" in capsys.readouterr().out


def test_a_worker_outlives_a_joining_again_that_goes_wrong_in_the_server(joined, monkeypatch):
    monkeypatch.setattr("serving.worker.PAUSE", 0.05)
    parts, worker = joined(Quick)
    left = broken(monkeypatch, parts.workers, "join", 2)
    with parts.database.write() as connection:
        connection.execute(delete(workers))
    assert until_joined(parts) == [worker.name] and not left


def until_joined(parts):
    """The workers' names, once there are any."""
    until = time.monotonic() + 30
    while not (names := [one["name"] for one in parts.workers.every()]) and time.monotonic() < until:
        time.sleep(0.05)
    return names


def test_a_worker_outlives_a_failure_that_the_server_does_not_take(joined, monkeypatch):
    parts, _ = joined(Verbose)
    left = broken(monkeypatch, parts.queue, "fail", 2)  # a failure is told twice
    parts.submission.submit(b'{"SEED": [1, 2]}', "main", "a test")
    assert ended(parts, 2)["state"] == "failed" and not left


def runs(folder):
    return sorted(run.name for run in (folder / "jobs").iterdir())


@pytest.mark.parametrize("step", ["the upload", "the end"])
def test_a_model_is_brought_again_after_mistakes_of_the_server(joined, monkeypatch, tmp_path, capsys, step):
    monkeypatch.setattr("serving.worker.PAUSES", [0.05] * 2)
    parts, _ = joined(Quick)
    owner, name = {"the upload": (parts.store.blobs, "part"), "the end": (parts.completion, "succeed")}[step]
    left = broken(monkeypatch, owner, name, 2)
    parts.submission.submit(b'{"SEED": 1}', "main", "a test")
    assert ended(parts)["state"] == "succeeded" and not left
    assert runs(tmp_path) == ["job-1-1"] and "job 1: brought again in 0.05 s, the server" in capsys.readouterr().out


def test_a_model_that_the_server_could_not_take_is_brought_when_the_job_is_tried_again(joined, monkeypatch, tmp_path):
    monkeypatch.setattr("serving.worker.PAUSES", [])
    parts, _ = joined(Quick)
    broken(monkeypatch, parts.completion, "succeed", 1)
    parts.submission.submit(b'{"SEED": 1}', "main", "a test")
    job = ended(parts)
    assert job["state"] == "failed" and f"the model is kept in {tmp_path}/jobs/job-1-1" in job["error"]
    parts.queue.retry(1)
    again = ended(parts)
    assert again["state"] == "succeeded" and again["figures"] == job["figures"] is not None
    assert runs(tmp_path) == ["job-1-1"]


def test_a_model_that_the_server_refuses_fails_its_job_and_is_trained_again(joined, monkeypatch, tmp_path):
    parts, _ = joined(Quick)
    broken(monkeypatch, parts.completion, "succeed", 1, BadCandidate)
    parts.submission.submit(b'{"SEED": 1}', "main", "a test")
    assert ended(parts)["state"] == "failed"
    parts.queue.retry(1)
    assert ended(parts)["state"] == "succeeded" and runs(tmp_path) == ["job-1-1", "job-1-3"]


@pytest.mark.parametrize("gone", ["package.json", "model.safetensors"])
def test_a_model_whose_files_are_gone_is_trained_again(joined, monkeypatch, tmp_path, gone):
    monkeypatch.setattr("serving.worker.PAUSES", [])
    parts, _ = joined(Quick)
    broken(monkeypatch, parts.completion, "succeed", 1)
    parts.submission.submit(b'{"SEED": 1}', "main", "a test")
    assert ended(parts)["state"] == "failed"
    (tmp_path / "jobs/job-1-1" / gone).unlink()
    states = []
    for _ in range(2):
        parts.queue.retry(1)
        states.append(ended(parts)["state"])
    assert states == ["failed", "succeeded"]


def test_a_worker_that_is_stopped_while_its_server_is_away_fails_no_job(joined, monkeypatch):
    parts, worker = joined(Quick)

    def away(*_):
        worker._over.set()
        raise OperationalError("", {}, Exception("no database"))

    monkeypatch.setattr(parts.completion, "succeed", away)
    parts.submission.submit(b'{"SEED": 1}', "main", "a test")
    worker._thread.join(30)
    assert parts.queue.get(1)["state"] == "queued"


@pytest.mark.parametrize(("ask", "state"), [("cancel", "cancelled"), ("stop", "queued")])
def test_a_job_whose_model_waits_ends_when_it_is_cancelled_or_its_worker_is_stopped(joined, monkeypatch, ask, state):
    monkeypatch.setattr("serving.worker.PAUSES", [3600.0])
    parts, worker = joined(Quick)
    left = broken(monkeypatch, parts.completion, "succeed", 1000)
    parts.submission.submit(b'{"SEED": 1}', "main", "a test")
    until = time.monotonic() + 30
    while len(left) == 1000 and time.monotonic() < until:
        time.sleep(0.02)
    if ask == "cancel":
        parts.queue.cancel(1)
        assert ended(parts)["state"] == state
    else:
        worker.stop()
        assert parts.queue.get(1)["state"] == state


def test_a_measuring_that_cannot_be_fetched_leaves_nothing_behind(joined, tmp_path):
    parts, _ = joined(Quick)
    numbers = [
        parts.completion.register(Package(**packaged(parts, seed=seed, configuration=put(parts, b"x: 1"))), "me")[0]
        for seed in (1, 2)
    ]
    parts.store.blobs.path(parts.store.get(numbers[0])["manifest_sha256"]).unlink()
    with parts.database.write() as connection:
        facts = {"subject_id": numbers[0], "for_id": numbers[1]}
        parts.queue.rest_seconds = 0.0
        parts.queue.add(connection, "evaluate", "main", [], **facts)
    assert ended(parts)["state"] == "failed" and (tmp_path / "jobs").is_dir()
    assert list((tmp_path / "jobs").iterdir()) == []


def test_a_measurement_is_brought_again_after_mistakes_of_the_server(joined, monkeypatch, tmp_path, capsys):
    monkeypatch.setattr("serving.worker.PAUSES", [0.05] * 2)
    parts, worker = joined(Measuring)
    left = broken(monkeypatch, parts.completion, "measured", 2)
    for seed, digest in ((1, SET), (2, OTHER_SET)):
        configuration = put(parts, b"datamodule: {}\n")
        package = packaged(parts, 0.9, seed, digest, configuration=configuration)
        parts.completion.register(Package(**package), "me")
    job = ended(parts)
    assert (job["state"], job["attempt"]) == ("succeeded", 1) and not left
    assert "job 1: brought again in 0.05 s, the server" in capsys.readouterr().out
    worker.stop()
    assert list((tmp_path / "jobs").iterdir()) == []


def test_a_server_whose_local_worker_is_refused_says_so_and_serves(open_parts, caplog):
    parts = open_parts()
    parts = replace(parts, settings=replace(parts.settings, local_workers=1))
    parts.tokens.first(parts.store.root / "tokens")
    parts.tokens.revoke(2, "a test")
    workers: list[Worker] = []
    with served(parts) as address:
        start_workers(parts, int(address.rpartition(":")[2]), workers)
        workers[0].client.close()
        assert httpx.get(f"{address}/livez").status_code == 200
    assert "no local worker" in caplog.text and "unknown, expired or revoked" in caplog.text
