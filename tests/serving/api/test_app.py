"""The doors of the API: every route has one, every role is let in where it may and nowhere else."""

import hashlib
import json
import os
import re
from contextlib import suppress
from pathlib import Path

import httpx
import pytest

from serving.api.app import create_app
from serving.api.doors import PUBLIC, door_of
from serving.api.errors import PATTERNS
from serving.tokens import ROLES
from tests.serving.conftest import bearer, packaged, served
from tests.serving.material import VERSION

PUBLIC_PATHS = {"/livez", "/readyz", "/", "/store", "/pages/{name}"}
IDENTITIES = ("nobody", "viewer", "worker", "operator", "admin")


def routes(app):
    """Each with its methods; SOCKET where it is one."""
    return [(route, method) for route in app.router.routes for method in sorted(getattr(route, "methods", ["SOCKET"]))]


def test_every_route_has_a_door_and_only_health_and_the_pages_are_public(api):
    app = create_app(api.parts)
    doors = {(route.path, method): door_of(route) for route, method in routes(app)}
    assert None not in doors.values()
    assert {path for (path, _), door in doors.items() if PUBLIC in door.roles} == PUBLIC_PATHS
    assert {role for door in doors.values() for role in door.roles} <= {PUBLIC, *ROLES}
    assert len(doors) > 30


def test_every_route_lets_in_its_roles_and_nobody_else(api):
    for route, method in routes(create_app(api.parts)):
        if method == "SOCKET":  # see test_events.py
            continue
        door = door_of(route)
        path = route.path.format(number=999, name="nothing", sha256="f" * 64)
        for identity in IDENTITIES:
            answer = api[identity].request(method, path)
            may = PUBLIC in door.roles or any(role in ROLES.get(identity, ()) for role in door.roles)
            expected = 401 if identity == "nobody" and not may else 403
            assert (answer.status_code == expected) != may, (method, path, identity, answer.status_code)
            assert answer.status_code < 500


def test_what_is_not_there_tells_strangers_nothing(api):
    assert api["nobody"].get("/api/nothing").status_code == 401
    assert api["viewer"].get("/api/nothing").status_code == 404
    assert api["viewer"].request("PUT", "/api/jobs").status_code == 404
    for path in ("/docs", "/redoc", "/openapi.json"):
        assert api["admin"].get(path).status_code == 404


def test_a_route_without_a_door_lets_nobody_in(api):
    app = create_app(api.parts)
    app.add_api_route("/api/forgotten", lambda: "secret", methods=["GET"])
    with served(api.parts, app) as address:
        assert httpx.get(f"{address}/api/forgotten", headers=bearer(api.secrets["admin"])).status_code == 404


def test_tokens_that_are_wrong_expired_or_revoked_open_nothing(api):
    expired = api.parts.tokens.create("old", "admin", days=1e-9)
    revoked = api.parts.tokens.create("gone", "admin")
    number = api["admin"].get("/api/tokens").json()[-1]["id"]
    assert api["admin"].delete(f"/api/tokens/{number}").status_code == 204
    for header in (*map(bearer, (expired, revoked, "x")), {"Authorization": "Basic x"}, {"Authorization": "Bearer"}):
        assert api["nobody"].get("/api/jobs", headers=header).status_code == 401


def test_secrets_are_never_listed_and_only_their_hashes_are_stored(api):
    told = api["admin"].get("/api/tokens").text
    database = api.parts.database.file.read_bytes()
    for secret in api.secrets.values():
        assert secret not in told and secret.encode() not in database


def test_first_tokens_lie_where_only_their_owner_reads_them(api):
    folder = Path(api.parts.settings.root) / "tokens"
    assert folder.stat().st_mode & 0o77 == 0
    assert all(file.stat().st_mode & 0o77 == 0 for file in folder.iterdir())


@pytest.mark.parametrize("host", ["evil.example", "evil.example:8000", "localhost.evil.example"])
def test_a_foreign_name_that_points_here_is_refused(api, host):
    assert api["admin"].get("/api/jobs", headers={"Host": host}).status_code == 421
    assert api["nobody"].get("/livez", headers={"Host": host}).status_code == 421


def test_a_page_of_somebody_elses_changes_nothing(api):
    foreign = {"Origin": "http://evil.example"}
    assert api["operator"].post("/api/jobs", json={}, headers=foreign).status_code == 403
    assert api["operator"].post("/api/jobs", json={}, headers={"Origin": "null"}).status_code == 403
    assert api["operator"].post("/api/jobs", json={}, headers={"Origin": api.address}).status_code == 201


def test_bodies_that_are_too_long_are_refused_while_they_arrive(api):
    def endless():
        for _ in range(64):
            yield b"x" * (1 << 20)

    with suppress(httpx.WriteError):  # where the server had closed before all was sent
        assert api["operator"].post("/api/jobs", content=b"x" * ((1 << 20) + 1)).status_code == 413
    with suppress(httpx.WriteError):
        assert api["operator"].post("/api/jobs", content=endless()).status_code == 413
    assert api["nobody"].get("/livez").is_success


def test_a_file_travels_in_pieces_and_what_it_holds_is_checked(api):
    content = os.urandom(2_500_000)
    name = hashlib.sha256(content).hexdigest()
    path, length = f"/api/blobs/{name}", {"Upload-Length": str(len(content))}

    def piece(begin, end, role="worker"):
        return api[role].patch(path, content=content[begin:end], headers={"Upload-Offset": str(begin), **length})

    assert piece(0, 1_000_000).headers["Upload-Offset"] == "1000000"
    refused = piece(2_000_000, 2_500_000)
    assert (refused.status_code, refused.headers["Upload-Offset"]) == (409, "1000000")
    assert api["worker"].head(path).headers["Upload-Complete"] == "?0"
    assert piece(1_000_000, 2_500_000).headers["Upload-Complete"] == "?1"
    assert api["viewer"].get(path).content == content
    assert api["viewer"].get(path, headers={"Range": "bytes=0-9"}).content == content[:10]
    wrong = api["worker"].patch(
        f"/api/blobs/{'0' * 64}", content=b"abc", headers={"Upload-Offset": "0", "Upload-Length": "3"}
    )
    assert wrong.status_code == 422
    longer = api["worker"].patch(
        f"/api/blobs/{'1' * 64}", content=b"abcd", headers={"Upload-Offset": "0", "Upload-Length": "3"}
    )
    assert longer.status_code == 413
    assert api["worker"].patch("/api/blobs/..%2f..%2fx", headers=length).status_code in (404, 422)


def test_hostile_numbers_and_names_are_refused_as_mistakes(api):
    for path in ("/api/jobs/99999999999999999999", "/api/jobs/-1", "/api/jobs/x", "/api/models/1e3"):
        assert api["viewer"].get(path).status_code == 422
    for name in ("..", "A", "a/b", "x" * 65, "%00"):
        assert api["operator"].post(f"/api/deployments/{name}/clear", json={}).status_code in (404, 422)
    assert api["operator"].post("/api/jobs?name=..", json={}).status_code == 422


@pytest.mark.parametrize(
    ("path", "body", "told"),
    [
        ("/api/jobs?priority=x", {}, "query.priority='x': expected a whole number (such as 3)"),
        ("/api/jobs?priority=1000", {}, "query.priority='1000': expected less than or equal to 100"),
        ("/api/jobs?name=A", {}, "query.name='A': expected up to 64 small letters, digits, '_', '.' and '-'"),
        ("/api/deployments/A b/canary", {}, "path.name='A b': expected up to 64 small letters"),
        ("/api/deployments/main/canary", {"model": 1, "share": None}, "body.share=null: expected a number (such as"),
        ("/api/deployments/main/withdraw", {"role": True}, "body.role=true: expected 'shadow' or 'canary'"),
        ("/api/deployments", {}, "body.model: expected a value, and there is none"),
        ("/api/deployments", {"model": 1, "x": "y" * 99}, f"body.x='{'y' * 79}: expected no such name"),
        ("/api/deployments/main/freeze", {"frozen": []}, "body.frozen: expected true or false"),
        ("/api/deployments/main/freeze", 3, "body=3: expected names with values (such as {a: 1})"),
    ],
)
def test_what_a_request_lacks_is_told_by_name_value_and_what_would_fit(api, path, body, told):
    answer = api["operator"].post(path, json=body)
    assert (answer.status_code, answer.json()["error"][: len(told)]) == (422, told)


def test_every_pattern_of_a_request_is_told_in_words(api):
    schema = json.dumps(api["viewer"].get("/api/openapi.json").json())
    found = {json.loads(f'"{pattern}"') for pattern in re.findall(r'"pattern": "(.+?)"', schema)}
    assert found == set(PATTERNS)


def test_a_worker_of_another_version_is_refused_with_both_named(api):
    joining = {"name": "lab", "version": "older", "machine": "here"}
    answer = api["worker"].post("/api/workers", json=joining)
    assert answer.status_code == 409
    assert "older" in answer.json()["error"] and VERSION in answer.json()["error"]


def test_what_the_database_cannot_keep_is_refused_in_words(open_parts, database_url):
    parts = open_parts(database_url)
    joining = {"name": "lab", "version": VERSION, "machine": "here\0"}
    with served(parts) as address:
        answer = httpx.post(f"{address}/api/workers", json=joining, headers=bearer(parts.tokens.create("w", "worker")))
    refused = (answer.status_code, answer.json().get("error", "")[:29]) == (422, "the database cannot keep this")
    assert refused or (database_url is None and answer.status_code == 201)


def test_the_same_key_again_is_the_same_sweep(api):
    first, again = (
        api["operator"].post("/api/jobs", json={"SEED": [1, 2]}, headers={"Idempotency-Key": "k"}).json() for _ in "ab"
    )
    assert first == again and len(api["viewer"].get("/api/jobs").json()) == 2


@pytest.mark.parametrize(("name", "seeds"), [("main", [1, 3]), ("other", [1, 2])])
def test_the_same_key_of_another_sweep_is_refused(api, name, seeds):
    key = {"Idempotency-Key": "k"}
    assert api["operator"].post("/api/jobs", json={"SEED": [1, 2]}, headers=key).is_success
    answer = api["operator"].post(f"/api/jobs?name={name}", json={"SEED": seeds}, headers=key)
    assert (answer.status_code, answer.json()["error"][:40]) == (409, "the key k was given to another sweep, 1:")


def test_a_person_deploys_rolls_back_clears_and_freezes(api):
    numbers = []
    for seed, accuracy in ((1, 0.5), (2, 0.4)):
        package = packaged(api.parts, accuracy, seed)
        numbers.append(api["operator"].post("/api/models", json=package).json()["model"])
    first, second = numbers
    place = "/api/deployments/main"
    assert api["viewer"].get(place).json()["model_id"] == first
    stale = api["operator"].post("/api/deployments", json={"model": second, "generation": 7})
    assert stale.status_code == 409
    assert api["operator"].post("/api/deployments", json={"model": second, "generation": 1}).json()["generation"] == 2
    back = api["operator"].post(f"{place}/rollback", json={"freeze": True}).json()
    assert (back["model_id"], back["generation"], back["frozen"]) == (first, 3, True)
    assert api["operator"].post(f"{place}/rollback", json={}).status_code == 409
    assert api["operator"].post(f"{place}/clear", json={}).json()["model_id"] is None
    lines = api["viewer"].get("/api/history").json()
    assert [line["action"] for line in lines[:5]] == ["clear", "freeze", "rollback", "deploy", "promote"]
    assert api["viewer"].get("/api/history/check").json() == {"broken_at": None}


def test_a_bad_candidate_is_refused_with_the_reason(api):
    package = packaged(api.parts, 0.5) | {"model": "0" * 64}
    answer = api["operator"].post("/api/models", json=package)
    assert answer.status_code == 422 and "was not sent yet" in answer.json()["error"]
    assert api["operator"].post("/api/models", json=package | {"path": "/etc"}).status_code == 422
    assert api["viewer"].get("/api/models").json() == []


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("<img src=x>", "is no key"),
        ("hydra.run.dir=/tmp", "no hydra"),
        ("datamodule.root=/etc", "must not set this key"),
        ("trainer.max_epochs=${oc.env:HOME}", "without interpolation"),
        ("trainer.max_epochs", "KEY=VALUE"),
        ("trainer.max_epoch=3", "must not set|no such key"),
        ("schedulers=nothing_like_it", "nothing_like_it"),
    ],
)
def test_what_a_worker_declares_is_checked_when_it_joins_and_hurts_no_submission(api, text, why):
    joining = {"name": "w", "version": VERSION, "machine": "m", "declared": [text]}
    answer = api["worker"].post("/api/workers", json=joining)
    assert answer.status_code == 422 and re.search(why, answer.json()["error"]), answer.text
    assert api["worker"].post("/api/workers", json=joining | {"declared": ["trainer.speed=fp32"]}).status_code == 201
    assert api["operator"].post("/api/jobs", json={"EPOCHS": 1}).status_code == 201
