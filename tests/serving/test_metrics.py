"""What Prometheus reads, by its own parser."""

import time

import pytest
from prometheus_client import generate_latest
from prometheus_client.parser import text_string_to_metric_families
from sqlalchemy import insert

from serving import metrics as module
from serving.package import Package
from serving.tables import drift
from tests.serving.conftest import packaged


def read(parts) -> dict[tuple[str, ...], float]:
    """(name, label values …) → value."""
    families = text_string_to_metric_families(generate_latest(parts.metrics.registry).decode())
    return {(one.name, *one.labels.values()): one.value for family in families for one in family.samples}


def test_requests_batches_and_queues_are_counted_by_endpoint(open_parts):
    parts = open_parts()
    for status, seconds in ((200, 0.003), (200, 0.3), (503, 0.001)):
        parts.metrics.answered("main", status, seconds)
    parts.metrics.answered("other", 200, 1.0)
    for size in (1, 8, 8):
        parts.metrics.batch("main", size)
    parts.metrics.queue("main", 7)
    parts.metrics.queue("main", 3)
    found = read(parts)
    assert [found["evergreen_requests_total", "main", status] for status in ("200", "503")] == [2, 1]
    assert found["evergreen_request_seconds_bucket", "main", "0.005"] == 2
    assert found["evergreen_request_seconds_sum", "main"] == pytest.approx(0.304)
    assert found["evergreen_batch_size_bucket", "main", "1.0"] == 1 and found["evergreen_batch_size_sum", "main"] == 17
    assert found["evergreen_queue_depth", "main"] == 3 and found["evergreen_requests_total", "other", "200"] == 1


def test_two_applications_in_one_process_count_apart(open_parts):
    first, second = open_parts(), open_parts()
    first.metrics.answered("main", 200, 0.1)
    assert ("evergreen_requests_total", "main", "200") not in read(second)


def test_names_that_clients_make_up_do_not_fill_the_memory(open_parts, monkeypatch):
    monkeypatch.setattr(module, "MOST_ENDPOINTS", 2)
    parts = open_parts()
    for number in range(50):
        parts.metrics.answered(f"made-up-{number}", 404, 0.1)
    found = {key: value for key, value in read(parts).items() if key[0] == "evergreen_requests_total"}
    assert len(found) == 3 and found["evergreen_requests_total", "others", "404"] == 48


def test_the_state_of_the_store_is_read_when_it_is_asked_for(open_parts, parts):
    assert read(parts)["evergreen_workers",] == 0
    parts.completion.register(Package(**packaged(parts)), "a test")
    with parts.database.alone() as connection:
        for _ in range(3):
            parts.queue.add(connection, "train", "main", [])
        facts = {"endpoint": "main", "generation": 1, "model_id": 1, "last_id": 1, "since": 0.0, "until": time.time()}
        for p, drifted in ((0.5, False), (0.001, True)):
            connection.execute(insert(drift).values(**facts, answers=9, p=p, drifted=drifted, why=""))
    token = parts.tokens.create("w", "worker")
    worker = parts.workers.join("lab", parts.tokens.find(token).token_id, parts.workers.version, "here", [])
    parts.queue.claim(worker["id"])
    found = read(parts)
    assert found["evergreen_jobs", "queued"] == 2 and found["evergreen_jobs", "running"] == 1
    assert found["evergreen_workers",] == 1 and found["evergreen_generation", "main"] == 1
    assert found["evergreen_drift_p", "main"] == 0.001 and found["evergreen_drifted", "main"] == 1
    parts.deployments.clear("main", "me")  # whose answers were judged is no longer live
    assert ("evergreen_drift_p", "main") not in read(parts) and read(parts)["evergreen_generation", "main"] == 2


def test_answers_that_could_not_be_kept_are_told(open_parts):
    parts = open_parts()
    parts.monitor.lost = 5
    assert read(parts)["evergreen_predictions_lost",] == 5
