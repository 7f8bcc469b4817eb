"""Models change and bad ones arrive while clients ask: no request fails, no answer contradicts the history."""

import asyncio
import subprocess
import sys
import threading
import time
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


@pytest.mark.parametrize("overtaken_by", [0, 2], ids=["the one that answers", "a third"])
def test_a_model_that_was_overtaken_while_it_was_loaded_does_not_answer_as_another(live, overtaken_by):
    """The second model is being loaded when another one goes live; then it arrives, and what follows takes a moment."""
    arrived, first, second = threading.Event(), *live.numbers[:2]
    last = live.numbers[overtaken_by]

    def slow(endpoint, role, generation, number):
        if number == second:
            arrived.wait(20)
        elif arrived.is_set():
            time.sleep(0.3)
        return replace(brightness(generation, endpoint=endpoint, role=role), model_id=number)

    async def work():
        serving, seen = Serving(live.parts.deployments, live.parts.settings, slow, lambda answered, waiting: None), []
        following = asyncio.create_task(serving.follow())

        async def until(reached):
            while not (state := serving.state()) or not reached(state[0]):
                await asyncio.sleep(0.005)
                seen.extend((one["generation"], one["model_id"]) for one in state)

        await until(lambda state: state["generation"] == 1)
        live.parts.deployments.deploy(second, "me")
        await until(lambda state: state["state"] == "loading")
        live.parts.deployments.deploy(last, "me")
        await asyncio.sleep(0.5)
        arrived.set()
        await until(lambda state: len(seen) > 100 and state["generation"] == 3 and state["state"] == "live")
        following.cancel()
        await asyncio.gather(following, return_exceptions=True)
        return [state for state in seen if state[0] is not None]

    seen = asyncio.run(asyncio.wait_for(work(), 60))
    assert set(seen) <= {(1, first), (2, second), (3, last)}
    assert seen == sorted(seen)


@pytest.mark.soak
@pytest.mark.timeout(3600)
def test_a_hundred_deployments_and_fifty_bad_candidates_under_twenty_thousand_requests():
    """The real server in its own process, every model verified and loaded as ever."""
    line = [sys.executable, "-m", "benchmarks.serving_reload"]
    done = subprocess.run(line, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
