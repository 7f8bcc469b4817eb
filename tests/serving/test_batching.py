"""What is asked at the same time is answered together, by one model, and a bad image harms nobody else."""

import asyncio
from concurrent.futures import ThreadPoolExecutor

import pytest

from serving.batching import Batcher, Unavailable
from serving.settings import ServingSettings
from serving.uploads import BadUpload
from tests.serving.networks import brightness, grey


def served(work, **settings):
    """Runs `work(batcher)` beside a batcher on which a model is live; answers what it answers."""
    told = []

    async def run():
        with ThreadPoolExecutor(2) as decoders:
            batcher = Batcher(ServingSettings(**settings), decoders, lambda *answered: told.append(answered))
            batcher.bundle = brightness()
            try:
                return await asyncio.wait_for(work(batcher), 20)
            finally:
                await batcher.close()

    return asyncio.run(run()), told


async def asked(batcher, data, key="k", top_k=1):
    item = await batcher.taken(data, key, top_k)
    return await item.done


def test_those_who_ask_together_are_answered_together_each_with_its_own():
    async def work(batcher):
        found = await asyncio.gather(*(asked(batcher, grey(value)) for value in range(0, 250, 10)))
        return [answer["top"][0] for _, answer in found], batcher.bundle.engine.batches

    (tops, batches), told = served(work, max_batch=16, batch_wait_ms=500.0)
    assert [top["class"] for top in tops] == ["dark"] + ["bright"] * 24  # of equals the first
    assert tops == sorted(tops, key=lambda top: top["probability"])
    assert sum(batches) == 25 and batches[0] == 16
    assert sum(len(batch) for _, batch, _ in told) == 25


def test_one_alone_does_not_wait():
    async def work(batcher):
        began = asyncio.get_running_loop().time()
        await asked(batcher, grey(9))
        return asyncio.get_running_loop().time() - began

    seconds, _ = served(work, batch_wait_ms=10_000.0)
    assert seconds < 5


def test_a_batch_is_answered_by_one_model_though_another_goes_live_meanwhile():
    async def work(batcher):
        async def exchange():
            for generation in range(2, 40):
                batcher.bundle = brightness(generation, size=8 if generation % 2 else 12)
                await asyncio.sleep(0.002)

        async def ask():
            return [await asked(batcher, grey(100)) for _ in range(30)]

        return (await asyncio.gather(exchange(), *(ask() for _ in range(4))))[1:]

    clients, told = served(work, max_batch=4)
    for found in clients:
        generations = [bundle.generation for bundle, _ in found]
        assert generations == sorted(generations)
    assert len({bundle.generation for bundle, _, _ in told}) > 3
    assert all(len(logits) == len(batch) for _, batch, logits in told)


def test_a_bad_image_is_refused_and_the_others_are_answered():
    async def work(batcher):
        images = [grey(10), grey(20)[:40], b"no image", grey(30)]
        return await asyncio.gather(*(asked(batcher, data) for data in images), return_exceptions=True)

    found, _ = served(work)
    assert [type(one).__name__ for one in found] == ["tuple", "BadUpload", "BadUpload", "tuple"]
    assert [one.status for one in found if isinstance(one, BadUpload)] == [400, 415]


def test_an_engine_that_breaks_ends_its_own_batch_alone():
    async def work(batcher):
        batcher.bundle = brightness(broken=True)
        with pytest.raises(RuntimeError, match="the engine broke"):
            await asked(batcher, grey(0))
        return await asked(batcher, grey(50)), batcher.pending

    (found, pending), _ = served(work)
    assert found[1]["top"] and pending == 0


def test_an_answer_that_is_no_number_says_so():
    async def work(batcher):
        return await asyncio.gather(asked(batcher, grey(255)), asked(batcher, grey(7)))

    (white, dark), _ = served(work, batch_wait_ms=200.0)
    assert white[1] == {"error": "the network's answer to this image is not a number"} and dark[1]["top"]


def test_a_full_queue_refuses_and_is_free_again():
    async def work(batcher):
        found = await asyncio.gather(*(asked(batcher, grey(5)) for _ in range(20)), return_exceptions=True)
        return found, await asked(batcher, grey(5)), batcher.pending

    (found, again, pending), _ = served(work, max_waiting=8)
    refused = [one for one in found if isinstance(one, Unavailable)]
    assert len(refused) == 12 and "8 images wait" in str(refused[0]) and again and pending == 0


def test_who_has_gone_is_not_computed():
    async def work(batcher):
        batcher.waiting.clear()
        item = await batcher.taken(grey(5), "k", 1)
        item.done.cancel()
        await asked(batcher, grey(6))
        return batcher.bundle.engine.batches

    batches, _ = served(work)
    assert sum(batches) == 1


def test_nothing_live_is_said():
    async def work(batcher):
        batcher.bundle = None
        with pytest.raises(Unavailable, match="no model is live"):
            await asked(batcher, grey(5))

    served(work)


def test_a_mistake_of_who_watches_stops_nobody(caplog):
    async def work(batcher):
        batcher.told = lambda *answered: 1 / 0
        return [(await asked(batcher, grey(5)))[1]["top"] for _ in range(3)]

    found, _ = served(work)
    assert len(found) == 3 and "ZeroDivisionError" in caplog.text
