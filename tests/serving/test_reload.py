"""Models change and bad ones arrive while clients ask: no request fails, no answer contradicts the history."""

import asyncio
import subprocess
import sys
import threading
from dataclasses import replace

import pytest

from benchmarks.serving_candidates import good, is_refused
from benchmarks.serving_reload import Witness, asked, await_live, lived, under_load
from serving.client import Client
from serving.endpoints import Serving
from serving.package import BadCandidate, Package
from serving.parts import assemble
from serving.promotion import Better
from serving.settings import ServingSettings
from serving.verification import check
from serving.version import ROOT
from tests.serving.conftest import put as put_blob
from tests.serving.conftest import served
from tests.serving.material import VERSION
from tests.serving.networks import brightness

EAGER = {"_target_": "serving.engines.eager.Eager", "type": "fp32", "device": "cpu"}
CLIENTS, REQUESTS, CHANGES = 4, 400, 10
KINDS = 6


def verified_here(blobs, files) -> None:
    """As serving.verification does it, without the seconds that a process of its own takes to import torch."""
    named = [blobs.path(sha) for sha in (files.model, files.manifest)]
    try:
        check(*named, blobs.path(files.golden) if files.golden else None)
    except (ValueError, RuntimeError) as error:
        raise BadCandidate(str(error)) from error


@pytest.fixture
def live(tmp_path):
    """A served store with three real networks, of which the first is live: parts, port, client, token, models."""
    chosen = ServingSettings(root=str(tmp_path / "store"), local_workers=0)
    parts = assemble(chosen, Better(), VERSION, verified_here, EAGER)
    token = parts.tokens.create("a test", "operator")

    def put(content: bytes) -> str:
        return put_blob(parts, content)

    packages = [good(seed, put) for seed in range(3)]
    numbers = [parts.completion.register(Package(**package), "a test")[0] for package in packages]
    with served(parts) as address:
        client = Client(address, token)
        await_live(client, 1)
        yield Live(parts, client, token, numbers, parts.store.blobs.read(packages[0]["model"]), put)
        client.close()
    parts.database.close()


class Live:
    def __init__(self, parts, client, token, numbers, content, put) -> None:
        self.parts, self.client, self.token, self.numbers = parts, client, token, numbers
        self.content, self.put = content, put

    def under(self, work):
        port = int(self.client.server.rpartition(":")[2])
        return under_load(port, asked(self.token), CLIENTS, REQUESTS, work)


def test_models_change_under_load_and_every_answer_is_of_its_generation(live):
    def work():
        for turn in range(CHANGES):
            if turn % 3 == 2:
                answer = live.client.post("/api/deployments/main/rollback", {})
            else:
                answer = live.client.post("/api/deployments", {"model": live.numbers[(turn + 1) % 3]})
            if turn % 2:  # else the next one overtakes it
                await_live(live.client, answer["generation"])
        return await_live(live.client, 1 + CHANGES)

    witness, seen, _ = live.under(work)
    assert (witness.refused, seen.failed) == ([], 0)
    assert witness.count >= REQUESTS and set(seen.statuses) == {200}
    assert witness.contradictions(lived(live.client)) == []
    assert len({answer for own in witness.answers.values() for answer in own}) >= CHANGES // 2


def test_bad_candidates_never_go_live_and_disturb_nobody(live):
    witness, seen, refused = live.under(
        lambda: [is_refused(live.client, live.put, live.content, number) for number in range(KINDS)]
    )
    assert refused == [True] * KINDS
    assert live.client.get("/api/deployments/main")["generation"] == 1
    assert (witness.refused, seen.failed) == ([], 0)
    assert witness.contradictions(lived(live.client)) == []


def test_a_witness_sees_wrong_hashes_and_steps_back():
    witness, history = Witness(), {1: (1, 7, "a"), 2: (2, 8, "b")}
    witness.answers[0] = [(1, 7, "a"), (2, 8, "b")]
    assert witness.contradictions(history) == []
    witness.answers[1] = [(2, 8, "b"), (1, 7, "a")]
    assert witness.contradictions(history) == ["2 then 1"]
    witness.answers[1] = [(1, 7, "b")]
    assert len(witness.contradictions(history)) == 1


def test_a_model_that_was_overtaken_while_it_was_loaded_never_answers(live):
    """Model 2 is being loaded when a rollback makes model 1 the newest; then it arrives."""
    arrived = threading.Event()

    def slow(endpoint, role, generation, number):
        if number == live.numbers[1]:
            arrived.wait(20)
        return replace(brightness(generation, endpoint=endpoint, role=role), model_id=number)

    async def work():
        serving = Serving(live.parts.deployments, live.parts.settings, slow, lambda answered, waiting=None: None)
        following = asyncio.create_task(serving.follow())
        seen = []

        async def until(generation):
            while not serving.state() or serving.state()[0]["generation"] != generation:
                await asyncio.sleep(0.01)

        await until(1)
        live.parts.deployments.deploy(live.numbers[1], "me")
        while serving.state()[0]["state"] != "loading":
            await asyncio.sleep(0.01)
        live.parts.deployments.rollback("main", "me")
        await until(3)
        arrived.set()
        for _ in range(50):
            seen.append((serving.state()[0]["generation"], serving.state()[0]["model_id"]))
            await asyncio.sleep(0.01)
        following.cancel()
        await asyncio.gather(following, return_exceptions=True)
        return seen

    assert set(asyncio.run(asyncio.wait_for(work(), 60))) == {(3, live.numbers[0])}


@pytest.mark.soak
@pytest.mark.timeout(3600)
def test_a_hundred_deployments_and_fifty_bad_candidates_under_twenty_thousand_requests():
    """The real server in its own process, every model verified and loaded as ever."""
    line = [sys.executable, "-m", "benchmarks.serving_reload"]
    done = subprocess.run(line, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
