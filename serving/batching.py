"""Dynamic batching: what is asked at the same time is answered together, and nobody waits for who may never come.

An engine that is free takes what is there, up to `serving.max_batch`; it waits a moment only while further images are
being decoded.
"""

import asyncio
import hashlib
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from datamodule.decode import BadImage, Pixels
from datamodule.preprocessing import Preprocessing
from serving.answers import Answer, Asked
from serving.bundle import Bundle
from serving.engines.engine import Logits
from serving.monitoring.embedding import embed
from serving.settings import ServingSettings
from serving.uploads import BROKEN, BadUpload, checked

Told = Callable[[Bundle, "Sequence[Item]", Logits], None]


class Unavailable(Exception):
    """Not now: nothing is live, the queue is full, or the deadline has passed. after_seconds: when to try again."""

    def __init__(self, why: str, after_seconds: int = 1) -> None:
        super().__init__(why)
        self.after_seconds = after_seconds


def _future() -> "asyncio.Future[tuple[Bundle, Answer]]":
    return asyncio.get_running_loop().create_future()


@dataclass(eq=False)
class Item:
    """One image on its way. key: names the answer. began: on the monotonic clock, when it was here as a whole."""

    data: bytes
    key: str
    top_k: int
    began: float = field(default_factory=time.monotonic)
    pixels: Pixels | None = None  # fitted
    shape: Preprocessing | None = None  # that it was fitted by
    asked: Asked | None = None
    embedding: NDArray[np.float64] | None = None
    sha256: str = ""
    done: "asyncio.Future[tuple[Bundle, Answer]]" = field(default_factory=_future)

    def fit(self, bundle: Bundle) -> None:
        """Decodes for a model. Raises BadImage."""
        pixels = bundle.read(self.data)
        known = max(1, len(bundle.manifest.classes))
        self.asked = Asked(min(self.top_k, known), *pixels.shape[:2])
        self.pixels, self.shape = bundle.shape.fit(pixels), bundle.shape
        self.embedding = embed(self.pixels)


class Batcher:
    """The queue before one model's engine. `bundle` is what answers; it is exchanged between two batches.

    told: is handed each batch with its logits once it is answered.
    """

    def __init__(self, settings: ServingSettings, decoders: Executor, told: Told) -> None:
        self.settings, self.decoders, self.told = settings, decoders, told
        self.bundle: Bundle | None = None
        self.waiting: deque[Item] = deque()
        self.pending = 0  # images that are here and not answered
        self.decoding = 0
        self._wake = asyncio.Event()
        self._engine = ThreadPoolExecutor(1, thread_name_prefix="engine")
        self._runner = asyncio.create_task(self._run())

    async def close(self) -> None:
        """What waits is told so."""
        self._runner.cancel()
        with suppress(asyncio.CancelledError):
            await self._runner
        for item in self.waiting:
            _fail(item, Unavailable("the server is stopping"))
        self._engine.shutdown(wait=False)

    async def taken(self, data: bytes, key: str, top_k: int) -> Item:
        """The image, decoded and in the queue. Raises BadUpload, Unavailable."""
        bundle = self._ready()
        item = Item(data, key, top_k)
        self.pending += 1
        item.done.add_done_callback(self._left)
        try:
            await self._decoded(item, bundle)
        except BaseException:
            item.done.cancel()
            raise
        self.waiting.append(item)
        return item

    async def _decoded(self, item: Item, bundle: Bundle) -> None:
        self.decoding += 1
        try:
            await asyncio.get_running_loop().run_in_executor(self.decoders, self._decode, item, bundle)
        finally:
            self.decoding -= 1
            self._wake.set()

    def _left(self, done: "asyncio.Future[tuple[Bundle, Answer]]") -> None:
        self.pending -= 1

    def _ready(self) -> Bundle:
        if self.bundle is None:
            raise Unavailable("no model is live here", 5)
        if self.pending >= self.settings.max_waiting:
            raise Unavailable(f"{self.pending} images wait already")
        return self.bundle

    def _decode(self, item: Item, bundle: Bundle) -> None:
        item.sha256 = hashlib.sha256(item.data).hexdigest()
        checked(item.data, int(self.settings.max_megapixels * 1e6))
        try:
            item.fit(bundle)
        except BadImage as error:
            raise BadUpload(BROKEN, f"the image {error}") from error

    async def _run(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            batch = await self._batch()
            bundle = self.bundle
            if bundle is None:
                for item in batch:
                    _fail(item, Unavailable("no model is live here", 5))
                continue
            computed = loop.run_in_executor(self._engine, _computed, bundle, batch)
            await asyncio.wait([computed])
            if error := computed.exception():  # whatever an engine raises ends these requests alone
                for item in batch:
                    _fail(item, error)
                continue
            logits, answers = computed.result()
            for item, answer in zip(batch, answers, strict=True):
                if not item.done.done():
                    item.done.set_result((bundle, answer))
            loop.call_soon(self.told, bundle, batch, logits)  # whose mistakes are logged and stop nobody

    async def _batch(self) -> list[Item]:
        """The next images; at least one."""
        while True:
            while not self.waiting:
                self._wake.clear()
                await self._wake.wait()
            await self._company()
            batch: list[Item] = []
            while self.waiting and len(batch) < self.settings.max_batch:
                item = self.waiting.popleft()
                if not item.done.done():  # whose client has gone, or whose time is over
                    batch.append(item)
            if batch:
                return batch

    async def _company(self) -> None:
        """Waits for what is being decoded, a moment at most."""
        until = time.monotonic() + self.settings.batch_wait_ms / 1000
        while self.decoding and len(self.waiting) < self.settings.max_batch:
            left = until - time.monotonic()
            if left <= 0:
                return
            self._wake.clear()
            with suppress(TimeoutError):
                await asyncio.wait_for(self._wake.wait(), left)


def _computed(bundle: Bundle, batch: Sequence[Item]) -> tuple[Logits, list[Answer]]:
    """In the engine's thread."""
    for item in batch:
        if item.shape != bundle.shape:  # a model of another size went live while it waited
            item.fit(bundle)
    pixels = [item.pixels for item in batch if item.pixels is not None]
    return bundle.answers(pixels, [item.asked for item in batch if item.asked is not None])


def _fail(item: Item, error: BaseException) -> None:
    if not item.done.done():
        item.done.set_exception(error)
