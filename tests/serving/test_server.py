"""From a dropped JSON to a live model and back: a real server, a real worker, real trainings."""

import signal
import socket
import time

import httpx
import pytest
import uvicorn
from fastapi import FastAPI

from serving.server import Announcing
from serving.settings import ServingSettings
from tests.serving.conftest import bearer

GRID = {
    "EPOCHS": 1,
    "BATCH_SIZE": 20,
    "LEARNING_RATE": [0.000001, 0.01],
    "KERNEL_SIZE": [3],
    "NUM_FILTERS": [4],
    "DENSE_WIDTH": [16],
}
JOBS = "trainer.accelerator=cpu trainer.speed=fp32 datamodule.n_samples=600 datamodule.workers=0 trainer.report=false"


def until(true, seconds: float = 200):
    end = time.monotonic() + seconds
    while not (found := true()):
        assert time.monotonic() < end, f"not within {seconds} s"
        time.sleep(0.2)
    return found


def told(running, word: str) -> str:
    """The second word of the line that begins with `word`."""
    if not running.output.exists():
        return ""
    lines = [line for line in running.output.read_text().splitlines() if line.startswith(word)]
    return lines[0].removeprefix(word).split()[0] if lines else ""


def test_a_worker_of_another_version_is_refused_one_of_this_joins_and_both_end_when_told(launch, tmp_path):
    server, address, root = started(launch, tmp_path)
    assert told(server, "your token") == (root / "tokens" / "operator").read_text().strip()
    other = worker_of(launch, tmp_path, address, root, "two").wait()
    assert other.returncode == 2 and "version two" in other.stderr and "runs one" in other.stderr
    worker = worker_of(launch, tmp_path, address, root, "one")
    with httpx.Client(base_url=address, headers=bearer(told(server, "your token")), verify=False, timeout=60) as ask:
        until(lambda: ask.get("/api/workers").json())
    worker.send(signal.SIGTERM)
    assert worker.wait().returncode == 0
    server.send(signal.SIGTERM)
    server.wait()


@pytest.mark.soak
def test_a_dropped_grid_is_trained_the_better_model_goes_live_and_one_click_brings_the_former_back(launch, tmp_path):
    """Without a browser; `pages/test_story.py` does the same with one."""
    server, address, root = started(launch, tmp_path)
    worker_of(launch, tmp_path, address, root, "one")
    with httpx.Client(base_url=address, headers=bearer(told(server, "your token")), verify=False, timeout=60) as ask:
        answer = ask.post("/api/jobs?name=digits", json=GRID | {"NUM_FILTER": 3}).json()
        assert answer["size"] == 2 and "NUM_FILTERS" in answer["unknown"]["NUM_FILTER"]
        ended(ask)
        second, first = ask.get("/api/models?name=digits").json()
        kinds = {event["kind"] for event in ask.get(f"/api/jobs/{answer['jobs'][0]}/events").json()}
        assert kinds == {"line", "figures"}
        live = ask.get("/api/deployments/digits").json()
        assert (live["model_id"], live["generation"]) == (second["id"], 2), second["verdict"]
        assert first["evaluations"][0]["set_digest"] == second["evaluations"][0]["set_digest"]
        back = ask.post("/api/deployments/digits/rollback", json={}).json()
        assert (back["file_sha256"], back["generation"]) == (first["file_sha256"], 3)
        assert ask.get("/api/history/check").json() == {"broken_at": None}


@pytest.mark.soak
def test_a_search_is_a_job_whose_best_model_goes_live(launch, tmp_path):
    server, address, root = started(launch, tmp_path)
    worker_of(launch, tmp_path, address, root, "one", more=" tune.backend=local")
    space = ["optimizers.lr=tag(log, interval(1e-4, 1e-1))"]
    with httpx.Client(base_url=address, headers=bearer(told(server, "your token")), verify=False, timeout=60) as ask:
        asked = {"EPOCHS": 1, "NUM_FILTERS": 4, "tune": {"space": space, "trials": 2}}
        assert ask.post("/api/jobs", json=asked).json()["size"] == 1
        ended(ask)
        [model] = ask.get("/api/models").json()
        assert model["live"] and model["evaluations"]


def started(launch, tmp_path):
    """A server without workers of its own, its address and its root."""
    root = tmp_path / "store"
    options = (f"serving.root={root}", "serving.port=0", "serving.local_workers=0")
    server = launch("serving/__main__.py", *options, EVERGREEN_VERSION="one")
    return server, until(lambda: told(server, "the API")).removesuffix("/api"), root


def worker_of(launch, tmp_path, address, root, version, more=""):
    arguments = (f"serving.server={address}", f"serving.logs={tmp_path / 'logs'}", "serving.poll_seconds=0.2")
    environment = {"EVERGREEN_TOKEN_FILE": str(root / "tokens" / "worker"), "EVERGREEN_VERSION": version}
    return launch("serving/worker.py", *arguments, f"serving.arguments={JOBS}{more}", **environment)


def ended(ask):
    """All jobs, without a mistake."""
    until(lambda: {job["state"] for job in ask.get("/api/jobs").json()} <= {"succeeded", "failed"})
    assert {job["error"] for job in ask.get("/api/jobs").json()} == {None}


def test_a_second_server_on_the_same_store_is_refused(launch, tmp_path):
    arguments = (f"serving.root={tmp_path / 'store'}", "serving.port=0", "serving.local_workers=0")
    first = launch("serving/__main__.py", *arguments)
    until(lambda: told(first, "the API"))
    second = launch("serving/__main__.py", *arguments).wait()
    assert second.returncode == 2 and "another server serves" in second.stderr


def test_a_port_that_is_taken_is_named_with_the_way_out():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        server = Announcing(uvicorn.Config(FastAPI(), "127.0.0.1", port, log_level="critical"), print)
        with pytest.raises(ValueError, match=rf"serving\.port={port} cannot be listened at: choose others; port 0"):
            server.run()


@pytest.mark.parametrize(
    ("values", "why"),
    [
        ({"host": "0.0.0.0"}, "certificate"),
        ({"host": "example.org"}, "certificate"),
        ({"port": 70000}, "65535"),
        ({"lease_seconds": 0.0}, "above 0"),
        ({"certificate": "x.pem"}, "belong together"),
        ({"keep_models": -1}, "0 or more"),
        ({"prune_hours": 0.0}, "hours above 0"),
        ({"drift_alpha": 1.0}, "between 0 and 1"),
        ({"drift_window": 0}, "above 0"),
        ({"keep_predictions": 100}, "fewer than the 500"),
    ],
)
def test_settings_that_cannot_work_are_refused(values, why):
    with pytest.raises(ValueError, match=why):
        ServingSettings(**values)


def test_another_address_is_served_with_encryption_or_where_somebody_said_so():
    assert ServingSettings(host="0.0.0.0", certificate="a", private_key="b").encrypted
    assert ServingSettings(host="0.0.0.0", allow_unencrypted=True).host == "0.0.0.0"
