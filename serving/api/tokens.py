"""Tokens, for admins."""

from typing import Annotated, Any, Literal

from fastapi import Request
from pydantic import Field

from serving.api.doors import Key, Routes, identity_of
from serving.api.workers import Strict
from serving.package import Name
from serving.tokens import Tokens


class NewToken(Strict):
    name: Name
    role: Literal["viewer", "worker", "operator", "admin"]
    days: Annotated[float, Field(gt=0, le=36_500)] | None = None


def add_tokens(routes: Routes, tokens: Tokens) -> None:
    @routes.add("GET", "/api/whoami", "viewer", "worker")
    def whoami(request: Request) -> dict[str, str]:
        found = identity_of(request)
        return {"name": found.name, "role": found.role}

    @routes.add("GET", "/api/tokens", "admin")
    def listed() -> list[dict[str, Any]]:
        """Without their secrets, which are kept nowhere."""
        return tokens.every()

    @routes.add("POST", "/api/tokens", "admin", status_code=201)
    def create(asked: NewToken, request: Request) -> dict[str, str]:
        """The secret is shown this once."""
        return {"token": tokens.create(asked.name, asked.role, asked.days, identity_of(request).actor)}

    @routes.add("DELETE", "/api/tokens/{number}", "admin", status_code=204, response_model=None)
    def revoke(number: Key, request: Request) -> None:
        tokens.revoke(number, identity_of(request).actor)
