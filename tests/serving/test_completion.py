"""Automatic deployment: its truth table, on both databases, and that it is decided with the job's end or not at all."""

import threading
from itertools import pairwise

import pytest

from serving import changes
from serving.deployments import Conflict
from serving.jobs import Late
from serving.measuring import NOT_MEASURED
from serving.package import BadCandidate, Measurement, Package
from serving.promotion import Better
from tests.serving.conftest import packaged, put
from tests.serving.material import OTHER_SET, SET, VERSION
from tests.serving.test_store import make_old


def job_of(parts, kind="train", **facts):
    """A claimed job: its row, and the worker that holds it."""
    with parts.database.write() as connection:
        number = parts.queue.add(connection, kind, "main", [], **facts)
    token = parts.tokens.create("w", "worker")
    joined = parts.workers.join("w", parts.tokens.find(token).token_id, VERSION, "here", [])
    worker = parts.workers.seen(joined["id"], parts.tokens.find(token).token_id)
    claimed = parts.queue.claim(worker.id)
    assert claimed["id"] == number
    return claimed, worker


def trained(parts, *args, **changes):
    """A job that ends with a model of this accuracy; the model's number and the verdict."""
    job, worker = job_of(parts)
    return parts.completion.succeed(job["id"], job["fence"], worker, Package(**packaged(parts, *args, **changes)))


def live(parts):
    return parts.deployments.get("main")["model_id"]


def test_a_model_better_than_the_deployed_one_goes_live_whatever_the_store_holds(parts):
    deployed, _ = trained(parts, 0.2, seed=1)
    best, _ = trained(parts, 0.4, seed=2)
    parts.deployments.deploy(deployed, "a person")  # by hand: it stays the reference
    new, verdict = trained(parts, 0.3, seed=3)
    assert verdict.promote and live(parts) == new
    assert "0.3000 against 0.2000" in verdict.why
    assert best != live(parts)


def test_the_first_model_of_an_empty_endpoint_goes_live(parts):
    new, verdict = trained(parts, 0.01)
    assert (verdict.promote, live(parts)) == (True, new)


def test_an_equal_model_and_a_worse_one_stay_out(parts):
    first, _ = trained(parts, 0.4, seed=1)
    for seed, accuracy in ((2, 0.4), (3, 0.399)):
        _, verdict = trained(parts, accuracy, seed=seed)
        assert not verdict.promote and "not better" in verdict.why
    assert live(parts) == first
    assert parts.deployments.get("main")["generation"] == 1


def test_after_clearing_the_next_model_goes_live_whatever_its_figures(parts):
    trained(parts, 0.9, seed=1)
    parts.deployments.clear("main", "a person")
    assert live(parts) is None
    new, verdict = trained(parts, 0.1, seed=2)
    assert verdict.promote and live(parts) == new


def test_a_frozen_endpoint_takes_nothing_until_it_is_thawed(parts):
    first, _ = trained(parts, 0.1, seed=1)
    parts.deployments.freeze("main", True, "a person")
    _, verdict = trained(parts, 0.9, seed=2)
    assert not verdict.promote and "frozen" in verdict.why and live(parts) == first
    parts.deployments.freeze("main", False, "a person")
    new, _ = trained(parts, 0.5, seed=3)
    assert live(parts) == new


def test_a_deployed_model_that_was_not_measured_on_this_set_is_measured_first_and_then_it_is_decided(parts):
    deployed, _ = trained(parts, 0.5, seed=1, set_digest=SET)
    new, verdict = trained(parts, 0.4, seed=2, set_digest=OTHER_SET)
    assert not verdict.promote and live(parts) == deployed
    job, worker = claimed_evaluation(parts)
    assert (job["subject_id"], job["for_id"]) == (deployed, new)
    found = Measurement(set_digest=OTHER_SET, split="test", images=100, figures={"accuracy": 0.3})
    verdict = parts.completion.measured(job["id"], job["fence"], worker, found)
    assert verdict.promote and live(parts) == new
    assert parts.store.get(new)["verdict"]["promote"]
    assert parts.queue.get(job["id"])["state"] == "succeeded"


def test_a_deployed_model_measured_on_yet_another_set_is_left_to_a_person(parts):
    deployed, _ = trained(parts, 0.5, seed=1, set_digest=SET)
    new, _ = trained(parts, 0.9, seed=2, set_digest=OTHER_SET)
    job, worker = claimed_evaluation(parts)
    found = Measurement(set_digest="e" * 64, split="test", images=9, figures={"accuracy": 0.1})
    verdict = parts.completion.measured(job["id"], job["fence"], worker, found)
    assert not verdict.promote and live(parts) == deployed
    assert "a person decides" in parts.store.get(new)["verdict"]["why"]
    assert parts.queue.every(state="queued") == []


def waiting(parts) -> int:
    """A model that waits until the deployed one is measured on its set."""
    trained(parts, 0.5, seed=1, set_digest=SET)
    new, _ = trained(parts, 0.4, seed=2, set_digest=OTHER_SET)
    parts.queue.rest_seconds = -1.0
    return new


def why(parts, number) -> str:
    verdict = parts.store.get(number)["verdict"]
    assert not verdict["promote"]
    return verdict["why"]


def failed(parts, error="status 1\nValueError: no images here\n") -> int:
    """A measuring that goes wrong once."""
    job, worker = claimed_evaluation(parts)
    parts.queue.fail(job["id"], job["fence"], worker.id, error)
    return job["id"]


def lost(parts) -> int:
    """A measuring whose worker is not heard of any more."""
    parts.queue.lease_seconds = -1.0
    job, _ = claimed_evaluation(parts)
    parts.queue.lease_seconds = 30.0
    parts.queue.expire()
    return job["id"]


def measured(parts):
    job, worker = claimed_evaluation(parts)
    found = Measurement(set_digest=OTHER_SET, split="test", images=100, figures={"accuracy": 0.3})
    return parts.completion.measured(job["id"], job["fence"], worker, found)


def test_a_measuring_that_goes_wrong_is_tried_again_and_then_it_is_decided(parts):
    new = waiting(parts)
    assert parts.queue.get(failed(parts))["state"] == "queued"
    assert why(parts, new) == NOT_MEASURED
    assert measured(parts).promote and live(parts) == new


def test_pages_hear_of_a_measuring_that_was_cancelled_and_tried_again(parts):
    new = waiting(parts)
    before, number = changes.state(parts)["marks"]["models"], parts.queue.every()[0]["id"]
    parts.queue.cancel(number)
    parts.queue.retry(number)
    assert why(parts, new) == NOT_MEASURED
    assert changes.state(parts)["marks"]["models"] != before  # one may have asked while it was cancelled


@pytest.mark.parametrize(
    ("attempt", "state", "said"),
    [(failed, "failed", "failed: ValueError: no images here"), (lost, "dead", "was given up: its worker was not")],
)
def test_a_measuring_that_goes_wrong_every_time_leaves_it_to_a_person_who_may_start_it_again(
    parts, attempt, state, said
):
    new = waiting(parts)
    deployed, before = live(parts), changes.state(parts)["marks"]["models"]
    for _ in range(3):
        assert why(parts, new) == NOT_MEASURED
        number = attempt(parts)
    assert parts.queue.get(number)["state"] == state
    assert f"job {number} {said}" in why(parts, new) and "a person decides" in why(parts, new)
    assert live(parts) == deployed
    assert changes.state(parts)["marks"]["models"] != before  # an open page asks for the new words
    parts.queue.retry(number)
    assert why(parts, new) == NOT_MEASURED
    assert measured(parts).promote and live(parts) == new


def test_files_that_a_decision_waits_for_are_not_given_up(parts):
    new = waiting(parts)
    deployed = live(parts)
    make_old(parts)
    assert parts.store.prune(0, 0, "me", even_within_reach=True) == []
    assert measured(parts).promote and live(parts) == new
    assert parts.store.prune(0, 0, "me", even_within_reach=True) == [f"main {parts.store.get(deployed)['version']}"]


def test_a_decision_about_files_that_were_given_up_says_so(parts):
    new = waiting(parts)
    numbers = [failed(parts) for _ in range(3)]
    make_old(parts)
    parts.store.prune(0, 0, "me")
    parts.queue.retry(numbers[0])
    verdict = measured(parts)
    assert not verdict.promote and verdict.why == why(parts, new)
    assert verdict.why == "its files were given up meanwhile: it can only be trained again"


@pytest.mark.parametrize("when", ["it waits", "it runs", "its worker is lost"])
def test_a_measuring_that_a_person_cancels_leaves_the_decision_to_a_person(parts, when):
    new = waiting(parts)
    number = parts.queue.every(state="queued")[0]["id"]
    if when != "it waits":
        parts.queue.lease_seconds = 30.0 if when == "it runs" else -1.0
        job, worker = claimed_evaluation(parts)
        parts.queue.lease_seconds = 30.0
    parts.queue.cancel(number)
    if when == "it runs":
        assert why(parts, new) == NOT_MEASURED
        parts.queue.stopped(number, job["fence"], worker.id)
    parts.queue.expire()
    assert f"job {number} was cancelled" in why(parts, new)


def test_a_measuring_that_succeeded_and_is_cancelled_too_late_changes_no_words(parts):
    new = waiting(parts)
    number = parts.queue.every(state="queued")[0]["id"]
    assert measured(parts).promote
    assert parts.queue.cancel(number) == "succeeded" and parts.store.get(new)["verdict"]["promote"]


def claimed_evaluation(parts):
    worker_id = parts.workers.every()[0]["id"]
    job = parts.queue.claim(worker_id)
    assert job["kind"] == "evaluate"
    return job, parts.workers.seen(worker_id, parts.workers.every()[0]["token_id"])


def test_a_model_measured_nowhere_does_not_take_a_place(parts):
    first, _ = trained(parts, 0.1, seed=1)
    _, verdict = trained(parts, seed=2, measurement=None)
    assert not verdict.promote and "not measured" in verdict.why and live(parts) == first


def test_each_name_has_an_endpoint_of_its_own(parts):
    trained(parts, 0.9, seed=1, name="main")
    _, verdict = trained(parts, 0.1, seed=2, name="other")
    assert verdict.promote
    assert [one["name"] for one in parts.deployments.every()] == ["main", "other"]


def test_a_result_sent_twice_is_kept_once_and_answered_the_same(parts):
    job, worker = job_of(parts)
    package = Package(**packaged(parts, 0.3))
    first = parts.completion.succeed(job["id"], job["fence"], worker, package)
    assert parts.completion.succeed(job["id"], job["fence"], worker, package) == first
    assert len(parts.store.every()) == 1
    assert parts.deployments.get("main")["generation"] == 1


def test_a_late_result_is_refused_and_leaves_nothing(parts):
    job, worker = job_of(parts)
    package = Package(**packaged(parts, 0.3))
    parts.queue.release(job["id"], job["fence"], worker.id)
    parts.queue.claim(worker.id)  # another attempt, a higher fence
    with pytest.raises(Late, match="no longer yours"):
        parts.completion.succeed(job["id"], job["fence"], worker, package)
    assert parts.store.every() == [] and parts.deployments.every() == []


def test_a_model_that_does_not_work_stays_out_and_the_reason_is_kept(open_parts, database_url):
    def refuse(blobs, files):
        raise BadCandidate("it answers with what is not a number")

    parts = open_parts(database_url, verify=refuse)
    new, verdict = trained(parts, 0.9)
    assert not verdict.promote and live(parts) is None
    assert "not a number" in parts.store.get(new)["verdict"]["why"]


def test_what_changed_while_it_was_judged_is_judged_again(open_parts, database_url):
    class Slow(Better):
        def judge(self, challenger, deployed):
            if not meddled:
                meddled.append(parts.deployments.deploy(strong, "a person"))
            return super().judge(challenger, deployed)

    meddled: list = []
    parts = open_parts(database_url, rule=Slow())
    weak, _ = trained(parts, 0.1, seed=1)
    meddled.append("not yet")
    strong, _ = trained(parts, 0.8, seed=2)
    parts.deployments.deploy(weak, "a person")
    meddled.clear()
    _, verdict = trained(parts, 0.5, seed=3)
    assert not verdict.promote and live(parts) == strong


@pytest.mark.parametrize("when", ["before it is judged", "while it is judged"])
def test_the_model_of_a_cancelled_job_is_kept_and_does_not_go_live(open_parts, database_url, when):
    class Slow(Better):
        def judge(self, challenger, deployed):
            parts.queue.cancel(job["id"])
            return super().judge(challenger, deployed)

    parts = open_parts(database_url, rule=Slow() if when == "while it is judged" else Better())
    first, _ = trained(parts, 0.1, seed=1)
    job, worker = job_of(parts)
    if when == "before it is judged":
        parts.queue.cancel(job["id"])
    package = Package(**packaged(parts, 0.9, seed=2))
    new, verdict = parts.completion.succeed(job["id"], job["fence"], worker, package)
    assert not verdict.promote and f"job {job['id']} was cancelled" in verdict.why
    assert live(parts) == first and parts.store.get(new)["verdict"]["why"] == verdict.why


def test_concurrent_results_and_deployments_leave_one_unbroken_history(parts):
    first, _ = trained(parts, 0.1, seed=1)
    packages = [Package(**packaged(parts, 0.2 + seed / 100, seed=seed)) for seed in range(2, 10)]
    done, conflicts = [], []

    def run(package):
        try:
            parts.completion.register(package, "a test")
            parts.deployments.deploy(first, "a person")
        except Conflict:
            conflicts.append(package)
        else:
            done.append(package)

    threads = [threading.Thread(target=run, args=(package,)) for package in packages]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(done) + len(conflicts) == len(packages)  # none broke otherwise
    lines = [line for line in reversed(parts.deployments.history(1000)) if line["generation"]]
    assert [line["generation"] for line in lines] == list(range(1, len(lines) + 1))
    assert all(after["from_id"] == before["to_id"] for before, after in pairwise(lines))
    assert lines[-1]["to_id"] == live(parts)
    assert parts.deployments.broken() is None
    versions = sorted(model["version"] for model in parts.store.every())
    assert versions == list(range(1, len(versions) + 1))


def test_predictions_decide_where_the_rule_asks_for_them(open_parts, database_url):
    from serving.promotion import Significant

    parts = open_parts(database_url, rule=Significant())
    rows = ["path,label,predicted,probability"]
    wrong = "\n".join([*rows, *(f"{n}.png,a,{'a' if n < 50 else 'b'},0.9" for n in range(100))])
    right = "\n".join([*rows, *(f"{n}.png,a,a,0.9" for n in range(100))])
    trained(parts, 0.5, seed=1, predictions=wrong)
    _, verdict = trained(parts, 1.0, seed=2, predictions=right)
    assert verdict.promote and "significantly better" in verdict.why
    assert put(parts, right.encode())
