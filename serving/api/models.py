"""Models, what is live, the history."""

from typing import Annotated, Any

from fastapi import Request
from pydantic import Field

from serving.api.doors import Key, Routes, identity_of
from serving.api.jobs import Id, Limit
from serving.api.workers import RESULT, Strict
from serving.completion import Completion
from serving.deployments import Deployments
from serving.package import Name, Package
from serving.settings import ServingSettings
from serving.store import Store

Generation = Annotated[int, Field(ge=0, lt=2**31)]


class Seen(Strict):
    """generation: the one that the person saw; where it is another by now, nothing is done (409)."""

    generation: Generation | None = None


class Deploy(Seen):
    model: Annotated[int, Field(ge=0, lt=2**31)]


class Rollback(Seen):
    freeze: bool = False


class Freeze(Strict):
    frozen: bool


def add_models(routes: Routes, store: Store, completion: Completion, settings: ServingSettings) -> None:
    @routes.add("GET", "/api/models", "viewer")
    def listed(name: Name | None = None, limit: Limit = 200, before: Id | None = None) -> list[dict[str, Any]]:
        """With their evaluations, the newest first."""
        return store.every(name, limit, before)

    @routes.add("GET", "/api/models/{number}", "viewer", "worker")
    def one(number: Key) -> dict[str, Any]:
        return store.get(number)

    @routes.add("POST", "/api/models", "operator", status_code=201, limit=RESULT)
    def register(package: Package, request: Request) -> dict[str, Any]:
        """A model whose files were sent before; it is decided about as if a job had made it."""
        number, verdict = completion.register(package, identity_of(request).actor)
        return {"model": number, "promoted": verdict.promote, "why": verdict.why}

    @routes.add("POST", "/api/models/prune", "admin")
    def prune(request: Request, keep: Id | None = None, even_within_reach: bool = False) -> dict[str, list[str]]:
        """Gives up the files of models that are neither live, nor new, nor within a rollback's reach."""
        kept = settings.keep_models if keep is None else keep
        return {"pruned": store.prune(kept, settings.reach, identity_of(request).actor, even_within_reach)}


def add_deployments(routes: Routes, deployments: Deployments) -> None:
    @routes.add("GET", "/api/deployments", "viewer")
    def listed() -> list[dict[str, Any]]:
        """What is live on each endpoint."""
        return deployments.every()

    @routes.add("GET", "/api/deployments/{name}", "viewer")
    def one(name: Name) -> dict[str, Any]:
        return deployments.get(name)

    @routes.add("POST", "/api/deployments", "operator")
    def deploy(asked: Deploy, request: Request) -> dict[str, Any]:
        """Sets a model live by hand on the endpoint of its name."""
        return deployments.deploy(asked.model, identity_of(request).actor, asked.generation)

    @routes.add("POST", "/api/deployments/{name}/rollback", "operator")
    def rollback(name: Name, asked: Rollback, request: Request) -> dict[str, Any]:
        """Brings back what was live before; freeze: and holds automatic deployment."""
        return deployments.rollback(name, identity_of(request).actor, asked.generation, asked.freeze)

    @routes.add("POST", "/api/deployments/{name}/clear", "operator")
    def clear(name: Name, asked: Seen, request: Request) -> dict[str, Any]:
        return deployments.clear(name, identity_of(request).actor, asked.generation)

    @routes.add("POST", "/api/deployments/{name}/freeze", "operator")
    def freeze(name: Name, asked: Freeze, request: Request) -> dict[str, Any]:
        """Holds automatic deployment, or lets it go on."""
        return deployments.freeze(name, asked.frozen, identity_of(request).actor)

    @routes.add("GET", "/api/history", "viewer")
    def history(limit: Limit = 200, before: Id | None = None) -> list[dict[str, Any]]:
        """What happened, the newest first."""
        return deployments.history(limit, before)

    @routes.add("GET", "/api/history/check", "viewer")
    def check(whole: bool = True) -> dict[str, int | None]:
        """broken_at: the first line that is not what was written; null if all is well.

        whole=false looks at the lines that are new since this server last found all well.
        """
        return {"broken_at": deployments.broken(whole)}
