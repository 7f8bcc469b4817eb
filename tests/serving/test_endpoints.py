"""A process follows the store: what is live answers, what cannot be loaded does not, and what answered before stays."""

import asyncio
import random
import threading
import time
from dataclasses import replace

import pytest

from serving.batching import Unavailable
from serving.bundle import load
from serving.endpoints import Serving
from serving.package import BadCandidate, Package
from tests.serving.networks import brightness, network_package, png

OPENVINO = {"_target_": "serving.engines.openvino.OpenVino", "type": "fp32", "threads": 1}
EAGER = {"_target_": "serving.engines.eager.Eager", "type": "fp32", "device": "cpu"}


def followed(parts, work, loader, record=lambda answered, waiting: None):
    """Runs `work(serving)` while a process follows the store."""

    async def run():
        serving = Serving(parts.deployments, parts.settings, loader, record)
        following = asyncio.create_task(serving.follow())
        try:
            return await asyncio.wait_for(work(serving), 60)
        finally:
            following.cancel()
            await asyncio.gather(following, return_exceptions=True)

    return asyncio.run(run())


async def until(serving, holds, name="main"):
    """The endpoint's state when it is as it should be."""
    while True:
        for one in serving.state():
            if one["endpoint"] == name and holds(one):
                return one
        await asyncio.sleep(0.01)


def register(parts, seed, **changes) -> int:
    """A model that anything goes live by: only where nothing was."""
    return parts.completion.register(Package(**network_package(parts, seed, **changes)), "a test")[0]


def bright(parts):
    """A loader that needs no files; model 666 cannot be loaded."""

    def made(endpoint, role, generation, number):
        if number in parts.broken:
            raise BadCandidate("it is broken")
        return brightness(generation, endpoint=endpoint, role=role, number=number)

    return made


@pytest.fixture
def store(open_parts):
    """With three models, of which the first is live."""
    parts = open_parts()
    object.__setattr__(parts, "broken", set())
    for seed in range(3):
        register(parts, seed)
    return parts


def test_each_generation_is_followed_forth_and_back(store):
    async def work(serving):
        seen = [await until(serving, lambda one: one["state"] == "live")]
        for act in (lambda: store.deployments.deploy(2, "me"), lambda: store.deployments.rollback("main", "me")):
            generation = act()["generation"]
            seen.append(await until(serving, lambda one, last=generation: one["generation"] == last))
        return [(one["generation"], one["model_id"]) for one in seen]

    assert followed(store, work, bright(store)) == [(1, 1), (2, 2), (3, 1)]


def test_what_cannot_be_loaded_leaves_the_former_one_answering_and_says_why(store):
    store.broken.add(2)

    async def work(serving):
        await until(serving, lambda one: one["state"] == "live")
        store.deployments.deploy(2, "me")
        failed = await until(serving, lambda one: one["state"] == "failed")
        bundle, answers = await serving.answer("main", [("k", png())], 1, 5)
        store.deployments.deploy(3, "me")
        return failed, bundle, answers, await until(serving, lambda one: one["state"] == "live")

    failed, bundle, answers, after = followed(store, work, bright(store))
    assert failed["why"] == "it is broken" and failed["model_id"] == 1
    assert bundle.model_id == 1 and answers[0]["top"]
    assert (after["model_id"], after["why"]) == (3, "")


def test_what_failed_for_a_moment_is_tried_again(store):
    store.broken.add(1)

    async def work(serving):
        await until(serving, lambda one: one["state"] == "failed")
        assert serving.unready == "main is not loaded yet"
        store.broken.clear()
        return await until(serving, lambda one: one["state"] == "live")

    assert followed(store, work, bright(store))["model_id"] == 1


def test_before_the_first_look_at_the_store_nobody_knows_what_is_live(store):
    serving = Serving(store.deployments, store.settings, bright(store), lambda answered, waiting: None)
    assert "has not looked at the store yet" in serving.unready
    with pytest.raises(Unavailable, match="has not looked at the store yet"):
        asyncio.run(serving.answer("main", [("k", png())], 1, 5))


def test_who_asks_before_the_live_model_is_loaded_hears_so_and_why_it_is_not(store, monkeypatch):
    monkeypatch.setattr("serving.endpoints.FIRST_PAUSE", 600.0)
    begin = threading.Event()

    def made(endpoint, role, generation, number):
        begin.wait(30)
        raise BadCandidate("its engine does not run")

    async def work(serving):
        await until(serving, lambda one: one["state"] == "loading")
        with pytest.raises(Unavailable, match="the live model is being loaded"):
            await serving.answer("main", [("k", png())], 1, 5)
        begin.set()
        await until(serving, lambda one: one["state"] == "failed")
        with pytest.raises(Unavailable, match="the live model could not be loaded: its engine does not run"):
            await serving.answer("main", [("k", png())], 1, 5)

    followed(store, work, made)


def test_another_model_does_not_wait_until_a_broken_one_is_tried_again(store, monkeypatch):
    monkeypatch.setattr("serving.endpoints.FIRST_PAUSE", 600.0)
    store.broken.add(1)

    async def work(serving):
        await until(serving, lambda one: one["state"] == "failed")
        store.deployments.deploy(2, "me")
        return await until(serving, lambda one: one["state"] == "live")

    assert followed(store, work, bright(store))["model_id"] == 2


def test_whatever_goes_wrong_in_loading_is_a_reason_and_ends_nothing(store, caplog):
    def made(endpoint, role, generation, number):
        if number == 1:
            raise AttributeError("a mistake of ours")
        return brightness(generation, number=number)

    async def work(serving):
        failed = await until(serving, lambda one: one["state"] == "failed")
        store.deployments.deploy(2, "me")
        return failed, await until(serving, lambda one: one["state"] == "live")

    failed, after = followed(store, work, made)
    assert failed["why"] == "a mistake of ours" and after["model_id"] == 2 and "AttributeError" in caplog.text


def test_a_cleared_endpoint_answers_nobody(store):
    async def work(serving):
        await until(serving, lambda one: one["state"] == "live")
        store.deployments.clear("main", "me")
        await until(serving, lambda one: one["state"] == "empty")
        with pytest.raises(Unavailable, match="no model is live"):
            await serving.answer("main", [("k", png())], 1, 5)
        with pytest.raises(LookupError, match="no endpoint elsewhere"):
            await serving.answer("elsewhere", [("k", png())], 1, 5)
        assert serving.unready == ""

    followed(store, work, bright(store))


def test_several_images_of_a_request_are_answered_by_one_model_while_it_changes(store):
    async def work(serving):
        await until(serving, lambda one: one["state"] == "live")
        changing = asyncio.create_task(change())
        asked = 0
        while not changing.done():
            bundle, answers = await serving.answer("main", [(str(place), png(place)) for place in range(40)], 2, 20)
            assert len(answers) == 40 and all("top" in one for one in answers)
            asked += 1
        return asked, bundle

    async def change():
        for number in (2, 3, 1, 2, 3):
            store.deployments.deploy(number, "me")
            await asyncio.sleep(0.3)

    asked, _ = followed(store, work, bright(store))
    assert asked > 3


def test_an_image_among_several_that_cannot_be_read_has_that_for_its_answer(store):
    async def work(serving):
        await until(serving, lambda one: one["state"] == "live")
        return await serving.answer("main", [("a", png()), ("b", b"none"), ("c", png(1))], 1, 5)

    _, answers = followed(store, work, bright(store))
    assert ["top" in one for one in answers] == [True, False, True] and "no JPEG" in answers[1]["error"]


def test_an_answer_that_comes_too_late_is_none(store):
    def slow(endpoint, role, generation, number):
        bundle = brightness(generation)
        answer = bundle.engine.answer
        bundle.engine.answer = lambda pixels: (time.sleep(0.5), answer(pixels))[1]
        return bundle

    async def work(serving):
        await until(serving, lambda one: one["state"] == "live")
        with pytest.raises(Unavailable, match=r"no answer within 0\.05 s"):
            await serving.answer("main", [("k", png())], 1, 0.05)

    followed(store, work, slow)


def test_what_was_answered_is_handed_over_once_for_each_image(store):
    kept = []

    async def work(serving):
        await until(serving, lambda one: one["state"] == "live")
        await serving.answer("main", [("a", png()), ("b", png(1))], 1, 5)

    followed(store, work, bright(store), lambda answered, waiting: kept.extend(answered))
    assert sorted(one.id for one in kept) == ["a", "b"]
    assert {(one.endpoint, one.role, one.generation) for one in kept} == {("main", "live", 1)}
    assert kept[0].image_sha256 != kept[1].image_sha256 and all(0 < one.latency_ms < 5000 for one in kept)


def test_a_canary_takes_its_share_and_a_shadow_answers_nobody(store):
    store.deployments.canary(2, 0.5, "me")
    store.deployments.shadow(3, "me")
    kept = []

    async def work(serving):
        await until(
            serving, lambda one: all(own["state"] == "live" for own in one["others"].values()) and one["others"]
        )
        roles = [(await serving.answer("main", [("k", png())], 1, 5))[0].role for _ in range(200)]
        store.deployments.withdraw("main", "canary", "me")
        await until(serving, lambda one: "canary" not in one["others"])
        return roles, [(await serving.answer("main", [("k", png())], 1, 5))[0].role for _ in range(50)]

    roles, after = followed(store, work, bright(store), lambda answered, waiting: kept.extend(answered))
    assert 60 < roles.count("canary") < 140 and roles.count("shadow") == 0
    assert set(after) == {"live"}
    assert [one.role for one in kept].count("shadow") > 100 and {one.model_id for one in kept} == {1, 2, 3}


def test_what_waits_for_a_canary_that_is_withdrawn_is_answered_by_what_is_live(store, monkeypatch):
    monkeypatch.setattr(random, "random", lambda: 0.0)  # each request is the canary's
    store.deployments.canary(2, 0.5, "me")
    asked, gone = threading.Event(), threading.Event()

    class Busy:
        def __init__(self, engine):
            self.engine = engine

        def __call__(self, pixels):
            asked.set()
            gone.wait(30)
            return self.engine(pixels)

    def made(endpoint, role, generation, number):
        bundle = bright(store)(endpoint, role, generation, number)
        return replace(bundle, engine=Busy(bundle.engine)) if role == "canary" else bundle

    async def work(serving):
        await until(serving, lambda one: one["others"] and one["others"]["canary"]["state"] == "live")
        requests = [asyncio.create_task(serving.answer("main", [("a", png())], 1, 30))]
        await asyncio.to_thread(asked.wait)
        requests += [
            asyncio.create_task(serving.answer("main", [(key, png()) for key in keys], 1, 30)) for keys in ("b", "cd")
        ]
        store.deployments.withdraw("main", "canary", "me")
        await until(serving, lambda one: "canary" not in one["others"])
        gone.set()
        return [bundle.role for bundle, _ in await asyncio.gather(*requests)]

    assert followed(store, work, made) == ["canary", "live", "live"]


@pytest.mark.parametrize("engine", [EAGER, OPENVINO], ids=["eager", "openvino"])
def test_a_real_model_is_prepared_and_answers_its_golden_batch(open_parts, engine):
    parts = open_parts()
    number = register(parts, 5)
    bundle = load(parts.store, engine, 4, "main", "live", 1, number)
    assert bundle.engine.facts.engine == engine["_target_"].split(".")[2] and bundle.version == 1
    assert load(parts.store, engine, 4, "main", "live", 2, number).sha256 == parts.store.files(number).model


def test_a_golden_batch_that_it_does_not_answer_keeps_a_model_away(open_parts):
    parts = open_parts()
    other = network_package(parts, 6)["golden"]
    number = register(parts, 5, golden=other)
    with pytest.raises(BadCandidate, match="does not answer the golden batch as the network did"):
        load(parts.store, EAGER, 4, "main", "live", 1, number)


def test_a_damaged_file_keeps_a_model_away(open_parts):
    parts = open_parts()
    number = register(parts, 5)
    file = parts.store.blobs.path(parts.store.files(number).model)
    file.chmod(0o600)
    file.write_bytes(file.read_bytes()[:-1] + b"\0")
    with pytest.raises(BadCandidate, match="is missing or damaged"):
        load(parts.store, EAGER, 4, "main", "live", 1, number)


def test_an_engine_that_cannot_be_made_is_told_with_its_reason(open_parts):
    parts = open_parts()
    number = register(parts, 5)
    with pytest.raises(BadCandidate, match="engine tensorrt fp16 needs"):
        load(
            parts.store, {"_target_": "serving.engines.tensorrt.TensorRt", "type": "fp16"}, 4, "main", "live", 1, number
        )
