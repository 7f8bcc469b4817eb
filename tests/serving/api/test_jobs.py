"""What the pages ask the queue: what a grid would start, an order of those that wait, and words for figures."""

import pytest
from sqlalchemy import event

from models.scores import TITLES
from serving.sweeps import SHORT
from utils.overrides import options


def test_a_dry_run_tells_the_size_and_what_is_not_understood_and_starts_nothing(api):
    grid = {"LEARNING_RATE": [0.1, 0.01], "EPOCHS": [1, 2, 3], "WIDHT": 3}
    answer = api["operator"].post("/api/jobs?dry_run=true", json=grid)
    assert answer.status_code == 200
    found = answer.json()
    assert found["size"] == 6 and "DENSE_WIDTH" in found["unknown"]["WIDHT"]
    assert found["choices"] == {"optimizers.lr": [0.1, 0.01], "trainer.max_epochs": [1, 2, 3]}
    assert found["first"] == ["optimizers.lr=0.1", "trainer.max_epochs=1"]
    assert api["viewer"].get("/api/jobs").json() == []
    assert api["operator"].post("/api/jobs", json=grid).json()["size"] == 6


def test_a_database_whose_disk_is_full_says_so_and_goes_on_when_there_is_room(api):
    """SQLite is told that its file may not grow; its error is that of a full disk."""

    def narrow(connection, *_):
        connection.execute("PRAGMA max_page_count=1")

    def widen(connection, *_):
        connection.execute("PRAGMA max_page_count=1000000")

    pool, grid = api.parts.database.engine.pool, {"SEED": 1, "long": "x" * 500_000}
    event.listen(pool, "checkout", narrow)
    refused = api["operator"].post("/api/jobs", json=grid)
    assert (refused.status_code, refused.json()["error"]) == (503, "the database's disk is full")
    event.remove(pool, "checkout", narrow)
    event.listen(pool, "checkout", widen)
    assert api["operator"].post("/api/jobs", json=grid).json()["size"] == 1


def test_a_dry_run_of_a_search_is_one_job(api):
    search = {"tune": {"space": ["optimizers.lr=interval(0.001, 0.1)"], "trials": 4}}
    found = api["operator"].post("/api/jobs?dry_run=true", json=search).json()
    assert found["size"] == 1 and "tune.trials=4" in found["first"]
    assert api["operator"].post("/api/jobs", json=search).json()["size"] == 1


@pytest.mark.parametrize(
    ("grid", "why"),
    [
        (b'{"SEED": [', "no JSON"),
        (b'{"SEED": 1, "SEED": 2}', "given twice"),
        (b'{"SEED": [1, 2], "EPOCHS": "' + b"x" * 65 + b'"}', "a word has up to 64"),
        (b'{"task": "nothing"}', "there is no such option"),
    ],
)
def test_a_dry_run_refuses_what_a_start_refuses_in_the_same_words(api, grid, why):
    answers = [api["operator"].post(f"/api/jobs{query}", content=grid) for query in ("", "?dry_run=true")]
    assert [answer.status_code for answer in answers] == [422, 422]
    assert why in answers[0].json()["error"] and answers[0].json() == answers[1].json()


def test_a_job_that_waits_is_put_first_and_one_that_does_not_is_left(api):
    numbers = api["operator"].post("/api/jobs", json={"SEED": [1, 2, 3]}).json()["jobs"]
    assert api["operator"].post(f"/api/jobs/{numbers[2]}/priority", json={"priority": 1}).json() == {"priority": 1}
    joined = api["worker"].post("/api/workers", json={"name": "w", "version": "test-version", "machine": "m"}).json()
    claimed = api["worker"].post(f"/api/workers/{joined['id']}/claim").json()
    assert claimed["id"] == numbers[2]
    late = api["operator"].post(f"/api/jobs/{numbers[2]}/priority", json={"priority": 2})
    assert late.status_code == 409 and "is running" in late.json()["error"]
    assert api["operator"].post(f"/api/jobs/{numbers[0]}/priority", json={"priority": 101}).status_code == 422
    assert api["operator"].post("/api/jobs/99/priority", json={"priority": 1}).status_code == 404


def test_a_sweep_is_cancelled_as_a_whole_and_one_that_is_not_there_is_named(api):
    number = api["operator"].post("/api/jobs", json={"SEED": [1, 2]}).json()["sweep"]
    answers = [api["operator"].post(f"/api/sweeps/{number}/cancel").json() for _ in range(2)]
    assert answers == [{"cancelled": 2}, {"cancelled": 0}]
    missing = api["operator"].post("/api/sweeps/99/cancel")
    assert (missing.status_code, missing.json()) == (404, {"error": "there is no sweep 99"})


def test_figures_and_lines_are_told_apart(api):
    number = api["operator"].post("/api/jobs", json={"SEED": 1}).json()["jobs"][0]
    joined = api["worker"].post("/api/workers", json={"name": "w", "version": "test-version", "machine": "m"}).json()
    job = api["worker"].post(f"/api/workers/{joined['id']}/claim").json()
    said = [{"seq": 1, "kind": "line", "payload": "x"}, {"seq": 2, "kind": "figures", "payload": {"val/loss": 1}}]
    mine = {"worker": joined["id"], "fence": job["fence"], "events": said}
    api["worker"].post(f"/api/jobs/{number}/progress", json=mine)
    for kind, seq in (("line", 1), ("figures", 2)):
        assert [event["seq"] for event in api["viewer"].get(f"/api/jobs/{number}/events?kind={kind}").json()] == [seq]
    assert len(api["viewer"].get(f"/api/jobs/{number}/events").json()) == 2


def test_a_page_learns_the_words_from_where_they_are_kept(api):
    words = api["viewer"].get("/api/words").json()
    assert words["short"] == SHORT and words["titles"] == TITLES
    assert words["options"]["models"] == options("models") != []
