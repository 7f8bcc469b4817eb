"""Load, latency, shares and confidence over time, by counting by hand."""

import time

import numpy as np
import pytest

from serving.monitoring import overview as module
from serving.monitoring.overview import Overview
from tests.serving.monitoring.conftest import answered, logits_of, register_masks

A, B = np.array([5, 0, 0], "f4"), np.array([0, 5, 0], "f4")


def told(parts, hours=1.0, points=6, name="main"):
    parts.monitor.flush()
    return Overview(parts.deployments, parts.monitor).of(name, hours, points)


def test_what_clients_got_is_counted_and_shadows_are_not(watched):
    now = time.time()
    watched.monitor.record(answered([A] * 6 + [B] * 2, at=now - 10, latency_ms=10))
    watched.monitor.record(answered([A] * 4, at=now - 10, role="canary", latency_ms=20))
    watched.monitor.record(answered([B] * 50, at=now - 10, role="shadow", latency_ms=900))
    found = told(watched)
    assert found["answers"] == 12 and found["per_second"] == pytest.approx(12 / 3600)
    latencies = [*range(10, 18), *range(20, 24)]
    for name, share in (("p50", 50), ("p95", 95), ("p99", 99)):
        assert found["latency_ms"][name] == pytest.approx(np.percentile(latencies, share), abs=1e-3)
    shares = {one["class"]: one["share"] for one in found["shares"]}
    assert found["share_of"] == "answers" and shares == {"a": 0.75, "b": 0.25, "c": 0.0}
    assert sum(one["reference"] for one in found["shares"]) == pytest.approx(1)
    sure = float(np.exp(5) / (np.exp(5) + 2))
    assert found["confidence"]["mean"] == pytest.approx(sure, abs=1e-6) and 0.8 < found["confidence"]["reference"] < 1


def test_the_series_has_as_many_points_as_asked_for_and_each_answer_once(watched):
    now = time.time()
    for minutes, count in ((55, 3), (25, 5), (1, 7)):
        watched.monitor.record(answered([A] * count, at=now - 60 * minutes, name=str(minutes)))
    series = told(watched, points=6)["series"]
    assert [point["answers"] for point in series] == [3, 0, 0, 5, 0, 7]
    assert series[1]["p50"] is None and series[1]["confidence"] is None and series[1]["shares"] == {}
    assert series[3]["per_second"] == pytest.approx(5 / 600) and series[3]["shares"] == {"a": 1.0}
    assert told(watched, hours=0.1, points=2)["answers"] == 7


def test_of_masks_the_mean_share_of_the_pixels_is_told_beside_that_on_the_evaluation_set(watched):
    watched.monitor.record(answered([A] * 5, at=time.time() - 1000))  # of the model that was live before, with scores
    number = register_masks(watched, [[0.5, 0.25, 0.25, 0.9]] * 3)
    watched.deployments.deploy(number, "me")
    for ago, shown, role in ((950, [0.6, 0.4, 0.0, 0.8], "live"), (10, [0.2, 0.8, 0.0, 0.9], "live"),
                             (10, [0.0, 0.0, 1.0, 0.9], "shadow")):  # fmt: skip
        masks = np.array([shown] * 2, "f4")
        watched.monitor.record(answered(masks, number, 2, role, time.time() - ago, name=f"{ago}{role}"))
    found = told(watched, points=4)
    assert found["share_of"] == "pixels" and found["answers"] == 9
    shares = {one["class"]: (one["share"], one["reference"]) for one in found["shares"]}
    assert list(shares) == ["b", "a", "c"]
    assert shares["a"] == pytest.approx((0.4, 0.5)) and shares["b"] == pytest.approx((0.6, 0.25))
    assert shares["c"] == pytest.approx((0.0, 0.25))
    series = [point["shares"] for point in found["series"]]
    assert series[:2] == [{}, {}] and series[2] == pytest.approx({"a": 0.6, "b": 0.4, "c": 0.0})
    assert series[3] == pytest.approx({"a": 0.2, "b": 0.8, "c": 0.0})


def test_masks_without_a_reference_and_before_their_first_answer_have_no_shares(watched):
    number = register_masks(watched, None)
    watched.deployments.deploy(number, "me")
    assert told(watched)["shares"] == [] and told(watched)["share_of"] == "pixels"
    watched.monitor.record(answered(np.array([[0.5, 0.5, 0.0, 0.9]], "f4"), number, 2, at=time.time() - 10))
    assert {one["reference"] for one in told(watched)["shares"]} == {None}


def test_of_many_answers_some_stand_for_all(watched, rng, monkeypatch):
    monkeypatch.setattr(module, "MOST_ROWS", 50)
    watched.monitor.record(answered(logits_of(rng, 199), at=time.time() - 10))
    found = told(watched, points=1)
    assert (found["answers"], found["one_of"]) == (199, 4)
    assert found["series"][0]["answers"] == pytest.approx(199, abs=4)


def test_drift_is_told_with_its_words_and_before_that_how_much_is_missing(watched, rng):
    watched.monitor.record(answered(logits_of(rng, 150)))
    waits = told(watched)["drift"]
    assert waits["drifted"] is None and waits["why"].startswith("not known before 200 answers, of which 150")
    watched.monitor.record(answered(logits_of(rng, 50), name="more"))
    found = told(watched)["drift"]
    assert found["drifted"] is False and "no drift" in found["why"] and len(found["windows"]) == 1
    watched.deployments.clear("main", "me")
    assert told(watched)["drift"]["why"] == "nothing is live"


def test_an_endpoint_without_answers_has_an_overview_and_an_unknown_one_none(watched):
    found = told(watched, points=3)
    assert found["answers"] == 0 and found["latency_ms"] == {"p50": None, "p95": None, "p99": None}
    assert [one["share"] for one in found["shares"]] == [None] * 3 and len(found["series"]) == 3
    with pytest.raises(LookupError):
        told(watched, name="other")
