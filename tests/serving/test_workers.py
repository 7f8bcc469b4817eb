"""Who a worker is when it comes again."""

import time
from dataclasses import replace

import pytest
from sqlalchemy import update

from serving.changes import state
from serving.server import LOCAL, start_workers
from serving.tables import worker
from tests.serving.conftest import served
from tests.serving.material import VERSION


@pytest.fixture
def join(parts):
    """Joins with one of two tokens; its name and number."""
    tokens = [parts.tokens.find(parts.tokens.create("w", "worker")).token_id for _ in range(2)]

    def joined(name="box", token=0, machine="here"):
        found = parts.workers.join(name, tokens[token], VERSION, machine, [])
        return found["name"], found["id"]

    return joined


def silent(parts, *numbers):
    with parts.database.write() as connection:
        connection.execute(update(worker).where(worker.c.id.in_(numbers)).values(seen=0.0))


def test_a_worker_takes_the_place_of_a_silent_one_of_its_name_and_token_and_of_no_other(parts, join):
    assert [join(), join(), join("box-2"), join("bo")] == [("box", 1), ("box-2", 2), ("box-2-2", 3), ("bo", 4)]
    silent(parts, 1, 2)
    assert join(token=1) == ("box-3", 5)
    assert join(machine="there") == ("box", 1)
    assert parts.workers.every()[0]["machine"] == "there" and parts.workers.every()[0]["active"]
    assert [join(), join()] == [("box-2", 2), ("box-4", 6)]


def test_a_worker_that_tells_nothing_for_longer_than_usual_is_quiet_before_it_is_given_up(parts, join):
    join(), join(), join()
    with parts.database.write() as connection:
        for number, seconds in ((1, 1), (2, 30), (3, 100)):
            connection.execute(update(worker).where(worker.c.id == number).values(seen=time.time() - seconds))
    assert [(one["active"], one["quiet"]) for one in parts.workers.every()] == [
        (True, False),
        (True, True),
        (False, True),
    ]


def test_open_pages_hear_of_a_worker_that_comes_again(parts, join):
    join()
    before = state(parts)["marks"]["workers"]
    assert state(parts)["marks"]["workers"] == before
    silent(parts, 1)
    join()
    assert state(parts)["marks"]["workers"] != before


def test_a_job_of_a_silent_worker_is_not_that_of_the_one_in_its_place(parts, join):
    _, number = join()
    with parts.database.write() as connection:
        parts.queue.add(connection, "train", "main", [])
    former = parts.queue.claim(number)
    silent(parts, number)
    assert join() == ("box", number) and parts.queue.claim(number) is None
    parts.queue.release(former["id"], former["fence"], number)
    assert parts.queue.claim(number)["fence"] == former["fence"] + 1


def test_a_servers_own_workers_are_the_same_when_it_starts_again(open_parts, monkeypatch):
    monkeypatch.setattr("serving.worker.code_version", lambda: VERSION)
    parts = open_parts()
    parts = replace(parts, settings=replace(parts.settings, local_workers=2))
    parts.tokens.first(parts.store.root / "tokens")
    for _ in range(2):
        started = []
        with served(parts) as address:
            start_workers(parts, int(address.rpartition(":")[2]), started)
            for one in started:
                one.stop()
    assert sorted(one["name"] for one in parts.workers.every()) == [LOCAL, f"{LOCAL}-2"]
