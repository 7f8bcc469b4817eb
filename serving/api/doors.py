"""Who may enter where: each route has a door that says so, and a route without one lets nobody in."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any, TypeVar

from fastapi import FastAPI, Path, Request
from starlette.types import Scope

from serving.tokens import Identity

Function = TypeVar("Function", bound=Callable[..., Any])

Key = Annotated[int, Path(ge=0, lt=2**31)]  # a number in a path

PUBLIC = "public"
SMALL = 1 << 20  # bytes of a body, where a route says nothing else


@dataclass(frozen=True)
class Door:
    """roles: any of them may enter; `public`: everybody. limit: bytes of a body."""

    roles: tuple[str, ...]
    limit: int = SMALL

    def lets_in(self, identity: Identity | None) -> bool:
        if PUBLIC in self.roles:
            return True
        return identity is not None and any(identity.may(role) for role in self.roles)


class Routes:
    """Adds routes to an app, each with its door."""

    def __init__(self, app: FastAPI) -> None:
        self.app = app

    def add(
        self, method: str, path: str, *roles: str, limit: int = SMALL, **options: Any
    ) -> Callable[[Function], Function]:
        """A decorator, as those of FastAPI are. roles: any of them may call it."""

        def added(function: Function) -> Function:
            function.door = Door(roles, limit)  # type: ignore[attr-defined]
            self.app.add_api_route(path, function, methods=[method], **options)
            return function

        return added

    def add_socket(self, path: str, *roles: str) -> Callable[[Function], Function]:
        """The same for a websocket."""

        def added(function: Function) -> Function:
            function.door = Door(roles)  # type: ignore[attr-defined]
            self.app.add_api_websocket_route(path, function)
            return function

        return added


def door_of(route: Any) -> Door | None:
    """A route's door; None where it has none, so that nobody may enter."""
    found = getattr(getattr(route, "endpoint", None), "door", None)
    return found if isinstance(found, Door) else None


def identity_of(request: Request) -> Identity:
    """Who calls; only behind a door that is not public."""
    found: Identity = request.scope["identity"]
    return found


def is_change(scope: Scope) -> bool:
    """Whether a request may change something, or opens a lasting connection."""
    return scope["type"] == "websocket" or scope["method"] not in ("GET", "HEAD", "OPTIONS")
