"""Ten times as many clients as the queue holds images: some are answered, the others are told when to ask again."""

import asyncio
import time

import psutil
import pytest

from benchmarks.serving_load import for_seconds, load, request
from serving.api.app import create_app
from serving.package import Package
from tests.serving.api.test_hostile import GROWTH, goes_live, started
from tests.serving.api.test_predict import EAGER
from tests.serving.conftest import served
from tests.serving.networks import network_package, png

HELD = 16  # images in the queue
CLIENTS = 10 * HELD
LIMITS = {"the queue is full": ("max_waiting", HELD, 503), "too often": ("requests_per_second", 20, 429)}


def overloaded(address: str, token: str, more) -> dict[int, int]:
    """How often each status came; whoever is refused must hear when to ask again."""
    silent = []

    def told(client, status, body) -> None:
        if status != 200 and b"\r\nretry-after: " not in client.head:
            silent.append((client.head, body))

    port = int(address.rpartition(":")[2])
    seen = asyncio.run(load(port, [request("/predict", png(), token)], CLIENTS, more, told))
    assert silent == [] and seen.failed == 0
    return dict(seen.statuses)


@pytest.mark.parametrize(("limit", "value", "status"), LIMITS.values(), ids=LIMITS)
def test_who_is_too_much_is_refused_with_the_time_to_ask_again_and_the_others_are_answered(
    open_parts, limit, value, status
):
    parts = open_parts(engine=EAGER, deadline_seconds=60.0, **{limit: value})
    parts.completion.register(Package(**network_package(parts)), "a test")
    token, asked = parts.tokens.create("guest", "viewer"), iter(range(400))
    with served(parts, create_app(parts)) as address:
        while parts.serving.unready or not parts.serving.state():
            time.sleep(0.02)
        statuses = overloaded(address, token, lambda: next(asked, None) is not None)
        assert set(statuses) == {200, status}
        batcher = parts.serving._endpoints["main"].lanes["live"].batcher
        assert batcher.pending == 0 and not batcher.waiting


@pytest.mark.soak
@pytest.mark.timeout(600)
@pytest.mark.parametrize(("limit", "value", "status"), LIMITS.values(), ids=LIMITS)
def test_a_minute_of_too_much_leaves_the_server_as_it_was(launch, tmp_path, limit, value, status):
    """A server in a process of its own."""
    with started(launch, tmp_path, f"serving.{limit}={value}") as (client, running, _, tokens):
        goes_live(client)
        process = psutil.Process(running.process.pid)
        overloaded(str(client.base_url), tokens["viewer"], for_seconds(5))  # what is loaded at the first use
        before, files = process.memory_info().rss, process.num_fds()
        statuses = overloaded(str(client.base_url), tokens["viewer"], for_seconds(60))
        assert set(statuses) == {200, status}
        assert process.memory_info().rss - before < GROWTH
        time.sleep(2)  # in which closed connections are let go, and who asked too often may ask again
        assert process.num_fds() <= files
        assert client.post("/predict", content=png()).status_code == 200
        assert client.get("/readyz").status_code == 200 and "something went wrong" not in running.output.read_text()
        print(statuses)
