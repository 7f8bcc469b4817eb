"""The heart of an attempt: what the server does not take must cost neither the lease nor the rest of the report."""

import time

import pytest

from serving.attempt import Heart, Process, Report
from serving.client import Client
from serving.tables import job as jobs

WIDE = {f"figure {number}": 0.5 for number in range(101)}  # one figure more than the server takes in a row


@pytest.fixture
def claimed(api):
    """A job of a worker that joined, and the client that speaks for it."""
    api.parts.submission.submit(b'{"SEED": 1}', "main", "a test")
    token = api.parts.tokens.find(api.secrets["worker"])
    number = api.parts.workers.join("one", token.token_id, "test-version", "here", [])["id"]
    client = Client(api.address, api.secrets["worker"])
    yield api.parts.queue.claim(number), number, client
    client.close()


def test_an_event_that_the_server_never_takes_is_dropped_all_others_are_told_and_the_lease_holds(api, claimed, caplog):
    job, number, client = claimed
    report = Report()
    for place in range(9):
        report.add("line", f"line {place}")
    report.add("figures", WIDE)
    report.add("line", "the last line")
    heart = Heart(client, job, number, beat=1.0, report=report)
    with api.parts.database.write() as connection:
        connection.execute(jobs.update().values(lease_until=time.time() - 1))
    heart.tell()
    assert api.parts.queue.expire() == 0  # the first refusal already renewed the lease
    for _ in range(15):  # halves and doubles around the one that is not taken
        heart.tell()
    told = [event["payload"] for event in api.parts.queue.events(job["id"])]
    assert told == [*(f"line {place}" for place in range(9)), "the last line"]
    assert not heart.late.is_set()
    assert "does not take 1 events" in caplog.text and "it is dropped" in caplog.text


def test_a_training_that_is_refused_ends_with_the_reason_and_no_traceback():
    process = Process(["train.py", "trainer.max_epochs=0"], Report())
    assert process.wait(60) == 2
    assert process.last == ["error: trainer.max_epochs=0 trains nothing: use 1 or more"]
