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
from serving.api.events import add_events
from serving.api.feedback import add_feedback
from serving.api.gate import Gate
from serving.api.jobs import add_jobs, add_submission
from serving.api.metrics import add_metrics
from serving.api.models import add_deployments, add_models
from serving.api.monitoring import add_candidates, add_monitoring
from serving.api.pages import add_pages
from serving.api.predict import add_predict
from serving.api.tokens import add_tokens
from serving.api.workers import add_reports, add_results, add_workers
from serving.database import NO_ANSWER
from serving.parts import Parts
from serving.retention import retain
from serving.settings import MEBIBYTE


def create_app(parts: Parts) -> FastAPI:
    """The application around a store. Documentation pages are off: they load scripts from elsewhere."""
    app = FastAPI(title="Evergreen", lifespan=_beside(parts), docs_url=None, redoc_url=None, openapi_url=None)
    routes = Routes(app)
    add_predict(routes, parts.serving, parts.settings, parts.metrics)  # first, since routes are tried in their order
    add_health(routes, parts, app.openapi)
    add_tokens(routes, parts.tokens)
    add_workers(routes, parts.workers, parts.queue, parts.store)
    add_reports(routes, parts.workers, parts.queue)
    add_results(routes, parts.workers, parts.completion)
    add_submission(routes, parts.submission)
    add_jobs(routes, parts.queue)
    add_models(routes, parts.store, parts.completion, parts.settings)
    add_deployments(routes, parts.deployments)
    add_candidates(routes, parts.deployments)
    add_monitoring(routes, parts.deployments, parts.monitor)
    add_metrics(routes, parts.metrics)
    add_feedback(routes, parts.feedback, parts.settings)
    add_blobs(routes, parts.store.blobs, parts.settings.max_model_mib * MEBIBYTE)
    add_events(routes, parts)
    add_pages(routes)
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
        """The database answers, and what is live can be asked."""
        try:
            parts.deployments.every()
        except SQLAlchemyError:
            response.status_code = 503
            return {"state": NO_ANSWER}
        unready = parts.serving.unready
        if unready:
            response.status_code = 503
        return {"state": unready or "ready"}

    @routes.add("GET", "/api/openapi.json", "viewer")
    def schema() -> dict[str, Any]:
        return openapi()


def _beside(parts: Parts) -> Callable[[FastAPI], Any]:
    """While the application runs: takes jobs from lost workers, follows what is live, gives up files of old models."""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        works = (_expire(parts), parts.serving.follow(), retain(parts.store, parts.settings))
        tasks = [asyncio.create_task(work) for work in works]
        await run_in_threadpool(parts.feedback.repair)
        yield
        for task in tasks:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task
        await run_in_threadpool(parts.monitor.close)

    return lifespan


async def _expire(parts: Parts) -> None:
    while True:
        await asyncio.sleep(min(parts.settings.lease_seconds / 4, 5.0))
        with suppress(SQLAlchemyError):  # the next round tries again; readyz tells
            await run_in_threadpool(parts.queue.expire)
