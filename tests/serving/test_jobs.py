"""The queue: who gets what, leases and fences, on both databases."""

import threading
import time
from types import SimpleNamespace

import pytest
from sqlalchemy import update

from serving.jobs import Late, Queue
from serving.tables import job
from tests.serving.material import VERSION


@pytest.fixture
def queue(parts) -> Queue:
    return parts.queue


@pytest.fixture
def worker_id(parts) -> int:
    return joined(parts, "one")


def joined(parts, name) -> int:
    token = parts.tokens.find(parts.tokens.create(name, "worker"))
    return parts.workers.join(name, token.token_id, VERSION, "here", [])["id"]


def add(queue, *priorities) -> list[int]:
    with queue.database.write() as connection:
        return [queue.add(connection, "train", "main", [f"seed={n}"], priority=n) for n in priorities]


def expired(queue, worker_id):
    """A job whose lease has run out."""
    claimed = queue.claim(worker_id)
    with queue.database.write() as connection:
        connection.execute(update(job).where(job.c.id == claimed["id"]).values(lease_until=0.0))
    return claimed


def test_higher_priority_comes_first_then_the_older_job(queue, worker_id):
    low, first, second = add(queue, 0, 5, 5)
    assert [queue.claim(worker_id)["id"] for _ in range(3)] == [first, second, low]
    assert queue.claim(worker_id) is None


def test_many_workers_claim_each_job_once(parts, queue):
    jobs = add(queue, *[0] * 20)
    workers = [joined(parts, f"w{n}") for n in range(4)]
    claimed: list[int] = []

    def work(worker):
        while (job := queue.claim(worker)) is not None:
            claimed.append(job["id"])

    threads = [threading.Thread(target=work, args=(worker,)) for worker in workers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(claimed) == jobs


def test_a_lost_workers_job_goes_to_another_and_its_late_writes_are_refused(parts, queue, worker_id):
    add(queue, 0)
    lost = expired(queue, worker_id)
    again = queue.claim(joined(parts, "two"))
    assert (again["id"], again["attempt"], again["fence"]) == (lost["id"], 2, lost["fence"] + 1)
    writes = (
        lambda: queue.progress(lost["id"], lost["fence"], worker_id, []),
        lambda: failed(queue, lost, worker_id),
        lambda: queue.release(lost["id"], lost["fence"], worker_id),
        lambda: queue.stopped(lost["id"], lost["fence"], worker_id),
    )
    for write in writes:
        with pytest.raises(Late):
            write()
    assert queue.get(lost["id"])["state"] == "running"


def test_another_worker_cannot_write_with_the_right_fence(parts, queue, worker_id):
    add(queue, 0)
    job = queue.claim(worker_id)
    with pytest.raises(Late):
        queue.progress(job["id"], job["fence"], joined(parts, "thief"), [])


def test_a_job_whose_workers_are_always_lost_is_dead_and_can_be_tried_again(queue, worker_id):
    (number,) = add(queue, 0)
    for _ in range(3):
        expired(queue, worker_id)
    queue.expire()
    assert queue.get(number)["state"] == "dead"
    assert queue.retry(number) == "queued"
    assert queue.claim(worker_id)["attempt"] == 1


def failed(queue, job, worker_id) -> str:
    return queue.fail(job["id"], job["fence"], worker_id, "the disk is full")


def test_a_training_that_went_wrong_is_not_tried_again_by_itself(queue, worker_id):
    (number,) = add(queue, 0)
    assert failed(queue, queue.claim(worker_id), worker_id) == "failed"
    row = queue.get(number)
    assert (row["state"], row["error"]) == ("failed", "the disk is full") and row["ended"]
    assert queue.claim(worker_id) is None


def test_what_a_training_said_is_kept_whatever_bytes_it_wrote(queue, worker_id):
    add(queue, 0)
    job = queue.claim(worker_id)
    queue.progress(job["id"], job["fence"], worker_id, [{"seq": 1, "kind": "line", "payload": "a\0b"}])
    queue.fail(job["id"], job["fence"], worker_id, "the disk\0 is full")
    assert queue.get(job["id"])["error"] == "the disk is full" and queue.events(job["id"])[0]["payload"] == "a\0b"


def add_measuring(queue) -> int:
    with queue.database.write() as connection:
        return queue.add(connection, "evaluate", "main", [], priority=9)


def test_a_measuring_that_went_wrong_rests_and_holds_up_nobody(queue, worker_id):
    number, (training,) = add_measuring(queue), add(queue, 0)
    before = time.time()
    assert failed(queue, queue.claim(worker_id), worker_id) == "queued"
    row = queue.get(number)
    assert row["error"] == "the disk is full" and row["rests_until"] >= before + queue.rest_seconds
    assert queue.claim(worker_id)["id"] == training and queue.claim(worker_id) is None
    assert queue.cancel(number) == "cancelled" and queue.retry(number) == "queued"
    assert queue.claim(worker_id)["id"] == number  # whom a person starts does not rest


def test_a_measuring_is_tried_as_often_as_other_jobs_and_then_fails(queue, worker_id):
    number = add_measuring(queue)
    queue.rest_seconds = -1.0  # it is over at once
    states = [failed(queue, queue.claim(worker_id), worker_id) for _ in range(queue.max_attempts)]
    assert states == ["queued"] * (queue.max_attempts - 1) + ["failed"] and queue.claim(worker_id) is None
    assert (queue.get(number)["state"], queue.get(number)["attempt"]) == ("failed", queue.max_attempts)


def test_a_measuring_that_somebody_cancels_is_not_tried_again(queue, worker_id):
    add_measuring(queue)
    job = queue.claim(worker_id)
    queue.cancel(job["id"])
    assert failed(queue, job, worker_id) == "failed"


def test_progress_renews_the_lease(queue, worker_id):
    (number,) = add(queue, 0)
    job = expired(queue, worker_id)
    queue.progress(number, job["fence"], worker_id, [])
    assert queue.expire() == 0 and queue.get(number)["lease_until"] > time.time()


@pytest.fixture
def clock(queue, monkeypatch) -> list[float]:
    """The time of the servers, to be set."""
    now = [1_000_000.0]
    monkeypatch.setattr(queue.database, "now", lambda connection: now[0])
    return now


def silence(clock, *queues) -> int:
    """More than a lease goes by, in which servers look as they do; the jobs that were taken."""
    taken = 0
    for _ in range(6):
        clock[0] += queues[0].lease_seconds / 4
        taken += sum(queue.expire() for queue in queues)
    return taken


@pytest.mark.parametrize("seconds", [40.0, 3600.0, -3600.0])
def test_a_clock_that_is_set_or_a_pause_takes_no_job_from_a_worker_and_keeps_none_that_is_lost(
    queue, worker_id, clock, seconds
):
    (number,) = add(queue, 0)
    queue.claim(worker_id)
    clock[0] += seconds
    assert queue.expire() == 0 and queue.get(number)["state"] == "running"
    assert silence(clock, queue) == 1 and queue.get(number)["state"] == "queued"


def test_no_server_of_several_takes_a_job_because_the_clock_was_set(queue, worker_id, clock):
    (number,) = add(queue, 0)
    queues = [Queue(queue.database), Queue(queue.database)]
    queues[0].claim(worker_id)
    assert queues[1].expire() == 0
    clock[0] += 3600.0
    assert [one.expire() for one in reversed(queues)] == [0, 0]
    assert silence(clock, *queues) == 1 and queue.get(number)["attempt"] == 1


def test_a_server_that_begins_hears_the_workers_first(queue, worker_id, clock):
    add(queue, 0)
    queue.claim(worker_id)
    clock[0] += 3600.0
    assert Queue(queue.database).expire() == 0


def test_who_looks_while_another_thread_gives_fresh_leases_takes_no_job(queue, worker_id, clock, monkeypatch):
    add(queue, 0)
    queue.claim(worker_id)
    clock[0] += 3600.0
    grace, meanwhile = queue._grace, list[int]()
    monkeypatch.setattr(queue, "_grace", lambda: (meanwhile.append(queue.expire()), grace()))
    assert queue.expire() == 0 and meanwhile == [0]


def test_a_clock_that_is_set_back_makes_no_measuring_wait_longer(queue, worker_id, clock):
    number = add_measuring(queue)
    failed(queue, queue.claim(worker_id), worker_id)
    clock[0] += 1.0
    assert queue.claim(worker_id) is None
    clock[0] -= 3600.0
    assert queue.claim(worker_id)["id"] == number


@pytest.mark.parametrize("database_url", ["postgres"], indirect=True)
def test_servers_of_one_postgres_go_by_its_clock(queue, worker_id, monkeypatch):
    (number,) = add(queue, 0)
    monkeypatch.setattr("serving.database.time", SimpleNamespace(time=lambda: 0.0))
    monkeypatch.setattr("serving.jobs.time", SimpleNamespace(time=lambda: 0.0))
    queue.claim(worker_id)
    assert abs(queue.get(number)["lease_until"] - queue.lease_seconds - time.time()) < 3600


def test_what_is_reported_twice_is_kept_once_in_order(queue, worker_id):
    (number,) = add(queue, 0)
    job = queue.claim(worker_id)
    events = [{"seq": n, "kind": "line", "payload": f"line {n}"} for n in (1, 2, 3)]
    queue.progress(number, job["fence"], worker_id, events[:2])
    queue.progress(number, job["fence"], worker_id, events)
    figures = [{"seq": n, "kind": "figures", "payload": {"val/loss": 1 / n}} for n in (4, 5)]
    queue.progress(number, job["fence"], worker_id, figures)
    assert [event["seq"] for event in queue.events(number)] == [1, 2, 3, 4, 5]
    assert [event["seq"] for event in queue.events(number, job["fence"], 3)] == [4, 5]
    assert queue.get(number)["figures"] == {"val/loss": 0.2}


def test_cancelling_ends_a_waiting_job_at_once_and_tells_the_worker_of_a_running_one(queue, worker_id):
    waiting, running = add(queue, 0, 9)
    job = queue.claim(worker_id)
    assert queue.cancel(waiting) == "cancelled"
    assert queue.cancel(running) == "running"
    assert queue.progress(running, job["fence"], worker_id, [])
    queue.stopped(running, job["fence"], worker_id)
    assert queue.get(running)["state"] == "cancelled"
    assert queue.claim(worker_id) is None


def test_a_cancelled_job_that_its_worker_gives_back_does_not_wait_again(queue, worker_id):
    (number,) = add(queue, 0)
    claimed = queue.claim(worker_id)
    queue.cancel(number)
    assert queue.release(number, claimed["fence"], worker_id) == "cancelled"
    assert queue.get(number)["state"] == "cancelled" and queue.claim(worker_id) is None
    assert (
        queue.retry(number) == "queued"
        and queue.release(number, queue.claim(worker_id)["fence"], worker_id) == "queued"
    )


def test_a_cancelled_job_of_a_lost_worker_does_not_run_again(queue, worker_id):
    (number,) = add(queue, 0)
    expired(queue, worker_id)
    queue.cancel(number)
    queue.expire()
    assert queue.get(number)["state"] == "cancelled"


def test_a_job_given_back_has_not_used_an_attempt(queue, worker_id):
    add(queue, 0)
    job = queue.claim(worker_id)
    queue.release(job["id"], job["fence"], worker_id)
    assert queue.claim(worker_id)["attempt"] == 1


def test_a_job_that_succeeded_or_waits_cannot_be_tried_again(queue, worker_id):
    (number,) = add(queue, 0)
    with pytest.raises(Late, match="is queued"):
        queue.retry(number)
    with pytest.raises(LookupError, match="no job 999"):
        queue.retry(999)


def test_equal_names_of_workers_get_a_suffix_and_other_versions_are_refused_with_both_named(parts):
    token = parts.tokens.find(parts.tokens.create("w", "worker")).token_id
    names = [parts.workers.join("lab", token, VERSION, "here", [])["name"] for _ in range(3)]
    assert names == ["lab", "lab-2", "lab-3"]
    with pytest.raises(ValueError, match=f"version older.*server runs {VERSION}"):
        parts.workers.join("lab", token, "older", "here", [])


def test_a_worker_is_known_only_by_the_token_that_it_joined_with(parts, worker_id):
    other = parts.tokens.find(parts.tokens.create("other", "worker"))
    with pytest.raises(LookupError, match="join again"):
        parts.workers.seen(worker_id, other.token_id)
