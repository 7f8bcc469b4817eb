"""The routes of monitoring, candidates, corrections and metrics, over a real socket."""

import hashlib
import time

import httpx
import numpy as np
import pytest
from prometheus_client.parser import text_string_to_metric_families
from sqlalchemy import func, select

from datamodule.decode import decode
from serving.api.app import create_app
from serving.monitoring.embedding import embed
from serving.package import Package
from serving.tables import prediction
from tests.serving.api.test_predict import EAGER
from tests.serving.conftest import bearer, packaged, served
from tests.serving.monitoring.conftest import answered
from tests.serving.networks import network_package
from tests.serving.networks import png as network_png
from tests.serving.test_feedback import photograph, picture


@pytest.fixture
def live(api):
    """Model 1 is live on `main`, 2 is in the store."""
    for seed, accuracy in ((1, 0.5), (2, 0.1)):
        assert api["operator"].post("/api/models", json=packaged(api.parts, accuracy, seed)).status_code == 201
    return api


def test_an_overview_is_there_and_its_limits_are_kept(live):
    live.parts.monitor.record(answered([np.array([3, 0, 0], "f4")] * 4))
    live.parts.monitor.flush()
    found = live["viewer"].get("/api/monitoring/main?hours=2&points=5").json()
    assert found["answers"] == 4 and len(found["series"]) == 5 and found["drift"]["drifted"] is None
    for query in (
        "hours=0",
        "hours=-1",
        "hours=inf",
        "hours=nan",
        "hours=1e-300",
        "hours=99999",
        "points=0",
        "points=301",
        "points=x",
    ):
        assert live["viewer"].get(f"/api/monitoring/main?{query}").status_code == 422, query
    assert live["viewer"].get("/api/monitoring/other").status_code == 404


def test_a_shadow_and_a_canary_are_set_compared_and_withdrawn(live):
    place, ask = "/api/deployments/main", live["operator"]
    assert ask.post(f"{place}/shadow", json={"model": 2}).json()["shadow_id"] == 2
    assert ask.post(f"{place}/canary", json={"model": 2, "share": 0.25}).json()["canary_share"] == 0.25
    (found,) = live["viewer"].get(f"{place}/candidates").json()
    assert (found["role"], found["share"], found["version"]) == ("canary", 0.25, 2)
    assert live["viewer"].get("/api/deployments").json()[0]["canary_id"] == 2
    assert ask.post(f"{place}/withdraw", json={"role": "canary"}).json()["canary_id"] is None
    assert ask.post(f"{place}/withdraw", json={"role": "canary"}).status_code == 409
    for wrong in ({"model": 2, "share": 0}, {"model": 2, "share": 1}, {"model": 2, "share": "x"}, {"share": 0.1}):
        assert ask.post(f"{place}/canary", json=wrong).status_code == 422
    assert ask.post(f"{place}/shadow", json={"model": 1}).status_code == 409
    assert ask.post(f"{place}/shadow", json={"model": 99}).status_code == 404
    assert ask.post("/api/deployments/other/shadow", json={"model": 2}).status_code == 422
    assert ask.post(f"{place}/withdraw", json={"role": "live"}).status_code == 422


def test_a_guest_corrects_an_operator_lists_and_an_admin_deletes(live):
    sent = photograph()
    form = {"endpoint": "main", "prediction": "0" * 32, "label": "b"}
    answer = live["viewer"].post("/api/feedback", files={"image": ("../../x.jpg", sent, "image/jpeg")}, data=form)
    assert answer.status_code == 201, answer.text
    row = answer.json()
    assert (row["label"], row["known"], row["actor"], row["model_id"]) == ("b", True, "guest (viewer)", 1)
    assert row["image_sha256"] == hashlib.sha256(sent).hexdigest() and row["prediction"] == "0" * 32
    assert live["operator"].get("/api/feedback?name=main").json() == [row]
    image = live["operator"].get(f"/api/feedback/{row['id']}/image")
    assert image.headers["content-type"] == "image/png" and b"Secret" not in image.content
    assert live["operator"].post("/api/feedback/consumed", json={"ids": [row["id"]]}).json() == {"consumed": 1}
    assert live["admin"].delete(f"/api/feedback/{row['id']}").status_code == 204
    assert live["operator"].get("/api/feedback").json() == []
    assert live["operator"].get(f"/api/feedback/{row['id']}/image").status_code == 404


@pytest.mark.parametrize(
    ("image", "form", "status"),
    [
        (picture(), {}, 201),  # wrong, and nobody knows what is right
        (picture(), {"label": "something else"}, 201),
        (b"no image", {}, 415),
        (picture()[:60], {}, 400),
        (b"", {}, 415),
        (picture(), {"endpoint": "other"}, 404),
        (picture(), {"endpoint": "../x"}, 422),
        (picture(), {"prediction": "xyz"}, 422),
        (picture(), {"label": "x" * 201}, 422),
        (picture(), {"label": "x" * 2000}, 422),
        (picture(), {"label": "a\x00b"}, 422),
        (None, {"label": "a"}, 422),
    ],
    ids=lambda value: "" if isinstance(value, bytes) else None,
)
def test_what_is_no_correction_is_refused_as_a_mistake(live, image, form, status):
    files = None if image is None else {"image": ("x.png", image, "image/png")}
    assert live["viewer"].post("/api/feedback", files=files, data=form).status_code == status


def test_prometheus_reads_the_metrics_with_a_viewers_token(live):
    live.parts.metrics.answered("main", 200, 0.01)
    for accept in (
        "text/plain",
        "application/openmetrics-text; version=1.0.0; charset=utf-8",
        "*/*",
        "text/plain;version=x",
    ):
        answer = live["viewer"].get("/metrics", headers={"accept": accept})
        assert answer.status_code == 200 and 'evergreen_requests_total{endpoint="main",status="200"} 1.0' in answer.text
    assert answer.headers["content-type"].startswith("text/plain; version=")
    names = {family.name for family in text_string_to_metric_families(answer.text)}
    assert {"evergreen_generation", "evergreen_jobs", "evergreen_workers", "evergreen_request_seconds"} <= names
    assert live["nobody"].get("/metrics").status_code == 401 and live["worker"].get("/metrics").status_code == 403


@pytest.fixture
def answering(open_parts):
    """A client of a server that really answers, with model 1 live and model 2 its shadow."""
    parts = open_parts(engine=EAGER)
    for seed in range(2):
        parts.completion.register(Package(**network_package(parts, seed)), "a test")
    parts.deployments.shadow(2, "me")
    with served(parts, create_app(parts)) as address:
        secret = parts.tokens.create("boss", "admin")
        with httpx.Client(base_url=address, headers=bearer(secret), timeout=30, verify=False) as client:
            while "live" not in states(client) or "loading" in states(client):
                time.sleep(0.02)
            yield client, parts


def shadows(parts) -> int:
    parts.monitor.flush()
    with parts.database.read() as connection:
        counted = select(func.count()).select_from(prediction).where(prediction.c.role == "shadow")
        return connection.execute(counted).scalar_one()


def states(client) -> set[str]:
    shown = client.get("/api/serving").json()
    return {one["state"] for row in shown for one in (row, *row["others"].values())}


def test_an_answer_its_shadow_and_its_correction_find_each_other(answering):
    client, parts = answering
    sent = [network_png(seed) for seed in range(5)]
    for image in sent:
        found = client.post("/predict", files={"image": ("x.png", image, "image/png")}).json()
    key, top = found["predictions"][0]["id"], found["predictions"][0]["top"][0]
    end = time.monotonic() + 30
    while shadows(parts) < 5:
        assert time.monotonic() < end
        time.sleep(0.1)
    overview = client.get("/api/monitoring/main?points=3").json()
    assert overview["answers"] == 5 and overview["latency_ms"]["p99"] > 0
    with parts.database.read() as connection:
        row = connection.execute(select(prediction).where(prediction.c.key == key, prediction.c.role == "live")).one()
    assert row.image_sha256 == hashlib.sha256(sent[-1]).hexdigest()
    assert row.embedding == embed(decode(sent[-1], 1)).tolist()
    assert (row.choice, row.model_id) == (top["class"], 1) and row.confidence == pytest.approx(top["probability"])
    form = {"prediction": key, "label": top["class"]}
    said = client.post("/api/feedback", files={"image": ("x.png", sent[-1], "image/png")}, data=form).json()
    assert said["known"] and said["model_id"] == 1 and said["image_sha256"] == row.image_sha256
    (shadow,) = client.get("/api/deployments/main/candidates").json()
    assert shadow["agreement"]["images"] == 5 and shadow["labelled"]["right"]["live"] == 1
    assert 'evergreen_requests_total{endpoint="main",status="200"} 5.0' in client.get("/metrics").text


def test_a_server_mends_what_a_crash_left_when_it_starts_and_writes_what_waits_when_it_ends(open_parts):
    parts = open_parts()
    parts.completion.register(Package(**packaged(parts)), "a test")
    parts.feedback.add("main", picture(), "0" * 64, None, "a", "me")
    table = parts.feedback.shelf("main").folder / "labels.csv"
    whole = table.read_text()
    table.write_text("path,label\n")
    parts.monitor.seconds = 3600
    with served(parts):
        assert table.read_text() == whole
        parts.monitor.record(answered([np.array([3, 0, 0], "f4")] * 3))
    with parts.database.read() as connection:
        assert connection.execute(select(func.count()).select_from(prediction)).scalar_one() == 3
