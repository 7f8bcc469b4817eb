"""What this process answers with: the endpoints of the store, followed by their generation, exchanged under load."""

import asyncio
import logging
import random
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Any, get_args

from sqlalchemy.exc import SQLAlchemyError
from starlette.concurrency import run_in_threadpool

from datamodule.parallel import cores
from serving.answers import Answer
from serving.batching import Batcher, Item, Unavailable
from serving.bundle import Bundle, Role
from serving.deployments import Deployments
from serving.engines.engine import Logits
from serving.monitoring.answered import Answered
from serving.package import BadCandidate
from serving.settings import ServingSettings
from serving.uploads import BROKEN, BadUpload

log = logging.getLogger(__name__)

ROLES: tuple[Role, ...] = get_args(Role)
POLL_SECONDS = 0.25  # a generation that is committed is looked for so often
LOADING = 2  # models at the same time
FIRST_PAUSE, LONGEST_PAUSE = 1.0, 60.0  # seconds between two tries to load what could not be loaded
TRIES = 3  # to have several images of one request answered by one generation
BEGINS = "the server has not looked at the store yet"

Record = Callable[[Sequence[Answered], int], None]  # a batch, and how many images of its endpoint wait
Load = Callable[[str, Role, int, int], Bundle]  # endpoint, role, generation, model


@dataclass
class Lane:
    """One model's place at an endpoint: its queue, what is loaded, and what should be."""

    batcher: Batcher
    wanted: tuple[int, int] | None = None  # generation and model
    task: "asyncio.Task[None] | None" = None
    why: str = ""  # the wanted one could not be loaded
    newest: int = 0  # generation that was answered with so far
    changed: asyncio.Event = field(default_factory=asyncio.Event)  # something else is wanted

    def take(self, bundle: Bundle) -> None:
        self.batcher.bundle, self.newest = bundle, bundle.generation

    @property
    def bundle(self) -> Bundle | None:
        return self.batcher.bundle

    @property
    def held(self) -> tuple[int, int] | None:
        return None if self.bundle is None else (self.bundle.generation, self.bundle.model_id)

    @property
    def state(self) -> str:
        if self.wanted is None:
            return "empty"
        if self.why:
            return "failed"
        return "live" if self.held == self.wanted else "loading"

    def require_loaded(self) -> None:
        """Raises Unavailable where something should answer here, and nothing does yet."""
        if self.wanted is not None and self.bundle is None:
            said = f"could not be loaded: {self.why}" if self.why else "is being loaded"
            raise Unavailable(f"the live model {said}", 5)


@dataclass
class Endpoint:
    """share: of the requests that the canary answers."""

    lanes: dict[Role, Lane]
    share: float = 0.0


class Serving:
    """Follows the store's endpoints and answers images by what is live there.

    load: makes a bundle, in a thread. version: grows with each change of what is answered with. record: is handed
    what was answered, for the monitoring.
    """

    def __init__(self, deployments: Deployments, settings: ServingSettings, load: Load, record: Record) -> None:
        self.deployments, self.settings, self.version = deployments, settings, 0
        self._load, self._record = load, record
        self._endpoints: dict[str, Endpoint] = {}
        self._looked = False  # at the store, once
        self._loaders = ThreadPoolExecutor(LOADING, thread_name_prefix="loader")
        self._decoders = ThreadPoolExecutor(cores(), thread_name_prefix="decoder")
        self._watching: set[asyncio.Task[None]] = set()

    def state(self) -> list[dict[str, Any]]:
        """What answers at each endpoint; the database may be a generation ahead while that one is loaded."""
        return [_shown(name, endpoint) for name, endpoint in sorted(self._endpoints.items())]

    @property
    def unready(self) -> str:
        """Why this process cannot answer yet, in words; empty where it can."""
        if not self._looked:
            return BEGINS
        lanes = {name: endpoint.lanes["live"] for name, endpoint in self._endpoints.items()}
        missing = [name for name, lane in lanes.items() if lane.wanted is not None and lane.bundle is None]
        return f"{', '.join(missing)} is not loaded yet" if missing else ""

    async def follow(self) -> None:
        """Looks for new generations until it is cancelled."""
        try:
            while True:
                try:
                    rows = await run_in_threadpool(self.deployments.every)
                except SQLAlchemyError as error:  # what is loaded goes on answering
                    log.warning("the database does not answer: %s", str(error).splitlines()[0])
                else:
                    for row in rows:
                        self._follow(row)
                    self._looked = True
                await asyncio.sleep(POLL_SECONDS)
        finally:
            await self._close()

    def _follow(self, row: Mapping[str, Any]) -> None:
        endpoint = self._endpoints.get(row["name"])
        if endpoint is None:
            lanes = {role: Lane(Batcher(self.settings, self._decoders, self._told)) for role in ROLES}
            endpoint = self._endpoints[row["name"]] = Endpoint(lanes)
        endpoint.share = float(row.get("canary_share") or 0)
        models = {"live": row["model_id"], "canary": row.get("canary_id"), "shadow": row.get("shadow_id")}
        for role, lane in endpoint.lanes.items():
            number = models[role]
            self._want(row["name"], role, lane, None if number is None else (row["generation"], number))

    def _want(self, name: str, role: Role, lane: Lane, wanted: tuple[int, int] | None) -> None:
        if lane.wanted == wanted:
            return
        lane.wanted, lane.why = wanted, ""
        lane.changed.set()
        self.version += 1
        if wanted is None:
            lane.batcher.bundle = None
        elif lane.bundle is not None and lane.bundle.model_id == wanted[1]:
            lane.take(replace(lane.bundle, generation=wanted[0]))
        elif lane.task is None or lane.task.done():
            lane.task = asyncio.create_task(self._catch_up(name, role, lane))

    async def _catch_up(self, name: str, role: Role, lane: Lane) -> None:
        """Loads until what is loaded is what should be; the former one answers meanwhile."""
        pause = FIRST_PAUSE
        while lane.wanted is not None and lane.held != lane.wanted:
            wanted = lane.wanted
            lane.changed.clear()
            loaded = asyncio.get_running_loop().run_in_executor(self._loaders, self._load, name, role, *wanted)
            await asyncio.wait([loaded])
            error = loaded.exception()
            if error is None:
                self._exchange(lane, loaded.result())
            elif lane.wanted == wanted:  # whatever it was: the former one answers
                self._failed(lane, f"{name}: {role} model {wanted[1]}", error)
                with suppress(TimeoutError):
                    await asyncio.wait_for(lane.changed.wait(), pause)
            pause = FIRST_PAUSE if error is None or lane.wanted != wanted else min(2 * pause, LONGEST_PAUSE)

    def _failed(self, lane: Lane, what: str, error: BaseException) -> None:
        expected = isinstance(error, BadCandidate | LookupError | OSError | SQLAlchemyError)
        lane.why = " ".join(str(error).split())[:500] or type(error).__name__
        self.version += 1
        log.error("%s is not loaded: %s", what, lane.why, exc_info=None if expected else error)

    def _exchange(self, lane: Lane, bundle: Bundle) -> None:
        """The next batch is answered by this bundle; a newer generation of the same model counts as this one.

        One that was overtaken while it was loaded is dropped: what is answered with never goes back.
        """
        if lane.wanted is None or lane.held == lane.wanted:
            return
        newest = replace(bundle, generation=lane.wanted[0]) if bundle.model_id == lane.wanted[1] else bundle
        if newest.generation < lane.newest:
            return
        lane.take(newest)
        lane.why = ""
        self.version += 1

    async def answer(
        self, name: str, images: Sequence[tuple[str, bytes]], top_k: int, seconds: float
    ) -> tuple[Bundle, list[Answer]]:
        """All images of a request by one model. images: a key and the file's bytes each.

        Raises LookupError, BadUpload, Unavailable.
        """
        if not self._looked:
            raise Unavailable(BEGINS, 1)
        endpoint = self._endpoints.get(name)
        if endpoint is None:
            raise LookupError(f"there is no endpoint {name}")
        endpoint.lanes["live"].require_loaded()
        try:
            async with asyncio.timeout(seconds):
                bundle, answers = await self._answered(endpoint, images, top_k)
        except TimeoutError:
            raise Unavailable(f"no answer within {seconds:g} s") from None
        if bundle.role == "live":
            self._shadow(endpoint.lanes["shadow"], images, top_k)
        return bundle, answers

    async def _answered(
        self, endpoint: Endpoint, images: Sequence[tuple[str, bytes]], top_k: int
    ) -> tuple[Bundle, list[Answer]]:
        """By the canary or the live model; by the live one, too, where the canary was withdrawn meanwhile."""
        lane = endpoint.lanes[self._role(endpoint)]
        try:
            return await _together(lane.batcher, images, top_k)
        except Unavailable:
            if lane is endpoint.lanes["live"] or lane.bundle is not None:
                raise
        return await _together(endpoint.lanes["live"].batcher, images, top_k)

    def _role(self, endpoint: Endpoint) -> Role:
        canary = endpoint.lanes["canary"].bundle is not None and random.random() < endpoint.share
        return "canary" if canary else "live"

    def _shadow(self, lane: Lane, images: Sequence[tuple[str, bytes]], top_k: int) -> None:
        """The same images for who only watches; where it cannot follow, it misses some."""
        if lane.bundle is None or lane.batcher.pending + len(images) > self.settings.max_waiting:
            return
        task = asyncio.create_task(_unheard(lane.batcher, images, top_k))
        self._watching.add(task)
        task.add_done_callback(self._watching.discard)

    def _told(self, bundle: Bundle, batch: Sequence[Item], logits: Logits) -> None:
        now, clock = time.time(), time.monotonic()
        answered = [
            Answered(item.key, bundle.endpoint, bundle.generation, bundle.model_id, bundle.role, now, item.sha256,
                     own, bundle.manifest.temperature, item.embedding, 1000 * (clock - item.began))
            for item, own in zip(batch, logits, strict=True)
        ]  # fmt: skip
        self._record(answered, len(self._endpoints[bundle.endpoint].lanes[bundle.role].batcher.waiting))

    async def _close(self) -> None:
        for endpoint in self._endpoints.values():
            for lane in endpoint.lanes.values():
                if lane.task is not None:
                    lane.task.cancel()
                await lane.batcher.close()
        self._loaders.shutdown(wait=False, cancel_futures=True)
        self._decoders.shutdown(wait=False, cancel_futures=True)


async def _together(batcher: Batcher, images: Sequence[tuple[str, bytes]], top_k: int) -> tuple[Bundle, list[Answer]]:
    """Of several images by one bundle: those that a former one answered are asked again.

    Of several, one that cannot be read has that for its answer.
    """
    if len(images) == 1:
        bundle, answer = await _asked(batcher, *images[0], top_k)
        return bundle, [answer]
    for _ in range(TRIES):
        found = await asyncio.gather(*(_asked_among(batcher, *image, top_k) for image in images))
        bundles = {id(bundle): bundle for bundle, _ in found if bundle is not None}
        if len(bundles) == 1:
            return next(iter(bundles.values())), [answer for _, answer in found]
        if not bundles:
            raise BadUpload(BROKEN, "none of these images can be read")
    raise Unavailable("what is live changes all the time")


async def _asked(batcher: Batcher, key: str, data: bytes, top_k: int) -> tuple[Bundle, Answer]:
    item = await batcher.taken(data, key, top_k)
    return await item.done


async def _asked_among(batcher: Batcher, key: str, data: bytes, top_k: int) -> tuple[Bundle | None, Answer]:
    try:
        return await _asked(batcher, key, data, top_k)
    except BadUpload as error:
        return None, {"error": str(error)}


async def _unheard(batcher: Batcher, images: Sequence[tuple[str, bytes]], top_k: int) -> None:
    for key, data in images:
        try:
            await _asked(batcher, key, data, top_k)
        except (ValueError, Unavailable, RuntimeError) as error:
            log.warning("shadow: %s", error)


def _shown(name: str, endpoint: Endpoint) -> dict[str, Any]:
    lane = endpoint.lanes["live"]
    others = {role: {"state": other.state, "why": other.why, "model_id": other.wanted[1]}
              for role, other in endpoint.lanes.items() if role != "live" and other.wanted is not None}  # fmt: skip
    shown: dict[str, Any] = {"endpoint": name, "state": lane.state, "why": lane.why, "others": others}
    bundle = lane.bundle
    if bundle is None:
        return shown | {"generation": None, "model_id": None}
    facts = bundle.engine.facts
    return shown | {
        "generation": bundle.generation,
        "model_id": bundle.model_id,
        "version": bundle.version,
        "sha256": bundle.sha256,
        "task": bundle.manifest.task,
        "classes": bundle.manifest.classes,
        "engine": f"{facts.engine} {facts.precision}",
    }
