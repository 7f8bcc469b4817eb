"""The live socket: who may listen, what is pushed, and that no client holds up another."""

import asyncio
import json
import socket
import time
from contextlib import ExitStack, contextmanager
from secrets import token_hex

import pytest
from websockets.asyncio.client import connect as connect_async
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect

from serving.api import events
from serving.api.events import Hub
from serving.package import Package
from tests.serving.conftest import packaged, served


@contextmanager
def listening(address, secret=None, **headers):
    protocols = ["evergreen", *([f"token.{secret}"] if secret else [])]
    place = address.replace("http", "ws") + "/api/events"
    with connect(place, subprotocols=protocols, additional_headers=headers, open_timeout=20) as talk:
        yield talk


def told(talk, wanted=lambda state: True, seconds=20):
    """The next state that is as wanted."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        message = json.loads(talk.recv(timeout=max(0.1, end - time.monotonic())))
        if message["kind"] == "state" and wanted(message):
            return message
    raise TimeoutError


def refused(address, secret=None, **headers):
    with pytest.raises(InvalidStatus) as error, listening(address, secret, **headers):
        pass
    return error.value.response.status_code


def register(api, accuracy, seed):
    return api["operator"].post("/api/models", json=packaged(api.parts, accuracy, seed)).json()["model"]


def test_a_page_hears_the_whole_state_at_once_and_each_change_soon(api):
    first = register(api, 0.5, 1)
    with listening(api.address, api.secrets["viewer"]) as talk, listening(api.address, api.secrets["admin"]) as other:
        assert talk.subprotocol == "evergreen"
        state = told(talk)
        assert [(row["name"], row["model_id"], row["generation"]) for row in state["deployments"]] == [
            ("main", first, 1)
        ]
        assert told(other) == state
        second = register(api, 0.6, 2)
        for one in (talk, other):
            news = told(one, lambda state: state["deployments"][0]["generation"] == 2)
            assert news["deployments"][0]["model_id"] == second
            assert news["marks"]["models"] != state["marks"]["models"]
            assert news["marks"]["history"] != state["marks"]["history"]


def test_who_cannot_hold_a_socket_asks_for_the_same(api):
    register(api, 0.5, 1)
    with listening(api.address, api.secrets["viewer"]) as talk:
        assert api["viewer"].get("/api/events").json() == told(talk)


def test_jobs_and_what_they_report_change_the_marks(api):
    with listening(api.address, api.secrets["viewer"]) as talk:
        before = told(talk)
        number = api["operator"].post("/api/jobs", json={"SEED": 1}).json()["jobs"][0]
        queued = told(talk, lambda state: state["jobs"] == {"queued": 1})
        assert queued["marks"]["jobs"] != before["marks"]["jobs"]
        api["operator"].post(f"/api/jobs/{number}/priority", json={"priority": 5})
        told(talk, lambda state: state["marks"]["jobs"] != queued["marks"]["jobs"])
        joined = (
            api["worker"].post("/api/workers", json={"name": "w", "version": "test-version", "machine": "m"}).json()
        )
        job = api["worker"].post(f"/api/workers/{joined['id']}/claim").json()
        assert told(talk, lambda state: state["reported"])["reported"] == {str(number): [1, 0]}
        said = {"worker": joined["id"], "fence": job["fence"], "events": [{"seq": 1, "kind": "line", "payload": "x"}]}
        api["worker"].post(f"/api/jobs/{number}/progress", json=said)
        told(talk, lambda state: state["reported"] == {str(number): [1, 1]})


def test_a_job_that_was_cancelled_and_tried_again_has_changed_the_marks(api):
    number = api["operator"].post("/api/jobs", json={"SEED": 1}).json()["jobs"][0]
    before = api["viewer"].get("/api/events").json()
    for act in ("cancel", "retry"):
        api["operator"].post(f"/api/jobs/{number}/{act}")
    after = api["viewer"].get("/api/events").json()
    assert after["jobs"] == before["jobs"] == {"queued": 1}
    assert after["marks"]["jobs"] != before["marks"]["jobs"]  # a page may have asked while it was cancelled


@pytest.mark.parametrize("role", ["viewer", "operator", "admin"])
def test_roles_that_may_look_may_listen(api, role):
    with listening(api.address, api.secrets[role]) as talk:
        told(talk)
    with listening(api.address, Authorization=f"Bearer {api.secrets[role]}") as talk:
        told(talk)


def test_everybody_else_is_refused_before_the_socket_opens(api):
    assert refused(api.address) == 403
    assert refused(api.address, "wrong") == 403
    assert refused(api.address, api.secrets["worker"]) == 403
    assert refused(api.address, api.parts.tokens.create("old", "admin", days=1e-9)) == 403


def test_a_page_of_somebody_elses_hears_nothing(api):
    assert refused(api.address, api.secrets["admin"], Origin="http://evil.example") == 403
    assert refused(api.address, api.secrets["admin"], Origin="null") == 403
    with listening(api.address, api.secrets["viewer"], Origin=api.address) as talk:
        told(talk)


def test_a_token_in_a_subprotocol_opens_no_plain_route(api):
    protocol = {"Sec-WebSocket-Protocol": f"evergreen, token.{api.secrets['admin']}"}
    assert api["nobody"].get("/api/jobs", headers=protocol).status_code == 401


@pytest.mark.parametrize("said", ["hello", "x" * 100_000])
def test_a_client_that_talks_is_cut_off(api, said):
    with listening(api.address, api.secrets["viewer"]) as talk:
        told(talk)
        talk.send(said)
        with pytest.raises(ConnectionClosed) as error:
            while True:
                talk.recv(timeout=10)
        assert error.value.rcvd.code in (1008, 1009)


def test_there_are_only_so_many_sockets_and_who_leaves_makes_room(open_parts):
    parts = open_parts(max_sockets=2)
    secret = parts.tokens.create("guest", "viewer")
    with served(parts) as address, listening(address, secret) as first:
        told(first)
        with listening(address, secret) as second:
            told(second)
            assert refused(address, secret) == 403
        end = time.monotonic() + 20
        while time.monotonic() < end:
            try:
                with listening(address, secret) as third:
                    told(third)
                break
            except InvalidStatus:
                time.sleep(0.05)
        else:
            raise AssertionError("no room was made")


def test_a_revoked_token_hears_no_more(api, monkeypatch):
    monkeypatch.setattr(events, "BEAT", 0.1)
    secret = api.parts.tokens.create("short", "viewer")
    with listening(api.address, secret) as talk:
        told(talk)
        assert json.loads(talk.recv(timeout=10)) == {"kind": "beat"}
        number = api["admin"].get("/api/tokens").json()[-1]["id"]
        api["admin"].delete(f"/api/tokens/{number}")
        with pytest.raises(ConnectionClosed) as error:
            while True:
                talk.recv(timeout=10)
        assert error.value.rcvd.code == 1008


def test_a_client_that_takes_nothing_is_cut_off_and_holds_up_nobody(open_parts, monkeypatch):
    monkeypatch.setattr(events, "PATIENCE", 0.5)
    monkeypatch.setattr(events, "LOOK", 0.05)
    monkeypatch.setattr(events, "state", lambda parts: {"kind": "state", "rest": token_hex(100_000)})
    parts = open_parts(max_sockets=2)
    secret = parts.tokens.create("guest", "viewer")
    with served(parts) as address, stuck(address, secret), listening(address, secret) as well:
        assert not room(address, secret)
        end = time.monotonic() + 30
        while not room(address, secret):
            told(well, seconds=5)
            assert time.monotonic() < end


async def arrived(address, secret, pages, generation, work) -> list[int]:
    """The generation that each of many open pages has heard of last."""
    place, options = address.replace("http", "ws") + "/api/events", {"subprotocols": ["evergreen", f"token.{secret}"]}

    async def heard() -> int:
        async with connect_async(place, open_timeout=60, **options) as talk:
            opened.append(talk)
            while (seen := json.loads(await talk.recv())).get("kind") != "state" or generation_in(seen) < generation:
                pass
            return generation_in(seen)

    opened: list = []
    async with asyncio.timeout(120):
        listeners = [asyncio.create_task(heard()) for _ in range(pages)]
        while len(opened) < pages:
            await asyncio.sleep(0.05)
        await asyncio.to_thread(work)
        return await asyncio.gather(*listeners)


def generation_in(state) -> int:
    return state["deployments"][0]["generation"]


def all_hear(open_parts, pages, deaf, deployments) -> None:
    parts = open_parts(max_sockets=pages + deaf)
    models = [parts.completion.register(Package(**packaged(parts, 0.5, seed)), "a test")[0] for seed in (1, 2)]
    secret = parts.tokens.create("guest", "viewer")

    def work() -> None:
        for turn in range(deployments):
            parts.deployments.deploy(models[(turn + 1) % 2], "me")

    with served(parts) as address, ExitStack() as stack:
        for _ in range(deaf):
            stack.enter_context(stuck(address, secret))
        last = 1 + deployments
        assert asyncio.run(arrived(address, secret, pages, last, work)) == [last] * pages


def test_all_open_pages_hear_what_went_live_beside_some_that_take_nothing(open_parts):
    all_hear(open_parts, pages=20, deaf=2, deployments=5)


@pytest.mark.soak
def test_two_hundred_open_pages_hear_of_fifty_deployments_beside_twenty_that_take_nothing(open_parts):
    all_hear(open_parts, pages=200, deaf=20, deployments=50)


def room(address, secret) -> bool:
    try:
        with listening(address, secret):
            return True
    except InvalidStatus:
        return False


@contextmanager
def stuck(address, secret):
    """A client that shakes hands and never reads again."""
    host, port = address.removeprefix("http://").split(":")
    with socket.socket() as raw:
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        raw.connect((host, int(port)))
        lines = ["GET /api/events HTTP/1.1", f"Host: {host}:{port}", "Upgrade: websocket", "Connection: Upgrade",
                 "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==", "Sec-WebSocket-Version: 13",
                 f"Sec-WebSocket-Protocol: evergreen, token.{secret}"]  # fmt: skip
        raw.sendall("\r\n".join([*lines, "", ""]).encode())
        assert raw.recv(12) == b"HTTP/1.1 101"
        yield


def test_many_sockets_cost_one_look_and_none_costs_nothing():
    looks = []

    def ask():
        looks.append(time.monotonic())
        return {"kind": "state", "look": len(looks)}

    async def run():
        hub = Hub(ask)
        async with hub.listening() as first, hub.listening() as second, hub.listening() as third:
            for wake in (first, second, third):
                await asyncio.wait_for(wake.wait(), 10)
            await asyncio.sleep(3 * events.LOOK)
        seen = len(looks)
        await asyncio.sleep(3 * events.LOOK)
        async with hub.listening() as again:
            await asyncio.wait_for(again.wait(), 10)
            assert json.loads(hub.message)["look"] == seen + 1
        return seen

    assert asyncio.run(run()) <= 5
