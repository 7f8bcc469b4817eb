"""The live socket: the state when a page connects, then again whenever it is another. One look serves all sockets."""

import asyncio
import json
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any

from fastapi import WebSocket
from sqlalchemy.exc import SQLAlchemyError
from starlette.concurrency import run_in_threadpool
from starlette.websockets import WebSocketDisconnect

from serving.api.doors import Routes
from serving.api.gate import POLICY_VIOLATION, PROTOCOL, secret_of
from serving.changes import state
from serving.parts import Parts

log = logging.getLogger(__name__)

LOOK = 0.5  # seconds between two looks, while somebody listens
BEAT = 10.0  # seconds after which a socket without news hears that all is well, and its token is looked at again
PATIENCE = 5.0  # seconds that a client has to take a message
TRY_LATER, BROKEN = 1013, 1011  # closing codes
HEARTBEAT = '{"kind":"beat"}'


class Hub:
    """Asks for the state while at least one socket listens, and wakes all of them when it is another."""

    def __init__(self, ask: Callable[[], dict[str, Any]]) -> None:
        self.ask = ask
        self.message: str | None = None  # None: nothing is known yet
        self.listeners: set[asyncio.Event] = set()
        self._watch: asyncio.Task[None] | None = None

    @asynccontextmanager
    async def listening(self) -> AsyncIterator[asyncio.Event]:
        """An event that is set where `message` is new to this listener, or empty since nothing more will come."""
        wake = asyncio.Event()
        self.listeners.add(wake)
        if self._watch is None:
            self._watch = asyncio.create_task(self._watching())
        elif self.message is not None:
            wake.set()
        try:
            yield wake
        finally:
            self.listeners.discard(wake)
            if not self.listeners and self._watch is not None:
                self._watch.cancel()
                self._watch = self.message = None

    async def _watching(self) -> None:
        """The outermost loop: what goes wrong here ends the sockets, not the server."""
        try:
            while True:
                with suppress(SQLAlchemyError):  # the next look tries again
                    self._tell(json.dumps(await run_in_threadpool(self.ask), separators=(",", ":")))
                await asyncio.sleep(LOOK)
        except Exception:
            log.exception("the state cannot be told to open pages")
        self._watch = None
        self._tell("")

    def _tell(self, message: str) -> None:
        if message != self.message:
            self.message = message
            for wake in self.listeners:
                wake.set()


class Talk:
    """One socket's. welcome: whether its token is still good."""

    def __init__(self, socket: WebSocket, hub: Hub, welcome: Callable[[], Awaitable[bool]]) -> None:
        self.socket, self.hub, self.welcome = socket, hub, welcome

    async def run(self) -> None:
        """Until it is closed by either side. A client that says something, or takes nothing, is cut off."""
        async with self.hub.listening() as wake:
            reader = asyncio.create_task(self._read(wake))
            try:
                await self._tell(wake, reader)
            except (WebSocketDisconnect, TimeoutError):
                return
            finally:
                reader.cancel()

    async def _tell(self, wake: asyncio.Event, reader: asyncio.Task[None]) -> None:
        looked = time.monotonic()
        while True:
            news = await self._news(wake)
            if reader.done():
                return
            if time.monotonic() - looked >= BEAT:
                looked = time.monotonic()
                if not await self.welcome():
                    await self._close(POLICY_VIOLATION, "the token is no longer good")
                    return
            if not news:
                await self._close(BROKEN, "the state is not known")
                return
            await asyncio.wait_for(self.socket.send_text(news), PATIENCE)

    async def _news(self, wake: asyncio.Event) -> str:
        try:
            await asyncio.wait_for(wake.wait(), BEAT)
        except TimeoutError:
            return HEARTBEAT
        wake.clear()
        return self.hub.message or ""

    async def _read(self, wake: asyncio.Event) -> None:
        """Ends with the first thing that comes: pages have nothing to say."""
        said = await self.socket.receive()
        wake.set()
        if said["type"] != "websocket.disconnect":
            await self._close(POLICY_VIOLATION, "this socket only tells")

    async def _close(self, code: int, why: str) -> None:
        await asyncio.wait_for(self.socket.close(code, why), PATIENCE)


def add_events(routes: Routes, parts: Parts) -> None:
    """The socket, and the same state for those that ask for it: a page whose socket is closed, or missed a push."""
    hub = Hub(lambda: state(parts))
    open_sockets = 0

    @routes.add("GET", "/api/events", "viewer")
    def once() -> dict[str, Any]:
        """What is live, how many jobs are in which state, and marks that change when jobs, models, … do."""
        return state(parts)

    @routes.add_socket("/api/events", "viewer")
    async def events(socket: WebSocket) -> None:
        nonlocal open_sockets
        if open_sockets >= parts.settings.max_sockets:
            await socket.close(TRY_LATER, f"{open_sockets} pages are open already")
            return
        open_sockets += 1
        try:
            await socket.accept(PROTOCOL if PROTOCOL in socket.scope["subprotocols"] else None)
            await Talk(socket, hub, lambda: _is_good(parts, secret_of(socket.scope))).run()
        finally:
            open_sockets -= 1


async def _is_good(parts: Parts, secret: str) -> bool:
    return await run_in_threadpool(parts.tokens.find, secret) is not None
