"""The web application: every route with its door, one gate before them all."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any

from fastapi import FastAPI, Response
from sqlalchemy.exc import SQLAlchemyError
from starlette.concurrency import run_in_threadpool

from serving.api.blobs import add_blobs
from serving.api.doors import PUBLIC, Routes
from serving.api.errors import answer_errors
from serving.api.gate import Gate
from serving.api.jobs import add_jobs
from serving.api.models import add_deployments, add_models
from serving.api.tokens import add_tokens
from serving.api.workers import add_workers
from serving.parts import Parts
from serving.settings import MEBIBYTE


def create_app(parts: Parts) -> FastAPI:
    """The application around a store. Documentation pages are off: they load scripts from elsewhere."""
    app = FastAPI(title="Evergreen", lifespan=_expiring(parts), docs_url=None, redoc_url=None, openapi_url=None)
    routes = Routes(app)
    add_health(routes, parts, app.openapi)
    add_tokens(routes, parts.tokens)
    add_workers(routes, parts.workers, parts.queue, parts.completion)
    add_jobs(routes, parts.queue, parts.submission)
    add_models(routes, parts.store, parts.completion, parts.settings)
    add_deployments(routes, parts.deployments)
    add_blobs(routes, parts.store.blobs, parts.settings.max_model_mib * MEBIBYTE)
    answer_errors(app)
    hosts = [*parts.settings.hosts, parts.settings.host]
    app.add_middleware(Gate, routes=app.router.routes, tokens=parts.tokens, hosts=hosts)
    return app


def add_health(routes: Routes, parts: Parts, openapi: Callable[[], dict[str, Any]]) -> None:
    @routes.add("GET", "/livez", PUBLIC)
    def livez() -> dict[str, str]:
        """The process answers."""
        return {"state": "alive"}

    @routes.add("GET", "/readyz", PUBLIC)
    def readyz(response: Response) -> dict[str, str]:
        """The database answers, too."""
        try:
            parts.deployments.every()
        except SQLAlchemyError:
            response.status_code = 503
            return {"state": "the database does not answer"}
        return {"state": "ready"}

    @routes.add("GET", "/api/openapi.json", "viewer")
    def schema() -> dict[str, Any]:
        return openapi()


def _expiring(parts: Parts) -> Callable[[FastAPI], Any]:
    """Takes jobs from lost workers while the application runs."""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        task = asyncio.create_task(_expire(parts))
        yield
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task

    return lifespan


async def _expire(parts: Parts) -> None:
    while True:
        await asyncio.sleep(min(parts.settings.lease_seconds / 4, 5.0))
        with suppress(SQLAlchemyError):  # the next round tries again; readyz tells
            await run_in_threadpool(parts.queue.expire)
