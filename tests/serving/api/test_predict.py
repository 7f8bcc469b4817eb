"""POST /predict over a real socket: forms and bodies, one and many, and every refusal with its status."""

import time

import httpx
import pytest

from serving.api.app import create_app
from serving.package import Package
from tests.serving.conftest import bearer, served
from tests.serving.networks import network_package, png

EAGER = {"_target_": "serving.engines.eager.Eager", "type": "fp32", "device": "cpu"}


@pytest.fixture
def server(open_parts, tmp_path):
    """A client of a server on which model 1 is live, with model 2 in the store."""
    parts = open_parts(engine=EAGER, max_images=4, max_upload_mib=0.1, max_megapixels=0.01)
    for seed in range(2):
        parts.completion.register(Package(**network_package(parts, seed)), "a test")
    secret = parts.tokens.create("guest", "viewer")
    with served(parts, create_app(parts)) as address:
        client = httpx.Client(base_url=address, headers=bearer(secret), timeout=30, verify=False)
        while client.get("/readyz").status_code != 200 or client.get("/api/serving").json()[0]["state"] != "live":
            time.sleep(0.02)
        client.parts = parts
        yield client
        client.close()


def form(*images: bytes):
    return [("image", (f"{place}.png", image, "image/png")) for place, image in enumerate(images)]


def test_a_form_and_a_body_are_answered_alike(server):
    by_form = server.post("/predict?top_k=3", files=form(png())).json()
    by_body = server.post("/predict?top_k=3", content=png(), headers={"content-type": "image/png"}).json()
    bare = server.post("/predict/main?top_k=3", content=png()).json()
    by_curl = {"content-type": "application/x-www-form-urlencoded"}  # of --data-binary @a.png
    curled = server.post("/predict/main?top_k=3", content=png(), headers=by_curl).json()
    tops = [one["predictions"][0]["top"] for one in (by_form, by_body, bare, curled)]
    assert tops[0] == tops[1] == tops[2] == tops[3] and len(tops[0]) == 3
    assert sum(one["probability"] for one in tops[0]) <= 1 and tops[0][0]["class"].startswith("class ")


def test_an_answer_names_the_model_its_hash_and_the_generation(server):
    answer = server.post("/predict", files=form(png(1), png(2))).json()
    live = server.get("/api/deployments/main").json()
    assert (answer["endpoint"], answer["generation"], answer["task"]) == ("main", 1, "classification")
    assert answer["model"] == {"id": 1, "name": "main", "version": 1, "sha256": live["file_sha256"]}
    assert len({one["id"] for one in answer["predictions"]}) == 2
    assert server.get("/api/serving").json()[0]["sha256"] == live["file_sha256"]


def test_more_classes_than_there_are_asks_for_all(server):
    assert len(server.post("/predict?top_k=1000", files=form(png())).json()["predictions"][0]["top"]) == 10


@pytest.mark.parametrize(
    ("send", "status", "why"),
    [
        ({"files": [("image", ("x.png", b"nothing", "image/png"))]}, 415, "no JPEG, PNG or WebP"),
        ({"files": [("image", ("x.png", png()[:30], "image/png"))]}, 400, "cannot be decoded"),
        ({"files": [("image", ("x.png", png(size=(200, 200)), "image/png"))]}, 413, "200 x 200 pixels"),
        ({"files": [("photo", ("x.png", png(), "image/png"))]}, 422, "no file in a field 'image'"),
        ({"data": {"image": "text"}}, 415, "not application/x-www-form-urlencoded"),
        ({"files": form(*[png()] * 5)}, 400, "Too many files"),
        ({"content": b"x" * 200_000}, 413, "longer than"),
        ({"content": b"{}", "headers": {"content-type": "application/json"}}, 415, "not application/json"),
        ({"content": b"", "headers": {"content-type": "image/png"}}, 415, "no JPEG, PNG or WebP"),
        ({"content": b"--", "headers": {"content-type": "multipart/form-data"}}, 400, "boundary"),
        ({"content": png(), "params": {"top_k": 0}}, 422, "top_k"),
        ({"content": png(), "params": {"deadline_ms": 0}}, 422, "deadline_ms"),
    ],
)
def test_what_cannot_be_answered_is_refused_with_its_reason(server, send, status, why):
    answer = server.post("/predict", **send)
    assert answer.status_code == status and why in answer.json()["error"], answer.text
    assert server.post("/predict", content=png()).status_code == 200


def test_an_unknown_endpoint_is_not_found(server):
    answer = server.post("/predict/other", content=png())
    assert (answer.status_code, answer.json()["error"]) == (404, "there is no endpoint other")


def test_nothing_live_is_503_with_when_to_ask_again(server):
    server.parts.deployments.clear("main", "me")
    while server.get("/api/serving").json()[0]["state"] != "empty":
        time.sleep(0.02)
    answer = server.post("/predict", content=png())
    assert answer.status_code == 503 and int(answer.headers["retry-after"]) > 0
    assert server.get("/readyz").status_code == 200  # nothing should be live: the server is ready


def test_the_next_answer_after_a_deployment_is_of_the_new_model(server):
    server.parts.deployments.deploy(2, "me")
    until = time.monotonic() + 20
    while (answer := server.post("/predict", content=png()).json())["generation"] == 1 and time.monotonic() < until:
        time.sleep(0.02)
    assert (answer["generation"], answer["model"]["id"]) == (2, 2)


def test_a_revoked_token_is_good_for_nothing_at_once(server):
    assert server.post("/predict", content=png()).status_code == 200
    number = next(one["id"] for one in server.parts.tokens.every() if one["name"] == "guest")
    server.parts.tokens.revoke(number, "me")
    assert server.post("/predict", content=png()).status_code == 401


def test_what_was_answered_and_refused_is_counted(server):
    server.post("/predict", files=form(png(1), png(2)))
    server.post("/predict", content=b"nothing")
    server.post("/predict/nowhere", content=png())
    lines = server.get("/metrics").text.splitlines()
    assert 'evergreen_requests_total{endpoint="main",status="200"} 1.0' in lines
    assert 'evergreen_requests_total{endpoint="main",status="415"} 1.0' in lines
    assert not any("nowhere" in line for line in lines)
    assert 'evergreen_batch_size_sum{endpoint="main"} 2.0' in lines
    assert any(line.startswith('evergreen_queue_depth{endpoint="main"}') for line in lines)


def test_who_asks_too_often_is_told_when_to_ask_again(open_parts, tmp_path):
    parts = open_parts(requests_per_second=2.0)
    tokens = [parts.tokens.create(name, "viewer") for name in "ab"]
    with served(parts, create_app(parts)) as address, httpx.Client(base_url=address, verify=False) as client:
        statuses = [client.post("/predict", content=png(), headers=bearer(tokens[0])).status_code for _ in range(12)]
        last = client.post("/predict", content=png(), headers=bearer(tokens[0]))
        other = client.post("/predict", content=png(), headers=bearer(tokens[1]))
    assert statuses[:4] == [404] * 4 and 429 in statuses[4:6]  # nothing was ever deployed here
    assert last.status_code == 429 and last.headers["retry-after"] == "1"
    assert last.json()["error"] == "this token may send 2 requests a second"
    assert other.status_code == 404
