"""The one layer that every request and socket passes: host, origin, identity, role, size, patience."""

import asyncio
from collections.abc import Sequence
from ipaddress import ip_address
from typing import Any
from urllib.parse import urlsplit

from starlette.concurrency import run_in_threadpool
from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse
from starlette.routing import Match
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from serving.api.doors import Door, door_of, is_change
from serving.database import AWAY, NO_ANSWER
from serving.tokens import Identity, Tokens

PATIENCE = 60.0  # seconds in which the next piece of a body must come
LOCAL_NAMES = ("localhost", "testserver")
POLICY_VIOLATION = 1008  # a websocket's closing code
PROTOCOL, TOKEN = "evergreen", "token."  # subprotocols: what is spoken, and before a browser's token


class Refused(Exception):
    """What a request is answered with in place of what it asked for."""

    def __init__(self, status: int, why: str, **headers: str) -> None:
        super().__init__(why)
        self.status, self.why, self.headers = status, why, headers


class Gate:
    """An ASGI layer that lets in what a route's door allows, and nothing else.

    routes: the app's own list. hosts: further names under which the server is known.
    """

    def __init__(self, app: ASGIApp, routes: Sequence[Any], tokens: Tokens, hosts: Sequence[str] = ()) -> None:
        self.app, self.routes, self.tokens = app, routes, tokens
        self.hosts = {*LOCAL_NAMES, *hosts}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self.app(scope, receive, send)
            return
        try:
            door = await self._entered(scope)
        except Refused as refusal:
            await _refuse(refusal, scope, receive, send)
            return
        bounded = Bounded(receive, door.limit) if scope["type"] == "http" else receive
        await self.app(scope, bounded, send)

    async def _entered(self, scope: Scope) -> Door:
        """The door that was found open; the identity goes into the scope. Raises Refused."""
        headers = Headers(scope=scope)
        self._require_host(headers.get("host", ""))
        if is_change(scope):
            _require_origin(headers)
        door = self._door(scope)
        if door is not None and door.lets_in(None):
            return _require_size(door, headers)
        identity = await self._identity(scope)
        scope["identity"] = identity
        if door is None:
            raise Refused(404, "there is nothing here")
        if not door.lets_in(identity):
            raise Refused(403, f"a token of role {identity.role} may not do this; {' or '.join(door.roles)} may")
        return _require_size(door, headers)

    def _require_host(self, host: str) -> None:
        """A name that somebody else's DNS points here is refused; an address cannot be pointed elsewhere."""
        name = urlsplit(f"//{host}").hostname or ""
        if name not in self.hosts and not _is_address(name):
            raise Refused(421, f"this server is not known as {name[:80]!r}: add it to serving.hosts")

    def _door(self, scope: Scope) -> Door | None:
        """Of the route that will answer; a path that is there with another method has none."""
        for route in self.routes:
            if route.matches(scope)[0] is Match.FULL:
                return door_of(route)
        return None

    async def _identity(self, scope: Scope) -> Identity:
        secret = secret_of(scope)
        if not secret:
            raise Refused(401, "a token is needed: Authorization: Bearer …", **{"WWW-Authenticate": "Bearer"})
        try:
            identity = self.tokens.remembered(secret) or await run_in_threadpool(self.tokens.find, secret)
        except AWAY as error:
            raise Refused(503, NO_ANSWER, **{"Retry-After": "1"}) from error
        if identity is None:
            raise Refused(401, "the token is unknown, expired or revoked", **{"WWW-Authenticate": "Bearer"})
        return identity


def secret_of(scope: Scope) -> str:
    """The caller's token, or nothing. A browser cannot give a socket a header, so it may come as a subprotocol."""
    kind, _, secret = Headers(scope=scope).get("authorization", "").partition(" ")
    if kind.lower() == "bearer":
        return secret.strip()
    named = [one for one in scope.get("subprotocols", ()) if one.startswith(TOKEN)]
    return named[0].removeprefix(TOKEN) if named else ""


class Bounded:
    """Counts a body's bytes while they arrive, and waits for the next ones only so long."""

    def __init__(self, receive: Receive, limit: int) -> None:
        self.receive, self.limit, self.seen, self.whole = receive, limit, 0, False

    async def __call__(self) -> Message:
        if self.whole:
            return await self.receive()
        try:
            message = await asyncio.wait_for(self.receive(), PATIENCE)
        except TimeoutError:
            raise HTTPException(408, f"nothing came for {PATIENCE:.0f} s") from None
        self.seen += len(message.get("body", b""))
        self.whole = not message.get("more_body", False)
        if self.seen > self.limit:
            raise too_large(self.limit)
        return message


def too_large(limit: int) -> HTTPException:
    return HTTPException(413, f"the body is longer than {limit:,} bytes")


def _require_size(door: Door, headers: Headers) -> Door:
    """A length that is announced is believed when it is too large; otherwise the bytes are counted."""
    length = headers.get("content-length", "0")
    if not length.isdecimal() or int(length) > door.limit:
        raise Refused(413, f"the body is longer than {door.limit:,} bytes")
    return door


def _require_origin(headers: Headers) -> None:
    """A page of somebody else's must not act in a visitor's name."""
    origin = headers.get("origin")
    if origin is not None and urlsplit(origin).netloc != headers.get("host"):
        raise Refused(403, f"a page of {origin[:80]} may not change anything here")


def _is_address(name: str) -> bool:
    try:
        ip_address(name)
    except ValueError:
        return False
    return True


async def _refuse(refusal: Refused, scope: Scope, receive: Receive, send: Send) -> None:
    if scope["type"] == "websocket":
        await send({"type": "websocket.close", "code": POLICY_VIOLATION, "reason": refusal.why[:100]})
        return
    await JSONResponse({"error": refusal.why}, refusal.status, headers=refusal.headers)(scope, receive, send)
